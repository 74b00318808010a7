"""Between annotators: how far they agree, what suggestions did, how their readings become gold.

Inside, in this order: `agree`, `influence` (readings made with suggestions and without), `settle`.
"""

from toolkit.adjudication.agree import Agreement, Kappa, agreement
from toolkit.adjudication.influence import Arm, Influence, influence
from toolkit.adjudication.settle import Adjudication, Decision, Dispute, adjudicate

__all__ = [
    "Adjudication",
    "Agreement",
    "Arm",
    "Decision",
    "Dispute",
    "Influence",
    "Kappa",
    "adjudicate",
    "agreement",
    "influence",
]
