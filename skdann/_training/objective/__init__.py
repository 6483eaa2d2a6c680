"""The adversaries: how the domain loss is defined, and how its gradient reaches G_f.

An adversary is one class in one file of this folder and one line in `ADVERSARIES`; the key is the
value of ``DANNClassifier(adversarial=...)``.
"""

from skdann._training.objective.alternating import Alternating
from skdann._training.objective.base import Adversary
from skdann._training.objective.coral import DeepCoral
from skdann._training.objective.non_saturating import NonSaturating
from skdann._training.objective.reversal import Reversal

ADVERSARIES: dict[str, type[Adversary]] = {
    "alternating": Alternating,
    "coral": DeepCoral,
    "grl": Reversal,
    "non_saturating": NonSaturating,
}

__all__ = ["ADVERSARIES", "Adversary"]
