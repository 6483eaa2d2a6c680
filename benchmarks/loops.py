"""Training loops timed by `benchmarks/speed.py`, all with the same networks.

The networks are 128-64 / classes / 64-1 on 50 columns, with ReLU, Adam at 1e-3 and the lambda
schedule of the DANN paper. A loop is a function of the data, batch size, number of epochs and
dropout rate. It trains from scratch and returns the number of steps, multiplied by the number of
members if it trains several.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

N_FEATURES, N_CLASSES, N_MEMBERS = 50, 2, 16


class Data(NamedTuple):
    """Labelled source rows and unlabelled target rows."""

    X: np.ndarray
    y: np.ndarray
    X_target: np.ndarray


def make_data(n_rows: int) -> Data:
    """Return two shifted Gaussian domains with a linear label."""
    rng = np.random.default_rng(0)
    X, X_target = rng.standard_normal((2, n_rows, N_FEATURES), dtype=np.float32)
    return Data(X, (X[:, 0] + X[:, 1] > 0).astype(np.int64), X_target + np.float32(0.5))


def count_steps(n_rows: int, batch: int, n_epochs: int) -> int:
    """Return the number of steps in `n_epochs` passes over the source."""
    return n_epochs * -(-n_rows // batch)


def lambda_at(progress: float) -> float:
    """Return lambda according to the schedule of Ganin et al. (2016)."""
    return 2 / (1 + np.exp(-10 * progress)) - 1


# ---- lower bound, and a hand-written loop


def matrix_products(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Compute only the matrix products of a step: forward, input gradient, weight gradient."""
    n_steps = count_steps(len(data.X), batch, n_epochs)
    rows = min(batch, len(data.X))
    sizes = [(N_FEATURES, 128, 2), (128, 64, 2), (64, 64, 2), (64, 1, 2), (64, N_CLASSES, 1)]
    operands = [
        (torch.randn(n * rows, i), torch.randn(i, o), torch.randn(n * rows, o), index > 0)
        for index, (i, o, n) in enumerate(sizes)
    ]
    for _ in range(n_steps):
        for x, weight, grad, needs_input_grad in operands:
            x @ weight
            x.T @ grad
            if needs_input_grad:
                grad @ weight.T
    return n_steps


class ReverseGradient(torch.autograd.Function):
    """Identity in the forward pass; multiplies the gradient by -lambda in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, lambda_: float) -> torch.Tensor:
        """Return `x` unchanged."""
        ctx.lambda_ = lambda_
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Reverse and scale the gradient."""
        return -ctx.lambda_ * grad, None


def make_networks(dropout: float) -> nn.ModuleDict:
    """Return the feature extractor, label predictor and domain classifier."""
    drop = [nn.Dropout(dropout)] if dropout else []
    extractor = [nn.Linear(N_FEATURES, 128), nn.ReLU(), *drop, nn.Linear(128, 64), nn.ReLU(), *drop]
    classifier = [nn.Linear(64, 64), nn.ReLU(), *drop, nn.Linear(64, 1)]
    return nn.ModuleDict(
        {
            "extractor": nn.Sequential(*extractor),
            "predictor": nn.Linear(64, N_CLASSES),
            "classifier": nn.Sequential(*classifier),
        }
    )


