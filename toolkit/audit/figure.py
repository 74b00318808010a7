"""One measured value beside the band it should lie in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value beside its band. `inside` is None where there is no band, or no data."""

    group: str
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def inside(self) -> bool | None:
        """Whether the value lies in its band."""
        if self.value is None or (self.low is None and self.high is None):
            return None
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    @property
    def band(self) -> str:
        """The band in words."""
        if self.low is None and self.high is None:
            return ""
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g}–{self.high:g}"
