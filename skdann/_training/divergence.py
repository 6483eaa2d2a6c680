"""Divergence: how a fit that went wrong is recognized and reported.

Errors: ``ValueError`` <- ``DivergenceError``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

REMEDY = (
    "training diverged. Scale the columns (skdann.make_pipeline(StandardScaler(), ...)), or lower "
    "lr, lambda_max, domain_loss_weight or weight_decay, and check feature_extractor, "
    "label_predictor and domain_classifier if you pass modules."
)


class DivergenceError(ValueError):
    """Training diverged: losses, weights or outputs are not finite.

    Examples
    --------
    >>> from skdann import DANNClassifier, DivergenceError
    >>> from skdann.datasets import make_covariate_shift
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(optimizer="sgd", lr=1e30, max_epochs=2, random_state=0)
    >>> try:
    ...     clf.fit(X_source, y_source, X_target)
    ... except DivergenceError:
    ...     print("lower lr")
    lower lr
    """


def check_loss(loss: Any, epoch: int) -> None:
    """Raise unless the loss of some member is finite."""
    if not np.isfinite(loss).any():
        raise DivergenceError(f"The loss became {np.mean(loss)} in epoch {epoch}: {REMEDY}")


def check_outcome(net: Any, data: Any) -> None:
    """Raise unless weights, running statistics, and outputs for some rows are finite."""
    n_epochs = len(net.history)
    for name, value in [*net.module_.named_parameters(), *net.module_.named_buffers()]:
        if not bool(torch.isfinite(value).all()):
            raise DivergenceError(
                f"The weights {name} are not finite after epoch {n_epochs}: {REMEDY}"
            )
    n_rows = len(data.domain)
    rows = np.r_[: min(32, n_rows), max(0, n_rows - 32) : n_rows]  # of the source and the target
    (logits,) = net.infer_blocks(data.X[rows], data.domain[rows], "labels", block_rows=len(rows))
    if not np.isfinite(logits).all():
        raise DivergenceError(f"The outputs are not finite after epoch {n_epochs}: {REMEDY}")