def hand_written(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Train with a usual hand-written loop: indexing, autograd, Adam and torch's loss modules."""
    torch.manual_seed(0)
    networks = make_networks(dropout)
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-3)
    label_loss, domain_loss = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()
    X, y, X_target = map(torch.from_numpy, data)
    n_steps = 0
    for epoch in range(n_epochs):
        order, target_order = torch.randperm(len(X)), torch.randperm(len(X_target))
        for start in range(0, len(X), batch):
            lambda_ = lambda_at((epoch + start / len(X)) / n_epochs)
            rows = order[start : start + batch]
            x_source, labels = X[rows], y[rows]
            x_target = X_target[target_order[start : start + batch]]
            features = networks["extractor"](torch.cat([x_source, x_target]))
            is_target = torch.cat([torch.zeros(len(x_source), 1), torch.ones(len(x_target), 1)])
            logits = networks["classifier"](ReverseGradient.apply(features, lambda_))
            loss = label_loss(networks["predictor"](features[: len(rows)]), labels)
            loss = loss + 2 * domain_loss(logits, is_target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            n_steps += 1
    return n_steps


# ---- several members with torch.func.vmap


def by_vmap(n_members: int) -> Callable[..., int]:
    """Train `n_members` copies of a plain module, each with separate batches and lambda.

    The loss is mapped over stacked parameters. Autograd differentiates its sum, and one fused Adam
    updates all members.
    """

    def loop(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
        torch.manual_seed(0)
        copies = [make_networks(dropout) for _ in range(n_members)]
        parameters, buffers = stack_module_state(copies)
        optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, fused=True)
        skeleton = _Losses(copies[0])
        parameters = {f"networks.{name}": value for name, value in parameters.items()}
        buffers = {f"networks.{name}": value for name, value in buffers.items()}

        def losses(values: Any, buffer_values: Any, *batch: torch.Tensor) -> torch.Tensor:
            return functional_call(skeleton, (values, buffer_values), batch)

        mapped = vmap(losses, randomness="different")
        n_steps = 0
        for *rows, progress in _member_batches(data, n_members, batch, n_epochs):
            lambda_ = torch.full((n_members,), lambda_at(progress))
            loss = mapped(parameters, buffers, *rows, lambda_).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            n_steps += n_members
        return n_steps

    return loop


class _Losses(nn.Module):
    """Sum of both losses on a batch of one member."""

    def __init__(self, networks: nn.ModuleDict) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, x: torch.Tensor, labels: torch.Tensor, lambda_: torch.Tensor) -> torch.Tensor:
        n_source = len(labels)
        features = self.networks["extractor"](x)
        reversed_ = (1 + lambda_) * features.detach() - lambda_ * features
        is_target = (torch.arange(len(x)) >= n_source).float()
        logits = self.networks["classifier"](reversed_).squeeze(1)
        domain_loss = nn.functional.binary_cross_entropy_with_logits(logits, is_target)
        label_loss = nn.functional.cross_entropy(
            self.networks["predictor"](features[:n_source]), labels
        )
        return label_loss + 2 * domain_loss


