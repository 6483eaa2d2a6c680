r"""Pseudo-labels: predictions for the target rows that decide how rows are drawn and labelled.

With :math:`p_k(x)` the predicted probability of class k of K, and
:math:`q_k = \operatorname{mean}_{x \in T} p_k(x)` its predicted share in the target, there are two
kinds:

- "train", self-training: of the target rows predicted as class k, the surest half is trained on
  with that label beside the source rows, in equal numbers and with equal total weight (Lee,
  "Pseudo-Label", ICML workshop 2013; the same share of every class: Zou, Yu, Vijaya Kumar, Wang,
  "Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced Self-Training", ECCV
  2018, equation 4);
- "balance", balanced alignment: rows of both domains are drawn so that all classes have equal
  shares, source rows with probability proportional to :math:`1 / s_k`, where :math:`s_k` is the
  share of their class, and target rows to :math:`\min(\sum_k p_k(x) / (K q_k), 5)`. What is aligned
  then has equal class shares in both domains (Garg, Erickson, Sharpnack, Smola, Balakrishnan,
  Lipton, "RLSbench: Domain Adaptation Under Relaxed Label Shift", ICML 2023, section 4). Shares are
  at least 0.02.

Pseudo-labels are computed by the network being trained, at the shares `REFRESHES` of training.
Until then it trains without, or with those of its teachers, nets that are trained already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from skdann._input.drawing import draw_rows
from skdann._training.label_shift import LabelShift
from skdann.nn._standardizer import ColumnMoments

SURE_SHARE = 0.5  # share of the target rows of each predicted class that "train" labels
MIN_CLASS_SHARE = 0.02
MAX_WEIGHT = 5.0  # of a target row with "balance", where 1 is the mean
REFRESHES = (1 / 3, 2 / 3)  # training progress
MOST_ROWS = 4000  # target rows of each domain that get pseudo-labels, unless the source has more

_Array = np.ndarray


class _Predictions(NamedTuple):
    """Class probabilities (n_members, n_drawn, n_classes) of the rows drawn from a target."""

    proba: _Array
    rows: Any
    n_rows: int


class Draws(NamedTuple):
    """How one member draws the rows of a target, and how it labels them.

    Attributes
    ----------
    weight : ndarray of shape (n_rows,)
        Weight of each row in the draw, some positive.
    label : ndarray of int of shape (n_rows,), or None
        Class index of each row, if the rows are trained on.
    """

    weight: _Array
    label: _Array | None

    def spread(self, predicted: _Predictions) -> Draws:
        """Return the same for all rows of the target; rows that were not drawn have weight 0."""
        if isinstance(predicted.rows, slice):
            return self
        weight, label = np.zeros(predicted.n_rows), None
        weight[predicted.rows] = self.weight
        if self.label is not None:
            label = np.zeros(predicted.n_rows, dtype=np.int64)
            label[predicted.rows] = self.label
        return Draws(weight, label)


def label_surest(proba: _Array) -> Draws:
    """Label the surest rows of each predicted class of a target.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_classes)
        Predictions for the rows of one target.
    """
    label, sureness = proba.argmax(1), proba.max(1)
    weight = np.zeros(len(label))
    for predicted in np.unique(label):
        rows = np.flatnonzero(label == predicted)
        n_sure = math.ceil(SURE_SHARE * len(rows))
        weight[rows[np.argsort(-sureness[rows], kind="stable")[:n_sure]]] = 1.0
    return Draws(weight, label)


def balance_target(proba: _Array) -> Draws:
    """Weight the rows of a target so that its predicted classes have equal shares."""
    share = np.maximum(proba.mean(0), MIN_CLASS_SHARE)
    weight = (proba / share).sum(1) / proba.shape[1]
    return Draws(np.minimum(weight, MAX_WEIGHT), None)


def balance_source(y: _Array, domain: _Array, mass: _Array) -> _Array:
    """Weight source rows so that the classes of each source have equal shares.

    Parameters
    ----------
    y, domain : ndarray of int of shape (n_rows,)
        Class and domain of each row.
    mass : ndarray of shape (n_rows,)
        Sample weights.
    """
    weight = np.ones(len(y))
    for each in np.unique(domain):
        rows = domain == each
        shares = np.bincount(y[rows], weights=mass[rows]) / mass[rows].sum()
        weight[rows] = 1.0 / np.maximum(shares, MIN_CLASS_SHARE)[y[rows]]
        weight[rows] *= rows.sum() / weight[rows].sum()
    return weight


def refreshes(n_epochs: int) -> list[int]:
    """Return the numbers of epochs after which a net computes pseudo-labels."""
    return [math.ceil(share * n_epochs) for share in REFRESHES]


KINDS: dict[str, Callable[[_Array], Draws]] = {"train": label_surest, "balance": balance_target}


def estimate_correction(net: Any, data: Any) -> LabelShift:
    r"""Estimate how to correct predictions of target rows after training on balanced classes.

    A network trained on equal class shares predicts too many rows of the rare classes. With its
    mean prediction :math:`q_k` for the target as the share of class k, corrected probabilities are
    proportional to :math:`q_k p_k(x)`; this is one step of the EM algorithm of Saerens, Latinne,
    Decaestecker, Neural Computation 14(1), 2002, equation 2.4.
    """
    rows = data.n_source + np.arange(len(data.domain) - data.n_source)
    rows = rows[draw_rows(len(rows), MOST_ROWS, 0)]
    logits = net.infer_rows(data.X[rows], data.domain[rows], "labels").astype(np.float64)
    share = softmax(logits, -1).mean(0)
    priors = (len(rows) * share + 1.0) / (len(rows) + len(share))
    return LabelShift("correct", priors, priors * len(priors))


class PseudoLabels:
    """Pseudo-labels of all members of a net during one call of its training loop.

    Parameters
    ----------
    net : DANNNet
        The net; the `pseudo_labels` of its training holds one kind per member.
    fit_data : FitData
        The rows, and the teachers, if any.
    batches : DomainBatches
        Batches of these rows, whose draws and labels are changed.
    is_chunk : bool
        Whether the rows are a chunk of `partial_fit`, which does not change the scaling.
    """

    def __init__(self, net: Any, fit_data: Any, batches: Any, *, is_chunk: bool) -> None:
        self.net, self.fit_data, self.batches = net, fit_data, batches
        self.is_chunk = is_chunk
        self.moments = ColumnMoments(fit_data.data.X)
        kinds = net.training.pseudo_labels if net.n_targets else ()
        self.kinds = {member: kind for member, kind in enumerate(kinds) if kind is not None}
        self.is_first = True

    def update_if_due(self, n_done: int, n_epochs: int) -> None:
        """Update before an epoch if it is due, or the first and there are teachers."""
        is_first, self.is_first = self.is_first and not self.batches.has_weights, False
        if not self.kinds:
            return
        due = refreshes(n_epochs)
        if n_done in due or (is_first and n_done > due[0]):
            self._update(list(self._predict(n_done)))
        elif is_first and self.fit_data.teachers:
            self._update(list(self._ask_teachers(n_done)))

    def _update(self, predictions: list[_Predictions]) -> None:
        """Change draws, labels and the scaling of each member."""
        if self.batches.ranks is not None:  # processors may round differently
            predictions = self.batches.ranks.of_first(lambda: predictions)
        for member, kind in self.kinds.items():
            weights = []
            for target, predicted in enumerate(predictions):
                draws = KINDS[kind](predicted.proba[member]).spread(predicted)
                self.batches.draw_target(member, target, draws.weight, draws.label)
                weights.append(draws.weight)
            if kind == "balance":
                self._balance(member, np.concatenate(weights))

    def _target_rows(self, seed: int) -> Iterator[tuple[int, _Array, Any]]:
        """Yield the domain, the row indices of each target, and which of them are drawn."""
        data = self.fit_data.data
        most = max(MOST_ROWS, data.n_source)
        for domain in range(self.net.n_domains - self.net.n_targets, self.net.n_domains):
            rows = np.flatnonzero(data.domain == domain)
            yield domain, rows, draw_rows(len(rows), most, seed)

    def _predict(self, seed: int) -> Iterator[_Predictions]:
        """Predict rows of each target with every member."""
        self.net._set_training(False)
        for domain, rows, drawn in self._target_rows(seed):
            yield _Predictions(self._proba(self.net, rows[drawn], domain), drawn, len(rows))

    def _ask_teachers(self, seed: int) -> Iterator[_Predictions]:
        """Return the mean prediction of the teachers, the same for every member."""
        for domain, rows, drawn in self._target_rows(seed):
            proba = [self._proba(net, rows[drawn], domain) for net in self.fit_data.teachers]
            mean = np.concatenate(proba).mean(0, keepdims=True)
            yield _Predictions(np.repeat(mean, self.net.n_members, 0), drawn, len(rows))

    def _proba(self, net: Any, rows: _Array, domain: int) -> _Array:
        """Return the class probabilities (n_members, n_rows, n_classes) of rows of a target."""
        X = self.fit_data.data.X[rows]
        blocks = net.infer_blocks(X, np.full(X.shape[0], domain), "labels")
        logits = np.concatenate(list(blocks), axis=-2).astype(np.float64)
        return softmax(logits.reshape(net.n_members, *logits.shape[-2:]), -1)

    def _balance(self, member: int, target_weight: _Array) -> None:
        """Draw the source rows of a member by class, and scale each domain by what is drawn."""
        data, train = self.fit_data.data, np.atleast_2d(self.fit_data.train)
        train = train[member if len(train) > 1 else 0]
        mass = np.ones(data.n_source) if data.weight is None else data.weight
        weight = balance_source(data.y[train], data.domain[train], mass[train])
        self.batches.draw_source(member, weight)
        self._balance_labelled(member)
        standardizer = getattr(self.net.module_, "standardizer", None)
        if standardizer is not None and not self.is_chunk:
            rows = np.concatenate([train, np.arange(data.n_source, len(data.domain))])
            weights = np.concatenate([mass[train], np.ones(len(target_weight))])
            draws = np.concatenate([weight, target_weight])
            domain = data.domain[rows]
            standardizer.measure(member, self.moments, domain, weights, draws, rows=rows)

    def _balance_labelled(self, member: int) -> None:
        """Draw the labelled target rows of a member by class, as source rows."""
        data, labelled = self.fit_data.data, self.fit_data.labelled
        if labelled is None:
            return
        rows = np.atleast_2d(labelled)
        rows = rows[member if len(rows) > 1 else 0]
        weight = balance_source(data.y_known[rows], data.domain[rows], np.ones(len(rows)))
        self.batches.draw_labelled(member, weight)
