"""Which documents are annotated without suggestions, so that what suggestions do to labels can be seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["by_lot", "in_control"]


def in_control(document_id: str, share: float) -> bool:
    """Whether the document belongs to the control arm, which sees no suggestions.

    The document's id alone decides, so that every annotator, machine and run says the same. A larger
    share keeps the documents of a smaller one. `share` goes from 0 to 1.
    """
    return _lot(document_id) < share


def by_lot(control: Iterable[str], shown: Iterable[str]) -> bool:
    """Whether some share divides these documents so: then nothing but their lots told them apart."""
    return max(map(_lot, control), default=0.0) < min(map(_lot, shown), default=1.0)


def _lot(document_id: str) -> float:
    digest = hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64
