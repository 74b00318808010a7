"""What may be marked and what it means: layers of labels, attributes, relation types.

A schema is one YAML file. It divides its labels into flat layers; inside a layer nothing overlaps,
across layers spans may nest. Everything an annotation can get wrong against its schema and its
document is found by `Schema.faults`. A schema says how annotations of its older versions are read.

Inside, in this order: `parts` (what a schema is made of), `documents` (what a document by itself can
get wrong), `migration` (from older versions to this one), `schema` (the file, and the faults of an
annotation) and `changes` (what a new version does to annotations that exist).
"""

from toolkit.schema.changes import Change, Shape, Usage, changes, shape_of
from toolkit.schema.documents import ZONES, document_faults
from toolkit.schema.migration import Drop, Migration, Split
from toolkit.schema.parts import Attribute, Choice, Label, Layer, RelationType
from toolkit.schema.schema import Schema

__all__ = [
    "ZONES",
    "Attribute",
    "Change",
    "Choice",
    "Drop",
    "Label",
    "Layer",
    "Migration",
    "RelationType",
    "Schema",
    "Shape",
    "Split",
    "Usage",
    "changes",
    "document_faults",
    "shape_of",
]
