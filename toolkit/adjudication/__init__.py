"""Between annotators: how far they agree, what suggestions did, how their readings become gold.

Inside, in this order: `agree`, `influence` (readings made with suggestions and without), `settle`,
`review` (a reviewer's reading becomes decisions), `compare` (what differs between two versions, or
between gold and a model).
"""

from toolkit.adjudication.agree import Agreement, Kappa, agreement
from toolkit.adjudication.compare import Difference, Edit, differences, span_diff
from toolkit.adjudication.influence import Arm, Influence, influence
from toolkit.adjudication.review import blind, decide
from toolkit.adjudication.settle import Adjudication, Decision, Dispute, adjudicate

__all__ = [
    "Adjudication",
    "Agreement",
    "Arm",
    "Decision",
    "Difference",
    "Dispute",
    "Edit",
    "Influence",
    "Kappa",
    "adjudicate",
    "agreement",
    "blind",
    "decide",
    "differences",
    "influence",
    "span_diff",
]
