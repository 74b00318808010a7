"""The `layer_ner` component: one flat layer of spans, read from and written to `doc.spans[layer]`.

spaCy's own `ner` reads and writes `doc.ents` alone, and whatever stands there constrains it and adds
labels to it. So this head hides the entities of the other heads while it works and puts them back.
Several such heads share one encoder, which makes nested text trainable in one run. Imported by spaCy,
through an entry point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from spacy.language import Language
from spacy.pipeline._parser_internals._beam_utils import BeamBatch
from spacy.pipeline.ner import EntityRecognizer
from spacy.scorer import Scorer
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

__all__ = ["LayerNer", "make_layer_ner"]

_LEAST = 0.01
"""How likely an analysis must be, beside the likeliest, to be followed."""

_NEVER = -1e9
"""The logarithm of the probability of what is not possible."""


class LayerNer(EntityRecognizer):
    """A transition-based NER head for one layer.

    With `entities` it also writes its spans to `doc.ents`, where spaCy users look for them.
    """

    def __init__(
        self,
        vocab: Any,
        model: Any,
        name: str,
        moves: Any,
        *,
        layer: str,
        entities: bool,
        **kw: Any,
    ) -> None:
        super().__init__(vocab, model, name, moves, **kw)
        self.cfg["layer"] = layer
        self.cfg["entities"] = entities

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], nlp: Any = None, labels: Any = None
    ) -> None:
        """Learn the layer's labels from the examples."""
        super().initialize(lambda: map(self._own, get_examples()), nlp=nlp, labels=labels)

    def update(self, examples: Iterable[Example], **kw: Any) -> dict[str, float]:
        """One training step on the layer's spans."""
        losses: dict[str, float] = super().update([self._own(eg) for eg in examples], **kw)
        return losses

    def predict(self, docs: Iterable[Doc]) -> Any:
        """The parser states for these documents."""
        with _hidden_entities(docs := list(docs)):
            return super().predict(docs)

    def set_annotations(self, docs: Iterable[Doc], states: Any) -> None:
        """Write the layer's spans, and the entities if this head provides them."""
        layer = self.cfg["layer"]
        with _hidden_entities(docs := list(docs)):
            super().set_annotations(docs, states)
            found = [list(doc.ents) for doc in docs]
        for doc, spans in zip(docs, found, strict=True):
            doc.spans[layer] = SpanGroup(doc, name=layer, spans=spans)
            if self.cfg["entities"]:
                doc.set_ents(spans, default="outside")

    def analyses(self, doc: Doc, *, width: int) -> list[tuple[float, frozenset[Any]]]:
        """The likeliest sets of spans of the layer, with probabilities that sum to one, best first.

        spaCy's own beam adds up raw scores, by which a sentence known by heart is in doubt. These are
        made probabilities of the actions that are possible, state by state, as in training.
        """
        with _hidden_entities([doc]):
            start = self.moves.init_batch([doc])
            batch = BeamBatch(self.moves, start, None, width, density=_LEAST)
            step = self.model.predict([doc])
            names = [self.moves.get_class_name(number) for number in range(self.moves.n_moves)]
            while states := batch.get_unfinished_states():
                scores = step.predict(states)
                for number, state in enumerate(states):
                    possible = [self.moves.is_valid(state, name) for name in names]
                    scores[number] = _log_probabilities(scores[number].tolist(), possible)
                batch.advance(scores)
            step.clear_memory()
            found = [(p, frozenset(spans)) for p, spans in self.moves.get_beam_parses(batch[0])]
        total = sum(p for p, _ in found)
        return sorted(((p / total, spans) for p, spans in found), key=lambda one: -one[0])

    def _own(self, example: Example) -> Example:
        """The example as this head sees it: its layer alone, as entities."""
        predicted, gold = example.predicted, example.reference
        if predicted.ents:
            predicted = predicted.copy()
            predicted.set_ents([], default="missing")
        words, spaces = [t.text for t in gold], [bool(t.whitespace_) for t in gold]
        reference = Doc(gold.vocab, words=words, spaces=spaces)
        own = [
            Span(reference, s.start, s.end, s.label) for s in gold.spans.get(self.cfg["layer"], [])
        ]
        reference.set_ents(own, default="outside")
        return Example(predicted, reference)


def _log_probabilities(scores: list[float], possible: list[bool]) -> list[float]:
    top = max(score for score, can in zip(scores, possible, strict=True) if can)
    held = [score - top if can else _NEVER for score, can in zip(scores, possible, strict=True)]
    total = math.log(sum(map(math.exp, held)))
    return [score - total for score in held]


@contextmanager
def _hidden_entities(docs: list[Doc]) -> Iterator[None]:
    held = [list(doc.ents) for doc in docs]
    for doc in docs:
        doc.set_ents([], default="missing")
    try:
        yield
    finally:
        for doc, entities in zip(docs, held, strict=True):
            doc.set_ents(entities, default="outside" if entities else "missing")


@Language.factory(
    "layer_ner",
    default_config={
        "moves": None,
        "update_with_oracle_cut_size": 100,
        "entities": False,
        "model": {
            "@architectures": "spacy.TransitionBasedParser.v2",
            "state_type": "ner",
            "extra_state_tokens": False,
            "hidden_width": 64,
            "maxout_pieces": 2,
            "use_upper": True,
            "nO": None,
            "tok2vec": {
                "@architectures": "spacy.Tok2VecListener.v1",
                "width": 96,
                "upstream": "tok2vec",
            },
        },
    },
)
def make_layer_ner(
    nlp: Language,
    name: str,
    model: Any,
    moves: Any,
    layer: str,
    entities: bool,
    update_with_oracle_cut_size: int,
) -> LayerNer:
    """The component spaCy's configuration calls `layer_ner`."""
    return LayerNer(
        nlp.vocab,
        model,
        name,
        moves,
        layer=layer,
        entities=entities,
        update_with_oracle_cut_size=update_with_oracle_cut_size,
        scorer=_scorer(layer),
    )


def _scorer(layer: str) -> Callable[..., dict[str, Any]]:
    def score(examples: Iterable[Example], **_: Any) -> dict[str, Any]:
        scores: dict[str, Any] = Scorer.score_spans(
            examples,
            attr=f"spans_{layer}",
            getter=lambda doc, _: doc.spans.get(layer, []),
            has_annotation=lambda doc: layer in doc.spans,
            labeled=True,
            allow_overlap=False,
        )
        return scores

    return score
