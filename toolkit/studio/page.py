"""A schema as the page annotators work on: Label Studio's labelling config, and the instructions.

One `Labels` control over one `Text`, so that spans of different layers may nest; attributes as
controls of the selected region, in a bar that stays in sight; relations; hotkeys. The schema's name,
version and fingerprint stand in a comment, with a fingerprint of the page itself, which tells a page
that somebody changed from one of an older toolkit. Label Studio keeps the config byte for byte, but
for blanks and line ends around it, so there are none. What a server holds is a stranger's text: it is
read back without document types and entities.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

from toolkit.errors import UnusableAnswerError
from toolkit.schema import Attribute, Choice, Schema, Shape, shape_of

__all__ = ["LABELS", "TEXT", "Drift", "drift", "instructions", "page", "read_page"]

LABELS = "label"
"""Name of the control that holds the labels."""

TEXT = "text"
"""Name of the object that holds the text, and of the task's field with the text."""

_STYLE = """
    .toolkit-bar { position: sticky; top: 0; z-index: 101; padding: 6px 0 8px;
      background: var(--color-neutral-background, Canvas); border-bottom: 1px solid #8885; }
    .toolkit-fields { min-height: 84px; display: flex; gap: 0 20px; flex-wrap: wrap;
      align-items: center; align-content: center; }
    .toolkit-bar .lsf-labels, .toolkit-bar .lsf-choices { margin: 4px 0; }
    .toolkit-bar .lsf-choice { line-height: 32px; }
    .toolkit-bar :is(.lsf-text-area, .ant-form-item) { margin: 0 !important; }
    .toolkit-text { max-width: 56em; padding: 22px 24px 0 48px; }
    .toolkit-text .htx-richtext, .toolkit-text [class*="richtext"] {
      line-height: 2.6 !important; font-size: 16px; white-space: pre-wrap; }
    .toolkit-text .htx-highlight.__active:not(.__hidden) {
      color: inherit !important; box-shadow: 0 2px currentColor;
      --veil: color-mix(in srgb, var(--color-neutral-background, Canvas) 50%, transparent);
      background-image: linear-gradient(var(--veil), var(--veil)); }
    .relations-overlay path[stroke] { stroke: #64748b; }
    .relations-overlay :is(marker path, rect[rx]) { fill: #64748b; }
    .relations-overlay rect[rx] { y: -8px; height: 15px; }
    .relations-overlay text { font-size: 10.5px !important; }
    [class*="modal"][class$="__body"] :is(h1, h2, h3) { margin: 1.2em 0 0.4em; line-height: 1.25; }
    [class*="modal"][class$="__body"] :is(p, ul, ol, table) { margin: 0 0 0.8em; }
    [class*="modal"][class$="__body"] ul { list-style: disc; padding-left: 1.4em; }
    [class*="modal"][class$="__body"] ol { list-style: decimal; padding-left: 1.6em; }
    [class*="modal"][class$="__body"] :is(th, td) {
      padding: 3px 8px; border: 1px solid #8886; vertical-align: top; }
"""
# The fields keep their height when no region is selected, so that the text below does not jump. The
# lines stand far enough apart for arrows and their names to be read, the text far enough from the left
# for arrows that pass it there; arrows are grey, as every other colour means a label, and go under the
# bar (Label Studio draws them at 100). A selected region is underlined and stays pale, so that the
# regions inside it can be told apart. The instructions open over this page, and Label Studio strips
# their own styles and takes margins and list marks away.


def page(schema: Schema) -> str:
    """The labelling config. The same schema always gives the same text."""
    view = ET.Element("View")
    view.append(ET.Comment(f" toolkit schema {schema.name} {schema.version} {schema.sha256} "))
    ET.SubElement(view, "Style").text = _STYLE
    relations = ET.SubElement(view, "Relations")
    for relation in schema.relations:
        ET.SubElement(relations, "Relation", value=relation.name)
    bar = ET.SubElement(view, "View", className="toolkit-bar")
    _labels(bar, schema)
    fields = ET.SubElement(bar, "View", className="toolkit-fields")
    for attribute in schema.attributes:
        _field(fields, attribute)
    ET.SubElement(view, "Header", value="$title", size="4")
    area = ET.SubElement(view, "View", className="toolkit-text")
    ET.SubElement(area, "Text", name=TEXT, value=f"${TEXT}", granularity="word")
    ET.indent(view)
    unsigned = ET.tostring(view, encoding="unicode")
    return unsigned.replace(" -->", f" {_fingerprint(unsigned)} -->", 1)


