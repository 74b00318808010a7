"""An annotation and labelling toolkit: label schemas, Label Studio, gold, datasets, NER, scores.

The vocabulary, for programs; everything else is in the modules named after it.
"""

from toolkit.corpus import Corpus
from toolkit.errors import ToolkitError
from toolkit.schema import Schema
from toolkit.spans import Annotation, Document, Relation, Span, Zone

__all__ = ["Annotation", "Corpus", "Document", "Relation", "Schema", "Span", "ToolkitError", "Zone"]
__version__ = "0.1.0"
