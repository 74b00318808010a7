"""Tokens, cut once when a dataset is built: spaCy's rules, cut finer at hyphens, dashes and slashes.

Labels end at hyphens and slashes far more often than spaCy's English tokens do (`U.S.–Japan`,
`$70-billion`, `mid-2028`), and a token that no label cuts loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from toolkit.errors import UsageError
from toolkit.spans import Document, Token

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokenizer import Tokenizer
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

__all__ = ["TOKENIZER", "make_tokenizer", "to_doc", "tokenize"]

TOKENIZER = "toolkit.Tokenizer.v1"
"""Name and version of the rules; a dataset says which it was cut by."""

_GLUED = re.compile(r".*-.*|[A-Za-z]{2,}\.|[a-z]\.")
"""spaCy's exceptions that are one token where a label may end: `mid-2028`, `15 Jan.` in last place."""

_ENTITY = r"&(?:[a-z]{2,6}|#[0-9]{2,5});"
"""What careless pages leave of HTML between two words: `Washington&nbsp;or`."""

_CUTS = (r"(?<=\S)[-–—/](?=\S)", r"(?<=[0-9])(?=[A-Za-z]{4,})", _ENTITY)


def make_tokenizer() -> Callable[[Language], Tokenizer]:
    """The factory that spaCy's registry finds under `TOKENIZER`."""

    def create(nlp: Language) -> Tokenizer:
        from spacy.tokenizer import Tokenizer
        from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex

        defaults = nlp.Defaults
        exceptions = defaults.tokenizer_exceptions or {}
        infixes = [*(defaults.infixes or ()), *_CUTS]
        edges = r"[-–—/]"
        full_stop = r"(?<=[0-9][A-Za-z])\."
        return Tokenizer(
            nlp.vocab,
            rules={k: v for k, v in exceptions.items() if not _GLUED.fullmatch(k)},
            prefix_search=compile_prefix_regex([*(defaults.prefixes or ()), edges]).search,
            suffix_search=compile_suffix_regex(
                [*(defaults.suffixes or ()), edges, full_stop]
            ).search,
            infix_finditer=compile_infix_regex(infixes).finditer,
            url_match=defaults.url_match,
        )

    return create


@cache
def _tokenizer(language: str) -> Tokenizer:
    import spacy

    try:
        nlp = spacy.blank(language)
    except ImportError as error:
        what = f"language {language!r}: spaCy cannot read it"
        raise UsageError(f"{what}; use a code it knows, such as en, de or xx") from error
    return make_tokenizer()(nlp)


def tokenize(document: Document, language: str = "en") -> tuple[Token, ...]:
    """Start and end of every token of the document's text that is not white space.

    No token crosses the edge of a zone: on real pages a photo credit is glued to the headline.
    """
    points = {0, len(document.text)}
    points.update(edge for zone in document.zones for edge in (zone.start, zone.end))
    tokenizer = _tokenizer(language)
    tokens: list[Token] = []
    for start, end in pairwise(sorted(points)):
        doc = tokenizer(document.text[start:end])
        tokens += ((start + t.idx, start + t.idx + len(t)) for t in doc if not t.is_space)
    return tuple(tokens)


def to_doc(document: Document, vocab: Vocab) -> Doc:
    """A spaCy `Doc` with exactly the document's tokens and text.

    White space beyond the one blank that spaCy keeps behind a word becomes a token of its own, as
    spaCy's tokenizer makes it, so that `doc.text` is the document's text and offsets agree.
    """
    from spacy.tokens import Doc

    words: list[str] = []
    spaces: list[bool] = []
    text, end = document.text, 0
    for start, stop in (*document.tokens, (len(text), len(text))):
        gap = text[end:start]
        if gap.startswith(" ") and words:
            spaces[-1] = True
            gap = gap[1:]
        if gap:
            words.append(gap)
            spaces.append(False)
        if stop > start:
            words.append(text[start:stop])
            spaces.append(False)
        end = stop
    return Doc(vocab, words=words, spaces=spaces)
