"""What a document by itself can get wrong, whatever the schema."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.errors import Fault
from toolkit.spans import Document, is_storable

__all__ = ["ZONES", "document_faults"]

LIMIT = 1_000_000
"""Characters of a text: spaCy's own limit, and more than a person annotates in one piece."""

ZONES = ("headline", "body", "boilerplate")
"""What a stretch of the page can be."""


def document_faults(document: Document, *, place: str, line: int = 0) -> Iterator[Fault]:
    """Everything wrong with a document by itself."""
    where = f"document {document.id!r}"
    if not document.id:
        yield Fault(place, line, "a document without an id", "give it one", "no-id")
    if not document.text.strip():
        yield Fault(place, line, f"{where} has no text", "remove it", "empty-text")
    if len(document.text) > LIMIT:
        what = f"{where} has {len(document.text):,} characters, of at most {LIMIT:,}"
        yield Fault(place, line, what, "split it", "too-large")
    if not is_storable(document.text):
        cure = "remove it: Label Studio cannot export a project that holds one"
        yield Fault(place, line, f"{where} holds a lone surrogate", cure, "lone-surrogate")
    for zone in document.zones:
        if zone.zone not in ZONES:
            what = f"{where}: zone {zone.start}–{zone.end} is called {zone.zone!r}"
            yield Fault(place, line, what, f"use one of {', '.join(ZONES)}", "unknown-zone")
        if not 0 <= zone.start < zone.end <= len(document.text):
            what = f"{where}: zone {zone.zone} {zone.start}–{zone.end} lies outside the text"
            yield Fault(place, line, what, "mend its offsets", "outside-text")
