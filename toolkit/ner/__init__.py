"""spaCy: tokens, one pipeline with a NER head per layer on a shared encoder, training, prediction.

The only room that knows spaCy, which is imported inside its functions. Inside, in this order: `tokens`
(text cut into tokens), `pipeline` (the component that spaCy itself loads, through an entry point),
`weights` (of pipelines that others trained) and `models` (training, trained models).
"""

from toolkit.ner.models import Model, System, Trained, load, train
from toolkit.ner.tokens import tokenize
from toolkit.ner.weights import weights

__all__ = ["Model", "System", "Trained", "load", "tokenize", "train", "weights"]
