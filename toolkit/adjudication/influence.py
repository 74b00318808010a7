"""What suggestions did to the labels: readings made with a model's suggestions beside those made without.

Annotators who are shown a model's spans agree with it more than they would have by themselves; how
much more is seen only where some documents, chosen by lot, were read without (Fort & Sagot 2010 on
pre-annotation; Berzak et al. 2016 on anchoring).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from toolkit.scoring import Counts, count, difference, match
from toolkit.spans import Annotation, Span

__all__ = ["Arm", "Influence", "influence"]

LEAST_DOCUMENTS = 10
"""With fewer documents in an arm nothing is claimed."""

_ANY_OVERLAP = 1e-9
"""The least intersection over union that is one at all."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The readings of one arm beside what the model suggests for the same documents.

    `against` counts equal spans by label and, under `all`, in total, readings taken as gold.
    `seconds` is the median time of a reading, None where none was measured. Of the `suggested` spans,
    `kept` are in the reading as they are, `relabelled` at the same place under another label, `moved`
    with the same label and another edge, `removed` not at all; `added` spans of the reading come from
    none of them. In the control arm these are the same comparisons with what nobody saw.
    """

    documents: int = 0
    readings: int = 0
    spans: int = 0
    seconds: float | None = None
    against: Mapping[str, Counts] = field(default_factory=dict)
    suggested: int = 0
    kept: int = 0
    moved: int = 0
    relabelled: int = 0
    removed: int = 0
    added: int = 0

    @property
    def f1(self) -> float:
        """How far readings and suggestions agree, over all labels."""
        return self.against.get("all", Counts()).f1

    @property
    def added_per_document(self) -> float:
        """Spans of the annotator's own, per reading of a document; 0 where there is none."""
        return self.added / self.readings if self.readings else 0.0

    def share(self, number: int) -> float | None:
        """The share of the suggested spans; None when nothing was suggested."""
        return number / self.suggested if self.suggested else None


@dataclass(frozen=True, slots=True)
class Influence:
    """Both arms, and by how much suggestions pull readings towards the model.

    `anchoring` is F1 of readings against suggestions where they were shown less the same where they
    were not, `interval` its 95 % interval when whole stories are drawn anew. Both are None where
    nothing can be claimed, and `unclaimed` says why. It is an effect of showing only if lots decided
    who was shown what. `left_out` counts readings of documents without a suggestion, or skipped.
    """

    shown: Arm
    control: Arm
    anchoring: float | None
    interval: tuple[float, float] | None
    unclaimed: str = ""
    left_out: int = 0


def influence(
    readings: Iterable[Annotation],
    suggestions: Mapping[str, Annotation],
    shown: Collection[str],
    *,
    stories: Mapping[str, str] | None = None,
) -> Influence:
    """What showing suggestions did to people's readings.

    `suggestions` are the model's annotations by document, of documents in either arm; `shown` the ids
    of the documents whose annotators saw them. `stories` gives the event of each document id, which
    the interval draws anew; for want of it documents are drawn.
    """
    readings, shown = list(readings), frozenset(shown)
    pairs = [(a, suggestions[a.document]) for a in readings if _counts(a, suggestions)]
    arms = [
        [pair for pair in pairs if (pair[0].document in shown) is wanted]
        for wanted in (True, False)
    ]
    first, second = (_arm(arm) for arm in arms)
    unclaimed = _unclaimed(first, second)
    units = [] if unclaimed else _units(arms, stories or {})
    return Influence(
        first,
        second,
        None if unclaimed else first.f1 - second.f1,
        difference(units),
        unclaimed,
        len(readings) - len(pairs),
    )


def _counts(reading: Annotation, suggestions: Mapping[str, Annotation]) -> bool:
    return not reading.skipped and reading.document in suggestions


def _arm(pairs: Sequence[tuple[Annotation, Annotation]]) -> Arm:
    against: dict[str, Counts] = defaultdict(Counts)
    fates: Counter[str] = Counter()
    for reading, suggestion in pairs:
        for label in {span.label for side in (reading, suggestion) for span in side.spans}:
            against[label] += count(reading.layer([label]), suggestion.layer([label]))
        against["all"] += count(reading.spans, suggestion.spans)
        fates += _fates(reading.spans, suggestion.spans)
    times = [reading.lead_time for reading, _ in pairs if reading.lead_time is not None]
    return Arm(
        len({reading.document for reading, _ in pairs}),
        len(pairs),
        against["all"].tp + against["all"].fn,
        median(times) if times else None,
        {name: against[name] for name in sorted(against, key=lambda name: (name == "all", name))},
        against["all"].tp + against["all"].fp,
        **fates,
    )


def _fates(reading: Sequence[Span], suggested: Sequence[Span]) -> Counter[str]:
    """What became of the suggested spans, each of which accounts for one span of the reading at most."""
    ours = {span.key: span for span in reading}
    theirs = {span.key: span for span in suggested}
    kept = ours.keys() & theirs.keys()
    ours, theirs = ({k: s for k, s in side.items() if k not in kept} for side in (ours, theirs))
    relabelled = 0
    for start, end, label in sorted(theirs):
        found = next((key for key in sorted(ours) if key[:2] == (start, end)), None)
        if found:
            del ours[found], theirs[start, end, label]
            relabelled += 1
    moved = len(match(list(ours.values()), list(theirs.values()), min_iou=_ANY_OVERLAP))
    return Counter(
        kept=len(kept),
        relabelled=relabelled,
        moved=moved,
        removed=len(theirs) - moved,
        added=len(ours) - moved,
    )


def _unclaimed(shown: Arm, control: Arm) -> str:
    """Why nothing can be claimed; nothing where something can."""
    for name, arm in (("shown", shown), ("control", control)):
        if arm.documents < LEAST_DOCUMENTS:
            what = f"{arm.documents} documents in the {name} arm"
            return f"{what}; at least {LEAST_DOCUMENTS} are needed"
        if not arm.against["all"].total:
            return f"no span on either side in the {name} arm"
    return ""


def _units(
    arms: Sequence[Sequence[tuple[Annotation, Annotation]]], stories: Mapping[str, str]
) -> list[tuple[Counts, Counts]]:
    """What each story counts in either arm. Its documents may lie in both."""
    tables: tuple[dict[str, Counts], ...] = (defaultdict(Counts), defaultdict(Counts))
    for arm, table in zip(arms, tables, strict=True):
        for reading, suggestion in arm:
            story = stories.get(reading.document, reading.document)
            table[story] += count(reading.spans, suggestion.spans)
    names = sorted(tables[0].keys() | tables[1].keys())
    return [(tables[0].get(name, Counts()), tables[1].get(name, Counts())) for name in names]
