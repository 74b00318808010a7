"""Colours of a schema made legible: what WCAG 2 asks of small text, in light and in dark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["INK", "NEUTRAL", "PAPER", "Colour", "Tone", "contrast", "rgb", "tone"]

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, each from 0 to 255."""

_HEX = re.compile(r"#[0-9A-Fa-f]{6}")
NEUTRAL = "#6B7280"
"""For labels without a colour of their own."""

PAPER = {"light": "#FDFCFA", "dark": "#17181B"}
"""The page's background."""

INK = {"light": "#1E1D1B", "dark": "#E9E6E0"}
"""The page's text colour."""

_TINT = 0.14
_CONTRAST = 4.5
"""The least contrast WCAG 2 (1.4.3, AA) asks of small text."""


@dataclass(frozen=True, slots=True)
class Tone:
    """A label's colour made legible on a background of its own tint."""

    text: str
    tint: str


def tone(colour: str, mode: str) -> Tone:
    """The colour, darkened (or lightened, in dark mode) no more than legibility asks.

    Anything but #RRGGBB would be a way into the style sheet and is shown in grey.
    """
    own = rgb(colour if _HEX.fullmatch(colour) else NEUTRAL)
    paper, ink = rgb(PAPER[mode]), rgb(INK[mode])
    for share in range(0, 101, 5):
        text = _mix(own, ink, share / 100)
        tint = _mix(paper, text, _TINT)
        if contrast(text, tint) >= _CONTRAST:
            break
    return Tone(_hex(text), _hex(tint))


def rgb(colour: str) -> Colour:
    """The colour #RRGGBB names."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(colour: Colour) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two colours, from 1 to 21, as WCAG 2 defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    shares = (value / 255 for value in colour)
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
