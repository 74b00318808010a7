"""A schema as the page annotators work on: Label Studio's labelling config, and the instructions.

One `Labels` control over one `Text`, so that spans of different layers may nest; attributes as
controls of the selected region, in a bar that stays in sight; relations; hotkeys. The schema's name,
version and fingerprint stand in a comment. Label Studio keeps the config byte for byte, but for blanks
and line ends around it, so there are none.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from toolkit.schema import Attribute, Schema

__all__ = ["LABELS", "TEXT", "instructions", "page"]

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
    return ET.tostring(view, encoding="unicode")


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
