"""Cross-entropy of class labels, the label loss of the classifiers."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from skdann._training.label_losses.base import LabelLoss
from skdann._training.losses import label_gradient, label_loss


class CrossEntropy(LabelLoss):
    """Cross-entropy of class logits, with label smoothing."""

    is_classification = True
    row_dim = -1

    def total(self, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted cross-entropy."""
        return label_loss(outputs, y, weight, self.params.label_smoothing)

    def gradient(self, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return predicted minus expected probabilities, times the weights."""
        return label_gradient(outputs, y, weight, self.params.label_smoothing)

    def validate(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return the mean cross-entropy, without smoothing, and the accuracy."""
        return {
            "valid_loss": float(F.cross_entropy(outputs, y)),
            "valid_accuracy": float((outputs.argmax(1) == y).float().mean()),
        }
