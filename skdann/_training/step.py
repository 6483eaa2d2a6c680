"""One training step: losses, gradients and the optimizer update.

The label loss (:mod:`skdann._training.label_losses`) compares the outputs of G_y with the labels of
the labelled rows: the source rows and, with ``pseudo_labels="train"``, target rows. The adversary
adds the domain loss (:mod:`skdann._training.objective`). Without an active adversary (lambda 0),
G_f and G_y process labelled rows only, so a fit with ``lambda_max=0`` is bit-identical to a fit
without target rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skdann._training.analytic import AnalyticGradients
from skdann._training.batches import Batch
from skdann._training.label_losses import LabelLoss
from skdann._training.objective import Adversary
from skdann._training.record import Outputs
from skdann.nn import DANNModule


class Step:
    """Training step of one epoch; it never synchronizes with the device.

    Parameters
    ----------
    module : DANNModule
        The three networks, in training mode.
    optimizer : torch.optim.Optimizer
        Optimizer of all their weights.
    adversary : Adversary
        Domain part of the objective.
    label_loss : LabelLoss
        Label part of the objective.
    has_targets : bool
        Whether the batches hold target rows.
    is_adversarial : bool
        Whether the adversary trains G_f.
    keeps_domains_apart : bool
        Whether a normalization layer needs the rows of all domains, even at lambda 0.
    on_gradients : callable or None
        Called with the batch after the gradients are computed.
    ranks : Ranks or None, default=None
        Processes that compute the gradients of other rows of the batch.
    """

    def __init__(
        self,
        module: DANNModule,
        optimizer: Any,
        adversary: Adversary,
        label_loss: LabelLoss,
        *,
        has_targets: bool,
        is_adversarial: bool,
        keeps_domains_apart: bool,
        on_gradients: Callable[[Batch], None] | None = None,
        ranks: Any = None,
    ) -> None:
        self.ranks = ranks
        self.module, self.optimizer, self.adversary = module, optimizer, adversary
        self.label_loss = label_loss
        self.has_targets, self.is_adversarial = has_targets, is_adversarial
        self.keeps_domains_apart, self.on_gradients = keeps_domains_apart, on_gradients
        self.analytic: AnalyticGradients | None = None
        if adversary.has_closed_form or not is_adversarial:
            self.analytic = AnalyticGradients.of(module, adversary, label_loss)

    @property
    def takes_sparse(self) -> bool:
        """Whether the rows of a batch may stay sparse."""
        return self.analytic is not None and self.analytic.takes_sparse

    @property
    def takes_scaled(self) -> bool:
        """Whether the rows of a batch may have been scaled."""
        return self.analytic is not None and self.analytic.has_standardizer

    def take(self, batch: Batch, lambda_: Any) -> Outputs:
        """Take one optimizer step on a batch and return its outputs."""
        evaluated: list[Outputs] = []

        def closure() -> Tensor | None:
            loss, outputs = self._write_gradients(batch, lambda_)
            if self.ranks is not None:
                self.ranks.add_gradients(self.optimizer)
            if self.on_gradients is not None:
                self.on_gradients(batch)
            evaluated.append(outputs)
            return loss

        self.optimizer.step(closure)
        return evaluated[-1]

    def _write_gradients(self, batch: Batch, lambda_: Any) -> tuple[Tensor | None, Outputs]:
        """Compute the gradients of a batch; return the loss if autograd computed one."""
        if self.analytic is None:
            return self._differentiate(batch, lambda_)
        if self.is_adversarial:
            logits, kept = self.analytic.write(batch, lambda_)
        else:
            logits, kept = self.analytic.write_labels_only(batch, has_targets=self.has_targets)
        return None, Outputs.of(batch, logits, kept)

    def _differentiate(self, batch: Batch, lambda_: Any) -> tuple[Tensor, Outputs]:
        """Compute the gradients by autograd."""
        self.optimizer.zero_grad(set_to_none=True)
        features = self._extract(batch)
        if self.is_adversarial:
            optimizer = self.optimizer
            if self.ranks is not None:
                optimizer = self.ranks.adding(optimizer)
            self.adversary.begin(features, batch, optimizer)
        loss, logits = self._compare_labels(features, batch)
        kept: tuple[Tensor, ...] = ()
        if self.has_targets:
            if self.is_adversarial:
                domain_loss, kept = self.adversary.loss(features, batch, lambda_)
            else:
                inputs = self._detached_inputs(features, batch)
                domain_loss, kept = self.adversary.loss_at_rest(inputs, batch)
            loss = loss + self.adversary.params.domain_loss_weight * domain_loss
        total = loss.sum()
        total.backward()
        if self.is_adversarial:
            self.adversary.end()
        return total.detach(), Outputs.of(batch, logits, kept)

    def _extract(self, batch: Batch) -> Tensor:
        """Return features of all rows, or of the labelled rows if no loss needs the others."""
        if self.is_adversarial or (self.has_targets and self.keeps_domains_apart):
            return self.module.extract_features(batch.x, batch.rows)
        x = batch.x[..., : batch.n_labelled, :].clone()  # G_f may work in place
        return self.module.extract_features(x, batch.labelled)

    def _detached_inputs(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the input of G_d for all rows, detached; G_f and G_y are left unchanged."""
        if self.keeps_domains_apart:
            return self.module.condition(features, batch.rows).detach()
        self.module.eval()
        with torch.no_grad():
            features = self.module.extract_features(batch.x, batch.rows)
            inputs = self.module.condition(features, batch.rows)
        self.module.train()
        return inputs

    def _compare_labels(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss and the outputs of G_y for the labelled rows."""
        n_labelled = batch.n_labelled
        features = features.clone()  # G_y may work in place
        if self.keeps_domains_apart:  # G_y also updates the statistics of the target domains
            logits = self.module.predict_labels(features, batch.rows)[..., :n_labelled, :]
        else:
            logits = self.module.predict_labels(features[..., :n_labelled, :], batch.labelled)
        return self.label_loss.total(logits, batch.y, batch.label_weight), logits
