r"""One step of domain-adversarial training.

.. math::

    \theta_f &\leftarrow \theta_f - \mu (\partial L_y / \partial \theta_f
        - \lambda \, \partial L_d / \partial \theta_f) \\
    \theta_y &\leftarrow \theta_y - \mu \, \partial L_y / \partial \theta_y \\
    \theta_d &\leftarrow \theta_d - \mu \, \partial L_d / \partial \theta_d

(Ganin and Lempitsky, ICML 2015, equations 4-6; Ganin et al., JMLR 2016, Algorithm 1, with lambda
fixed to 1 in the update of :math:`G_d`, as their section 5.2.2 does.) :math:`L_y` is the mean
cross-entropy of the source rows, :math:`L_d` the sum of the domains' mean cross-entropies.
"""

from __future__ import annotations

from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor

from skdann import _losses
from skdann._batches import Batch
from skdann._losses import StepRecord
from skdann.nn import Rows, gradient_reversal


class AdversarialSteps(NeuralNet):
    """The part of the net that takes steps; `DANNNet` adds the loop around it."""

    def train_step(self, batch: Batch, *, lambda_: Any = 0.0, **_: Any) -> dict[str, Any]:
        """Take one step of the optimiser on one batch."""
        if self.adversarial == "alternating" and self.is_adversarial_:
            return self._alternating_step(batch, lambda_)
        result: dict[str, Any] = {}

        def closure() -> Tensor:
            self.optimizer_.zero_grad(set_to_none=True)
            loss, logits, record = self._losses(batch, lambda_)
            loss.sum().backward()
            self._notify_gradients(batch)
            result.update(loss=loss.detach(), y_pred=logits.detach(), record=record)
            return loss.sum()

        self.optimizer_.step(closure)
        return result

    def _losses(self, batch: Batch, lambda_: Any) -> tuple[Tensor, Tensor, StepRecord]:
        """Return the loss to differentiate, the class logits, and what to record.

        Without adversary the label loss sees the source rows alone, so that a fit with lambda 0 is
        the source-only fit, bit for bit. Statistics of each domain apart need all rows regardless.
        """
        if not self.n_targets:
            features = self.module_.extract_features(batch.x, batch.rows)
            label_loss, logits = self._label_loss(features, batch)
            return label_loss, logits, StepRecord(label_loss.detach(), None, None)
        if self.is_adversarial_ or self.keeps_domains_apart_:
            features = self.module_.extract_features(batch.x, batch.rows)
            label_loss, logits = self._label_loss(features, batch)
            seen = gradient_reversal(self.module_.condition(features, batch.rows), lambda_)
        else:
            n_source = batch.rows.n_source
            source = self.module_.extract_features(batch.x[..., :n_source, :], _source(batch.rows))
            label_loss, logits = self._label_loss(source, batch)
            seen = self._features_at_rest(batch)
        domain_loss, is_hit = self._domain_loss(seen, batch)
        loss = label_loss + self.domain_loss_weight * domain_loss
        return loss, logits, StepRecord(label_loss.detach(), domain_loss.detach(), is_hit)

    def _features_at_rest(self, batch: Batch) -> Tensor:
        """What G_d sees of all rows, with G_f and G_y neither trained nor touched."""
        self._set_training(False)
        with torch.no_grad():
            features = self.module_.extract_features(batch.x, batch.rows)
            seen = self.module_.condition(features, batch.rows)
        self._set_training(True)
        return seen

    def _label_loss(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and class logits of the source rows."""
        rows = batch.rows
        if self.keeps_domains_apart_:  # G_y then gathers statistics of the target rows too
            logits = self.module_.predict_labels(features, rows)[..., : rows.n_source, :]
        else:
            source = features[..., : rows.n_source, :]
            logits = self.module_.predict_labels(source, _source(rows))
        return _losses.label_loss(logits, batch, self.label_smoothing), logits

    def _domain_loss(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of G_d, and which rows it names rightly."""
        logits = self.module_.classify_domains(seen, batch.rows)
        return _losses.domain_loss(logits, batch, self.domain_label_smoothing)

    def _alternating_step(self, batch: Batch, lambda_: Any) -> dict[str, Any]:
        """Take `domain_steps` steps of G_d on this batch, then one of G_f and G_y against it."""
        features = self.module_.extract_features(batch.x, batch.rows)
        seen = self.module_.condition(features, batch.rows)
        for _ in range(self.domain_steps):
            self.optimizer_.zero_grad(set_to_none=True)
            domain_loss, is_hit = self._domain_loss(seen.detach(), batch)
            (self.domain_loss_weight * domain_loss).sum().backward()
            self.optimizer_.step()
        self.optimizer_.zero_grad(set_to_none=True)
        label_loss, logits = self._label_loss(features, batch)
        adversary, _ = self._domain_loss(gradient_reversal(seen, lambda_), batch)
        loss = label_loss + self.domain_loss_weight * adversary
        loss.sum().backward()
        for parameter in self.module_.domain_classifier.parameters():
            parameter.grad = None
        self._notify_gradients(batch)
        self.optimizer_.step()
        record = StepRecord(label_loss.detach(), domain_loss.detach(), is_hit)
        return {"loss": loss.detach(), "y_pred": logits.detach(), "record": record}

    def _notify_gradients(self, batch: Batch) -> None:
        if self.is_gradient_heard_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=(batch.x, batch.y),
                training=True,
            )


def _source(rows: Rows) -> Rows:
    """Describe the source rows of a batch alone."""
    domain = rows.domain
    return Rows(rows.n_source, None if domain is None else domain[..., : rows.n_source])
