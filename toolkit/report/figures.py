"""Numbers as the page prints them."""

from __future__ import annotations

__all__ = ["DASH", "ratio", "seconds", "some"]

DASH = "–"


def ratio(value: float | None) -> str:
    """Three decimals, as on the terminal, and a true minus; a dash where there is none."""
    return DASH if value is None else f"{value:.3f}".replace("-", "−")


def seconds(value: float) -> str:
    """A duration to a tenth of a second."""
    return "< 0.1 s" if value < 0.05 else f"{value:.1f} s"


def some(number: int, noun: str) -> str:
    """A count with its noun: 1 span, 2 spans."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
