r"""Inverted domain labels: the non-saturating form of alternating steps.

With :math:`p_d(x)` the probability that G_d gives to the domain d of row x, G_f minimizes

.. math:: -\lambda \sum_i w_i \log\big(1 - p_{d_i}(x_i)\big),

the cross-entropy with the labels of source and target exchanged if there are two domains. The
gradient stays large where G_d is right with certainty, where that of the reversed loss vanishes
(Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, section 3; Tzeng, Hoffman, Saenko,
Darrell, "Adversarial Discriminative Domain Adaptation", CVPR 2017, section 3, for target rows).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from skdann._training.batches import Batch
from skdann._training.losses import weighted_sum
from skdann._training.objective.alternating import Alternating
from skdann._training.objective.base import Kept, per_member


def inverted_domain_loss(logits: Tensor, domain: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of -log(1 - p), with p the probability of each row's domain.

    Parameters
    ----------
    logits : Tensor of shape (..., n_rows, 1) or (..., n_rows, n_domains)
        One column for two domains (positive: target).
    domain, weight : Tensor of shape (n_rows,) or (n_members, n_rows)
        Domain indices; weights of the rows.

    Returns
    -------
    Tensor of shape () or (n_members,)
    """
    losses = F.softplus(_log_odds(logits, domain.expand(logits.shape[:-1])))
    return weighted_sum(losses.flatten(), weight)


def _log_odds(logits: Tensor, domain: Tensor) -> Tensor:
    """Logarithm of p / (1 - p), with p the probability of each row's domain."""
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        return torch.where(domain > 0, logit, -logit)
    index = domain.unsqueeze(-1)
    others = logits.scatter(-1, index, -torch.inf)
    largest = others.detach().amax(-1, keepdim=True)  # subtracted, so that nothing overflows
    logit = (logits.gather(-1, index) - largest).squeeze(-1)
    return logit - (others - largest).logsumexp(-1)


class NonSaturating(Alternating):
    """``adversarial="non_saturating"``: G_f is trained against inverted domain labels."""

    def loss(self, features: Tensor, batch: Batch, lambda_: Any) -> tuple[Tensor, Kept]:
        """Return the loss that trains G_f against the updated G_d."""
        seen = self.seen.clone()  # G_d may work in place
        logits = self.module.classify_domains(seen, batch.rows)
        loss = inverted_domain_loss(logits, batch.domain, batch.domain_weight)
        return loss * per_member(lambda_), self.kept