def _member_batches(
    data: Data, n_members: int, batch: int, n_epochs: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """Yield (x, labels, progress) with a leading member dimension."""
    X, y, X_target = map(torch.from_numpy, data)
    for epoch in range(n_epochs):
        orders = [[torch.randperm(len(X)) for _ in range(n_members)] for _ in range(2)]
        source, target = (torch.stack(order) for order in orders)
        for start in range(0, len(X), batch):
            rows = source[:, start : start + batch]
            x = torch.cat([X[rows], X_target[target[:, start : start + batch]]], dim=1)
            yield x, y[rows], (epoch + start / len(X)) / n_epochs


# ---- skdann and scikit-learn


def ours(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Run `DANNClassifier.fit`, including checks, copies and history."""
    from skdann import DANNClassifier

    clf = DANNClassifier(
        standardize=None, dropout=dropout, batch_size=batch, max_epochs=n_epochs, random_state=0
    )
    clf.fit(*data)
    return count_steps(len(data.X), batch, n_epochs)


def our_members(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Run `DANNClassifierCV.fit` with 4 lambdas (one of them 0) and 4 seeds.

    Each member holds out a fifth of the source. A quarter more rows are passed, so that each member
    trains on as many rows as the other systems.
    """
    from skdann import DANNClassifier, DANNClassifierCV

    base = DANNClassifier(dropout=dropout, batch_size=batch, max_epochs=n_epochs)
    search = DANNClassifierCV(
        base,
        lambdas=(0, 0.1, 0.3, 1.0),
        standardize=(None,),
        n_seeds=4,
        families=("alignment",),
        aggregate="passing",
        random_state=0,
    )
    more = np.arange(len(data.X) * 5 // 4) % len(data.X)
    search.fit(data.X[more], data.y[more], data.X_target)
    return N_MEMBERS * count_steps(len(data.X), batch, n_epochs)


def mlp(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Run scikit-learn's MLPClassifier on the source rows, without adaptation."""
    clf = MLPClassifier(
        (128, 64),
        batch_size=min(batch, len(data.X)),
        max_iter=n_epochs,
        n_iter_no_change=n_epochs + 1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(data.X, data.y)
    return count_steps(len(data.X), batch, n_epochs)


# ---- other packages


def skada(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Run skada's deep DANN, which skips the rows of an incomplete last batch."""
    from systems import build_skada_dann, routing

    n_rows, batch = len(data.X), min(batch, len(data.X))
    with routing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = build_skada_dann(N_FEATURES, N_CLASSES, batch_size=batch, n_epochs=n_epochs)
        net.fit(
            np.concatenate([data.X, data.X_target]),
            np.concatenate([data.y, np.full(len(data.X_target), -1)]),
            sample_domain=np.repeat([1, -2], [n_rows, len(data.X_target)]),
        )
    return n_epochs * (n_rows // batch)


def pytorch_adapt(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Run pytorch-adapt's DANNHook with its datasets and a torch DataLoader, as in its guide."""
    from pytorch_adapt.datasets import (
        CombinedSourceAndTargetDataset,
        SourceDataset,
        TargetDataset,
    )
    from pytorch_adapt.hooks import DANNHook
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(0)
    networks = make_networks(dropout)
    extractor, predictor, classifier = networks.values()
    models = {"G": extractor, "C": predictor, "D": nn.Sequential(classifier, nn.Flatten(0))}
    hook = DANNHook([torch.optim.Adam(networks.parameters(), lr=1e-3)])
    X, y, X_target = map(torch.from_numpy, data)
    target = TargetDataset(TensorDataset(X_target, torch.zeros(len(X_target), dtype=torch.long)))
    both = CombinedSourceAndTargetDataset(SourceDataset(TensorDataset(X, y)), target)
    loader = DataLoader(both, batch_size=batch, shuffle=True)
    n_steps = 0
    for _ in range(n_epochs):
        for rows in loader:
            hook({**models, **rows})
            n_steps += 1
    return n_steps


def adapt(data: Data, batch: int, n_epochs: int, dropout: float) -> int:
    """Run ADAPT's DANN on TensorFlow, whose data pipeline uses additional threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    from adapt.feature_based import DANN

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def network(*layers: tuple[int, str | None]) -> Any:
        return tf.keras.Sequential([tf.keras.layers.Dense(n, activation=a) for n, a in layers])

    model = DANN(
        encoder=network((128, "relu"), (64, "relu")),
        task=network((N_CLASSES, "softmax")),
        discriminator=network((64, "relu"), (1, "sigmoid")),
        lambda_=1.0,
        loss="categorical_crossentropy",
        optimizer=tf.keras.optimizers.Adam(1e-3),
        Xt=data.X_target,
        random_state=0,
        verbose=0,
    )
    model.fit(data.X, np.eye(N_CLASSES)[data.y], epochs=n_epochs, batch_size=batch, verbose=0)
    return count_steps(len(data.X), batch, n_epochs)


# ---- rows of the table


class Loop(NamedTuple):
    """A row of the table.

    `share` scales the number of steps: lower for slow steps, higher if set-up would dominate.
    `dropouts` lists the tables that contain the row, without or with dropout. `largest` is the
    maximum number of rows.
    """

    title: str
    run: Callable[[Data, int, int, float], int]
    share: float = 1.0
    dropouts: tuple[bool, ...] = (False,)
    largest: float = 1e9
    needs: tuple[str, ...] = ()

    def obstacle(self) -> str:
        """Return the reason why the loop cannot run here, or an empty string."""
        missing = [name for name in self.needs if not find_spec(name)]
        if missing:
            return f"{' and '.join(missing)} not installed"
        if "skdann" in self.needs:
            import skdann

            if self.run is our_members and not hasattr(skdann, "DANNClassifierCV"):
                return "this version of skdann has no DANNClassifierCV"
        return ""


REFERENCE = "hand"
BOTH = (False, True)
MANY = 100_000  # slow loops are skipped beyond this number of rows
LOOPS = {
    "products": Loop("matrix products only (lower bound)", matrix_products),
    "mlp": Loop("MLPClassifier, source rows only", mlp),
    REFERENCE: Loop("hand-written torch loop", hand_written, dropouts=BOTH),
    "skdann": Loop("DANNClassifier", ours, dropouts=BOTH, needs=("skdann",)),
    "members": Loop(
        "DANNClassifierCV, 16 members, per member", our_members, 4.0, BOTH, MANY, ("skdann",)
    ),
    "vmap16": Loop(
        "16 members with torch.func.vmap, per member", by_vmap(N_MEMBERS), 4.0, BOTH, MANY
    ),
    "vmap1": Loop("one network with vmap", by_vmap(1), 0.5, (False,), MANY),
    "adapt": Loop("ADAPT DANN (TensorFlow)", adapt, 3.0, (False,), MANY, ("adapt", "tensorflow")),
    "skada": Loop("skada deep DANN", skada, 0.2, (False,), MANY, ("skada", "skorch")),
    "pytorch-adapt": Loop(
        "pytorch-adapt DANNHook", pytorch_adapt, 0.2, (False,), MANY, ("pytorch_adapt",)
    ),
}
