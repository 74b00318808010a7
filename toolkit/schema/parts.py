"""What a schema is made of: layers of labels, attributes with their values, relation types."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.spans import Span, Value

__all__ = ["Attribute", "Choice", "Label", "Layer", "RelationType"]


@dataclass(frozen=True, slots=True)
class Label:
    """One kind of span. The description is what annotators see."""

    name: str
    description: str
    colour: str
    hotkey: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """Labels whose spans never overlap each other; one column of IOB2 tags."""

    name: str
    labels: tuple[Label, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its labels."""
        return tuple(label.name for label in self.labels)

    @property
    def tags(self) -> tuple[str, ...]:
        """`O`, then `B-` and `I-` of each label: the classes of its tag column."""
        return ("O", *(f"{prefix}-{name}" for name in self.names for prefix in "BI"))


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an attribute."""

    value: str
    hotkey: str = ""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something said of a span: one of several choices, a flag, or free text.

    With `values` it is a choice; with `flag` it is recorded only when true; else it is free text.
    """

    name: str
    labels: tuple[str, ...]
    description: str = ""
    values: tuple[Choice, ...] = ()
    flag: bool = False
    hotkey: str = ""
    required: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """The values it may take; empty for a flag or free text."""
        return tuple(choice.value for choice in self.values)

    @property
    def kind(self) -> str:
        """Whether it is a `flag`, a `choice` or free `text`."""
        return "flag" if self.flag else "choice" if self.values else "text"

    def of(self, span: Span) -> Value:
        """What is said of this span; False for a flag and nothing for the rest where nothing is."""
        return span.attributes.get(self.name, False if self.flag else "")

    def accepts(self, value: Value) -> bool:
        """Whether the value is one this attribute may take."""
        if self.flag:
            return value is True
        return isinstance(value, str) and (not self.values or value in self.choices)

    @property
    def cure(self) -> str:
        """What to write instead of a value it does not accept."""
        if self.flag:
            return "write true or leave it out"
        return f"use one of: {', '.join(self.choices)}" if self.values else "write text"


@dataclass(frozen=True, slots=True)
class RelationType:
    """A directed link between spans of these labels."""

    name: str
    head: tuple[str, ...]
    tail: tuple[str, ...]
    description: str = ""
