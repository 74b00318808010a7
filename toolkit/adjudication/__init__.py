"""Between annotators: how far they agree (`agree`), and how their readings become gold (`settle`).

Between a reviewer and them, how a reading becomes decisions (`review`); between two versions, or gold
and a model, what differs (`compare`).
"""

from toolkit.adjudication.agree import Agreement, Kappa, agreement
from toolkit.adjudication.compare import Difference, Edit, differences, span_diff
from toolkit.adjudication.review import blind, decide
from toolkit.adjudication.settle import Adjudication, Decision, Dispute, adjudicate

__all__ = [
    "Adjudication",
    "Agreement",
    "Decision",
    "Difference",
    "Dispute",
    "Edit",
    "Kappa",
    "adjudicate",
    "agreement",
    "blind",
    "decide",
    "differences",
    "span_diff",
]
