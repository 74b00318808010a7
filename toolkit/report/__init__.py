"""The page `toolkit demo` writes: what happened, agreement, scores and annotated documents.

One HTML file that needs nothing else: no script, no network, no fonts. Everything on it, from the
text of documents to the names of labels, is untrusted and is escaped by the template. The text of a
document is on the page whole and unaltered; labels are attributes that CSS shows, so that copying
a passage copies the document and nothing more.

Inside, in this order: `figures` (numbers in print) and `colours`, `styles` (how a label is drawn),
`text` (marks over a text), `tables` (agreement and scores), `readings` (a document on both sides),
`page` (all of it).
"""

from toolkit.report.page import Step, demo_page

__all__ = ["Step", "demo_page"]