def instructions(schema: Schema) -> str:
    """The guideline as HTML, shown to annotators by Label Studio."""
    if not schema.guideline:
        return ""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark").enable("table").render(schema.guideline))


def _labels(bar: ET.Element, schema: Schema) -> None:
    labels = ET.SubElement(
        bar, "Labels", name=LABELS, toName=TEXT, showInline="true", opacity="0.25"
    )
    for label in schema.labels:
        ET.SubElement(
            labels,
            "Label",
            value=label.name,
            background=label.colour,
            hint=label.description,
            layer=schema.layer_of(label.name).name,  # Label Studio passes it over.
            **_hotkey(label.hotkey),
        )


def _field(fields: ET.Element, attribute: Attribute) -> None:
    shown = {
        "name": attribute.name,
        "toName": TEXT,
        "perRegion": "true",
        "whenTagName": LABELS,
        "whenLabelValue": ",".join(attribute.labels),
    }
    if attribute.flag or attribute.values:
        choice = "multiple" if attribute.flag else "single"
        choices = ET.SubElement(fields, "Choices", shown, choice=choice, showInline="true")
        if attribute.flag:
            ET.SubElement(choices, "Choice", value=attribute.name, **_hotkey(attribute.hotkey))
        for value in attribute.values:
            ET.SubElement(choices, "Choice", value=value.value, **_hotkey(value.hotkey))
    else:
        ET.SubElement(
            fields, "TextArea", shown, maxSubmissions="1", rows="1", placeholder=attribute.name
        )


def _hotkey(key: str) -> dict[str, Any]:
    return {"hotkey": key} if key else {}


# ── a page read back ────────────────────────────────────────────────────────────────────────────

LIMIT = 1 << 20
"""Characters. A page larger than this is no labelling page."""

DEPTH = 64

_OURS = re.compile(
    r"<!-- toolkit schema ([\w .-]{1,64}) ([\w.+-]{1,64}) ([0-9a-f]{64}|)(?: ([0-9a-f]{16}))? -->"
)
"""Our comment: name, version and fingerprint of the schema, and the fingerprint of the page."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How a page on a server stands to a schema, and in which words they differ.

    `same`: it is the page of the schema. `older`: a page of ours, untouched, of another version of
    the schema or the toolkit. `edited`: a page of ours that somebody changed. `foreign`: none of ours.
    `shape` is what the page holds, if it can be read.
    """

    state: Literal["same", "older", "edited", "foreign"]
    differences: tuple[str, ...] = ()
    shape: Shape | None = None


def read_page(config: str) -> Shape:
    """What a labelling page holds of a schema. Raises `UnusableAnswerError` naming what is unreadable.

    Name, version and fingerprint are empty when the page has no comment of ours.
    """
    root = _parsed(config)
    ours = _OURS.search(config)
    name, version, sha256, _ = ours.groups() if ours else ("", "", "", "")
    controls = [node for node in root.iter("Labels") if node.get("name") == LABELS]
    if len(controls) != 1:
        raise _unusable(f"{len(controls)} Labels controls are called {LABELS!r}, not one")
    labels = {_named(label, "value"): label.get("layer", "") for label in controls[0].iter("Label")}
    attributes = tuple(_attributes(root))
    if len({attribute.name for attribute in attributes}) < len(attributes):
        raise _unusable("two controls have the same name")
    relations = tuple(_named(relation, "value") for relation in root.iter("Relation"))
    return Shape(name, version, sha256, labels, attributes, relations)


