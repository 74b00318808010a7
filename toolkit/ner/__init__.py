"""spaCy: tokens, one pipeline with a NER head per layer on a shared encoder, training, prediction.

The only room that knows spaCy, which is imported inside its functions. `toolkit.ner.pipeline` is
loaded by spaCy itself, through the entry point of the `layer_ner` component.
"""

from toolkit.ner.models import Model, System, Trained, load, train
from toolkit.ner.tokens import tokenize

__all__ = ["Model", "System", "Trained", "load", "tokenize", "train"]
