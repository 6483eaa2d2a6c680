"""The interface of a label loss, and the part shared by the losses of numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from skdann._training.losses import weighted_sum
from skdann._training.params import TrainingParams


class LabelLoss(ABC):
    """The label part of the objective.

    Parameters
    ----------
    params : TrainingParams
        Hyperparameters of training.

    Attributes
    ----------
    is_classification : bool
        Whether the labels are class indices, and the outputs class logits.
    row_dim : int
        Dimension of the rows in the labels.
    """

    is_classification: ClassVar[bool]
    row_dim: ClassVar[int]

    def __init__(self, params: TrainingParams) -> None:
        self.params = params

    @abstractmethod
    def total(self, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the loss: a mean over the rows, because their weights sum to one.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_rows, n_outputs)
            Outputs of G_y.
        y : Tensor of shape (..., n_rows) or (..., n_rows, n_outputs)
            Labels.
        weight : Tensor of shape (n_rows,) or (n_members, n_rows)
            Weights of the rows.

        Returns
        -------
        Tensor of shape () or (n_members,)
        """

    @abstractmethod
    def gradient(self, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of :meth:`total` with respect to the outputs.

        `outputs` is of shape (n_members, n_rows, n_outputs).
        """

    @abstractmethod
    def validate(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return the figures of held-out rows that an epoch records; "valid_loss" is required."""


class NumberLoss(LabelLoss):
    """Base of the losses of numbers: a mean over the outputs of a row."""

    is_classification = False
    row_dim = -2

    @abstractmethod
    def of_numbers(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each output."""

    @abstractmethod
    def slope(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the derivative of :meth:`of_numbers` with respect to the outputs."""

    def total(self, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted sum over the rows."""
        return weighted_sum(self.of_numbers(outputs, y).mean(-1).flatten(), weight)

    def gradient(self, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient of the weighted sum."""
        return self.slope(outputs, y) * (weight / outputs.shape[-1]).unsqueeze(-1)

    def validate(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """Return the mean loss."""
        return {"valid_loss": float(self.of_numbers(outputs, y).mean())}