def drift(config: str, schema: Schema) -> Drift:
    """How a page on a server stands to the page this schema would give."""
    if config == page(schema):
        return Drift("same", (), shape_of(schema))
    state = _state(config, schema)
    try:
        shape = read_page(config)
    except UnusableAnswerError as error:
        return Drift(state, (str(error),))
    differences = tuple(_differences(shape, shape_of(schema)))
    return Drift(state, differences or ("only in looks, order, words or hotkeys",), shape)


def _state(config: str, schema: Schema) -> Literal["older", "edited", "foreign"]:
    """Whether the page is as the toolkit wrote it; without a fingerprint of its own, by the schema's."""
    ours = _OURS.search(config)
    if not ours:
        return "foreign"
    if ours[4]:
        unsigned = config[: ours.start(4) - 1] + config[ours.end(4) :]
        return "older" if ours[4] == _fingerprint(unsigned) else "edited"
    same = (ours[1], ours[2], ours[3]) == (schema.name, schema.version, schema.sha256)
    return "edited" if same else "older"


def _fingerprint(unsigned: str) -> str:
    return hashlib.sha256(unsigned.encode(errors="surrogatepass")).hexdigest()[:16]


def _parsed(config: str) -> ET.Element:
    """The page as a tree."""
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    open_tags: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        open_tags.append(tag)
        if len(open_tags) > DEPTH:
            raise _unusable("it is nested too deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        open_tags.pop()
        builder.end(tag)

    def refuse(*_: object) -> NoReturn:
        raise _unusable("it has a document type, which may hide entities")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    if len(config) > LIMIT:
        raise _unusable(f"it is larger than {LIMIT:,} characters")
    try:
        parser.Parse(config, True)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise _unusable(f"it is not XML: {error}") from error
    return builder.close()


def _unusable(what: str) -> UnusableAnswerError:
    return UnusableAnswerError(f"labelling page: {what}; push the schema again or mend the page")


def _named(node: ET.Element, key: str) -> str:
    found = node.get(key)
    if not found:
        raise _unusable(f"a {node.tag} without {key}")
    return found


def _attributes(root: ET.Element) -> Iterator[Attribute]:
    """The controls of a selected region, as attributes."""
    for node in root.iter():
        if node.tag not in {"Choices", "TextArea"}:
            continue
        name = _named(node, "name")
        labels = tuple(filter(None, node.get("whenLabelValue", "").split(",")))
        choices = tuple(_named(choice, "value") for choice in node.iter("Choice"))
        if node.tag == "Choices" and not choices:
            raise _unusable(f"the Choices {name} have no Choice")
        flag = choices == (name,) and node.get("choice") == "multiple"
        yield Attribute(name, labels, values=() if flag else tuple(map(Choice, choices)), flag=flag)


def _differences(found: Shape, wanted: Shape) -> Iterator[str]:
    """What the page has and lacks, in words."""
    yield from _missed("label", found.labels, wanted.labels)
    for label, layer in found.labels.items():
        if layer and wanted.labels.get(label, layer) != layer:
            yield f"label {label} is in the layer {layer}, not in {wanted.labels[label]}"
    theirs = {attribute.name: attribute for attribute in found.attributes}
    ours = {attribute.name: attribute for attribute in wanted.attributes}
    yield from _missed("attribute", theirs, ours)
    for name, attribute in theirs.items():
        if name in ours:
            yield from _attribute_differences(attribute, ours[name])
    yield from _missed("relation", found.relations, wanted.relations)


def _attribute_differences(found: Attribute, wanted: Attribute) -> Iterator[str]:
    if found.kind != wanted.kind:
        yield f"attribute {found.name} is a {found.kind}, not a {wanted.kind}"
    yield from _missed(f"attribute {found.name}: value", found.choices, wanted.choices)
    yield from _missed(f"attribute {found.name}: label", found.labels, wanted.labels)


def _missed(kind: str, found: Collection[str], wanted: Collection[str]) -> Iterator[str]:
    yield from (f"{kind} {name} is on the page only" for name in found if name not in wanted)
    yield from (f"{kind} {name} is not on the page" for name in wanted if name not in found)
