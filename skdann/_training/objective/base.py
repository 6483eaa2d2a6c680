"""The interface of an adversary, and the part shared by those that train a domain classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from skdann._training.batches import Batch
from skdann._training.losses import domain_gradient, domain_hits, domain_loss
from skdann._training.params import TrainingParams
from skdann.nn import DANNModule

Kept = tuple[Tensor, ...]


def per_member(lambda_: Any) -> Any:
    """Return lambda as a factor of losses: a float, or a tensor of shape (n_members,)."""
    return lambda_.flatten() if isinstance(lambda_, Tensor) else lambda_


class Adversary(ABC):
    """The domain part of the objective.

    Parameters
    ----------
    module : DANNModule
        The three networks.
    params : TrainingParams
        Hyperparameters of training.

    Attributes
    ----------
    has_classifier : bool
        Whether a domain classifier G_d is built.
    has_closed_form : bool
        Whether :meth:`write_gradients` is implemented; autograd is used otherwise.
    kept_dims : tuple of int
        Dimension along which the rows of each kept tensor are joined over several steps.
    """

    has_classifier: ClassVar[bool] = True
    has_closed_form: ClassVar[bool] = False
    kept_dims: ClassVar[tuple[int, ...]]

    def __init__(self, module: DANNModule, params: TrainingParams) -> None:
        self.module, self.params = module, params

    def begin(self, features: Tensor, batch: Batch, optimizer: Any) -> None:
        """Act before the losses of a step are computed; by default, do nothing."""
        return

    @abstractmethod
    def loss(self, features: Tensor, batch: Batch, lambda_: Any) -> tuple[Tensor, Kept]:
        """Return the domain loss for autograd, and the tensors to keep for :meth:`totals`.

        Parameters
        ----------
        features : Tensor of shape (..., n_rows, n_features_out)
            Features of all rows of the batch.
        batch : Batch
            The rows.
        lambda_ : float or Tensor of shape (n_members, 1, 1)
            The coefficient lambda.

        Returns
        -------
        loss : Tensor of shape () or (n_members,)
            Before multiplication by `domain_loss_weight`.
        kept : tuple of Tensor
            Enough to compute the recorded figures later.
        """

    @abstractmethod
    def loss_at_rest(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Kept]:
        """Return the same where G_f is not trained.

        `seen` is the output of :meth:`~skdann.nn.DANNModule.condition`, without a gradient.
        """

    def end(self) -> None:
        """Act after the backward pass; by default, do nothing."""
        return

    @abstractmethod
    def totals(self, *kept: Tensor, n_steps: float) -> dict[str, tuple[Tensor, float]]:
        """Return the figures that an epoch records: for each its sum and its number of terms.

        "domain_loss" is required.
        """

    def write_gradients(
        self, classifier: Any, features: Tensor, batch: Batch, lambda_: Any
    ) -> tuple[Tensor, Kept]:
        """Write the gradients of G_d in closed form; return that of the features, and the kept.

        `classifier` is the :class:`~skdann._training.analytic.Chain` of G_d, or None without G_d.
        `domain_loss_weight` is included.
        """
        raise TypeError(f"{type(self).__name__} has no closed form.")

    @abstractmethod
    def write_gradients_at_rest(self, classifier: Any, features: Tensor, batch: Batch) -> Kept:
        """Write the gradients of G_d where G_f is not trained; return the kept tensors."""


class ClassifierAdversary(Adversary):
    """Base of the adversaries whose domain loss is the cross-entropy of a domain classifier.

    An epoch records the domain loss and the domain accuracy.
    """

    kept_dims = (-2, -1, -1)

    def classify(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Kept]:
        """Return the loss of G_d, given the (conditioned) features that it sees, and the kept."""
        logits = self.module.classify_domains(seen, batch.rows)
        kept = (logits, batch.domain, batch.domain_weight)
        return self._cross_entropy(*kept), kept

    def loss_at_rest(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Kept]:
        """Return the loss of G_d."""
        return self.classify(seen.clone(), batch)  # G_d may work in place

    def write_gradients_at_rest(self, classifier: Any, features: Tensor, batch: Batch) -> Kept:
        """Write the gradients of G_d."""
        _, kept = self.propagate(classifier, features, batch, needs_input=False)
        return kept

    def propagate(
        self, classifier: Any, features: Tensor, batch: Batch, *, needs_input: bool = True
    ) -> tuple[Tensor, Kept]:
        """Write the gradients of G_d in closed form; return that of the features, and the kept."""
        kept = (classifier.forward(features, batch.rows), batch.domain, batch.domain_weight)
        grad = domain_gradient(*kept, self.params.domain_label_smoothing)
        if self.params.domain_loss_weight != 1.0:
            grad *= self.params.domain_loss_weight
        return classifier.backward(grad, needs_input=needs_input), kept

    def totals(self, *kept: Tensor, n_steps: float) -> dict[str, tuple[Tensor, float]]:
        """Return domain loss and domain accuracy."""
        logits, domain, _ = kept
        return {
            "domain_loss": (self._cross_entropy(*kept), n_steps),
            "domain_accuracy": (domain_hits(logits, domain).sum(-1), logits.shape[-2]),
        }

    def _cross_entropy(self, logits: Tensor, domain: Tensor, weight: Tensor) -> Tensor:
        return domain_loss(logits, domain, weight, self.params.domain_label_smoothing)
