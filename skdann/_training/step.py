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

from skdann._training.analytic import ByHand
from skdann._training.batches import Batch
from skdann._training.losses import Outputs, domain_loss, label_loss
from skdann.nn import gradient_reversal


class AdversarialSteps(NeuralNet):
    """The part of the net that takes steps; `DANNNet` adds the loop around it."""

    def train_step(
        self, batch: Batch, *, lambda_: Any = 0.0, by_hand: ByHand | None = None, **_: Any
    ) -> Outputs:
        """Take one step of the optimiser on one batch."""
        if self.adversarial == "alternating" and self.is_adversarial_:
            return self._alternating_step(batch, lambda_)
        result: list[Outputs] = []

        def closure() -> Tensor | None:
            loss = None
            if by_hand is None:
                loss, outputs = self._differentiate(batch, lambda_)
            else:
                told = by_hand.write_gradients(batch, lambda_, is_adversarial=self.is_adversarial_)
                outputs = Outputs.of(batch, *told)
            self._notify_gradients(batch)
            result.append(outputs)
            return loss

        self.optimizer_.step(closure)
        return result[-1]

    def _differentiate(self, batch: Batch, lambda_: Any) -> tuple[Tensor, Outputs]:
        """Have autograd write the gradients.

        Without adversary the label loss sees the source rows alone, so that a fit with lambda 0 is
        the source-only fit, bit for bit. Statistics of each domain apart need all rows regardless.
        """
        self.optimizer_.zero_grad(set_to_none=True)
        sees_all = self.n_targets > 0 and (self.is_adversarial_ or self.keeps_domains_apart_)
        if sees_all:
            features = self.module_.extract_features(batch.x, batch.rows)
        else:
            source = batch.rows.of_source()
            features = self.module_.extract_features(batch.x[..., : source.n_source, :], source)
        loss, logits = self._label_loss(features, batch)
        domain_logits = None
        if self.n_targets:
            if sees_all:
                seen = gradient_reversal(self.module_.condition(features, batch.rows), lambda_)
            else:
                seen = self._features_at_rest(batch)
            adversary, domain_logits = self._domain_loss(seen, batch)
            loss = loss + self.domain_loss_weight * adversary
        total = loss.sum()
        total.backward()
        return total.detach(), Outputs.of(batch, logits, domain_logits)

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
            logits = self.module_.predict_labels(source, rows.of_source())
        loss = label_loss(logits, batch.y, batch.label_weight, self.label_smoothing)
        return loss, logits

    def _domain_loss(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and logits of G_d."""
        logits = self.module_.classify_domains(seen, batch.rows)
        loss = domain_loss(
            logits,
            batch.rows.domain,  # type: ignore[arg-type]
            batch.domain_weight,
            self.domain_label_smoothing,
        )
        return loss, logits

    def _alternating_step(self, batch: Batch, lambda_: Any) -> Outputs:
        """Take `domain_steps` steps of G_d on this batch, then one of G_f and G_y against it."""
        features = self.module_.extract_features(batch.x, batch.rows)
        seen = self.module_.condition(features, batch.rows)
        for _ in range(self.domain_steps):
            self.optimizer_.zero_grad(set_to_none=True)
            loss, domain_logits = self._domain_loss(seen.detach(), batch)
            (self.domain_loss_weight * loss).sum().backward()
            self.optimizer_.step()
        self.optimizer_.zero_grad(set_to_none=True)
        loss, logits = self._label_loss(features, batch)
        adversary, _ = self._domain_loss(gradient_reversal(seen, lambda_), batch)
        (loss + self.domain_loss_weight * adversary).sum().backward()
        for parameter in self.module_.domain_classifier.parameters():
            parameter.grad = None
        self._notify_gradients(batch)
        self.optimizer_.step()
        return Outputs.of(batch, logits, domain_logits)

    def _loss_of(self, outputs: Outputs) -> Tensor:
        """Loss of one step, a mean over the members."""
        loss = label_loss(outputs.logits, outputs.y, outputs.label_weight, self.label_smoothing)
        if outputs.domain_logits is not None and outputs.domain is not None:
            told = outputs.domain_logits, outputs.domain, outputs.domain_weight
            loss = loss + self.domain_loss_weight * domain_loss(*told, self.domain_label_smoothing)
        return loss.mean()

    def _notify_gradients(self, batch: Batch) -> None:
        if self.is_gradient_heard_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=(batch.x, batch.y),
                training=True,
            )
