"""Between annotators: how far they agree (`agree`), and how their readings become gold (`settle`)."""

from toolkit.adjudication.agree import Agreement, Kappa, agreement
from toolkit.adjudication.settle import Adjudication, Decision, Dispute, adjudicate

__all__ = ["Adjudication", "Agreement", "Decision", "Dispute", "Kappa", "adjudicate", "agreement"]
