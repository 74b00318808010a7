"""Which documents are annotated without suggestions, so that what suggestions do to labels can be seen."""

from __future__ import annotations

import hashlib

__all__ = ["in_control"]


def in_control(document_id: str, share: float) -> bool:
    """Whether the document belongs to the control arm, which sees no suggestions.

    The document's id alone decides, so that every annotator, machine and run says the same. A larger
    share keeps the documents of a smaller one. `share` goes from 0 to 1.
    """
    digest = hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share
