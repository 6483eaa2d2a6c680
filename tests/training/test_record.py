"""Losses recorded in each epoch."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdann._training import record
from skdann._training.label_losses.cross_entropy import CrossEntropy
from skdann._training.record import EpochSums, Outputs
from tests.training.common import ONE_STEP, SMALL, Weights, domains, fit


def test_the_history_has_a_row_per_epoch():
    X, y, targets = domains(n_source=64)
    parameters = {
        **SMALL,
        "batch_size": 16,
        "max_epochs": 5,
        "lambda_max": 0.6,
        "lr_schedule": "cosine",
    }
    clf = fit({**parameters, "early_stopping": True, "validation_fraction": 0.25}, X, y, targets)
    assert [row["epoch"] for row in clf.history_] == [1, 2, 3, 4, 5]
    for epoch, row in enumerate(clf.history_):
        assert {
            "train_loss",
            "label_loss",
            "domain_loss",
            "domain_accuracy",
            "lambda",
            "lr",
        } <= set(row)
        assert {"dur", "valid_loss", "valid_accuracy"} <= set(row)
        assert "batches" not in row
        # three steps of 16 of 48 rows per epoch; the figures of the last one are recorded
        p = (3 * epoch + 2) / 15
        assert row["lambda"] == pytest.approx(0.6 * (2 / (1 + math.exp(-10 * p)) - 1))
        assert row["lr"] == pytest.approx(1e-3 * (1 + math.cos(math.pi * p)) / 2)
        assert row["dur"] > 0
        assert 0 <= row["domain_accuracy"] <= 1
        assert 0 <= row["valid_accuracy"] <= 1
        assert row["train_loss"] == pytest.approx(row["label_loss"] + row["domain_loss"])
    assert clf.history_[0]["domain_loss"] == pytest.approx(2 * math.log(2), rel=0.2)
    assert clf.history_[0]["label_loss"] == pytest.approx(math.log(2), rel=0.3)


def test_recorded_domain_accuracy_is_the_share_of_correct_rows():
    X, y, targets = domains()
    spy = Weights()
    clf = fit({**ONE_STEP, "callbacks": [spy]}, X, y, targets)
    before = copy.deepcopy(clf)
    before.module_.load_state_dict(spy.initial_)
    before.net_.module_.load_state_dict(spy.initial_)
    right = [before.predict_domain_proba(rows)[:, d] > 0.5 for d, rows in enumerate([X, *targets])]
    assert clf.history_[0]["domain_accuracy"] == pytest.approx(np.mean(right))


def test_without_target_the_history_has_no_domain_figures():
    X, y, _ = domains()
    row = fit(SMALL, X, y, []).history_[-1]
    assert {"domain_loss", "domain_accuracy"}.isdisjoint(row)
    assert row["train_loss"] == row["label_loss"]
    assert row["lambda"] == 0.0


def cross_entropy(smoothing=0.0):
    """Return the label loss of a classifier."""
    return CrossEntropy(SimpleNamespace(label_smoothing=smoothing))


class Distance:
    """Adversary whose loss is the sum of one kept tensor."""

    kept_dims = (-1,)

    def totals(self, kept, n_steps):
        return {"domain_loss": (kept.sum(-1), n_steps), "share": (kept.sum(-1), kept.shape[-1])}


def step(n_rows, seed, *, n_members=1, has_domain=True):
    """Outputs of a step, and its label loss by hand."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n_members, n_rows, 2, generator=generator)
    y = torch.arange(n_rows).expand(n_members, n_rows) % 2
    weight = torch.full((n_members, n_rows), 1.0 / n_rows)
    kept = (torch.rand(n_members, n_rows, generator=generator),) if has_domain else ()
    losses = -logits.log_softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1).mean(-1)
    return Outputs(logits, y, weight, kept, logits.numel()), losses


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("flush_steps", [1, 2, 64])
def test_means_do_not_depend_on_how_steps_are_grouped(n_members, flush_steps, monkeypatch):
    monkeypatch.setattr(record, "FLUSH_STEPS", flush_steps)
    sums = EpochSums(Distance(), cross_entropy(), 2.0)
    steps = [step(n_rows, seed, n_members=n_members) for seed, n_rows in enumerate([4, 4, 3, 5, 4])]
    for outputs, _ in steps:
        sums.add(outputs)
        assert len(sums.pending) < flush_steps
    means = sums.means()
    kept = [outputs.domain[0] for outputs, _ in steps]
    expected = {
        "label_loss": torch.stack([losses for _, losses in steps]).mean(0),
        "domain_loss": torch.stack([rows.sum(-1) for rows in kept]).mean(0),
        "share": torch.cat(kept, -1).mean(-1),
    }
    assert means.keys() == expected.keys()
    for name, value in expected.items():
        assert isinstance(means[name], float) == (n_members == 1)
        assert_allclose(means[name], value.squeeze(), rtol=1e-6)
    assert sums.means().keys() == means.keys()  # and once more, with nothing pending


def test_many_numbers_are_not_kept_for_long(monkeypatch):
    monkeypatch.setattr(record, "FLUSH_NUMBERS", 20)
    sums = EpochSums(Distance(), cross_entropy(), 1.0)
    for seed, n_pending in enumerate([1, 2, 0]):  # 8, 16 and 24 numbers
        sums.add(step(4, seed)[0])
        assert len(sums.pending) == n_pending
    assert sums.n_pending == 0


def test_the_loss_of_a_step_is_that_of_training():
    outputs, losses = step(5, 0, n_members=2)
    expected = (losses + 3.0 * outputs.domain[0].sum(-1)).mean()
    sums = EpochSums(Distance(), cross_entropy(), 3.0)
    assert sums.loss_of(outputs).item() == pytest.approx(expected.item())
    alone, losses = step(5, 0, n_members=2, has_domain=False)
    assert sums.loss_of(alone).item() == pytest.approx(losses.mean().item())


def test_label_smoothing_is_that_of_training():
    outputs, _ = step(5, 0)
    log_p = outputs.logits.log_softmax(-1)[0]
    hit = log_p[torch.arange(5), outputs.y[0]]
    expected = -(0.8 * hit + 0.2 * log_p.mean(-1)).mean()
    sums = EpochSums(Distance(), cross_entropy(0.2), 1.0)
    sums.add(outputs)
    assert sums.means()["label_loss"] == pytest.approx(expected.item(), rel=1e-6)


def test_means_of_losses_that_are_not_finite_are_not_finite():
    sums = EpochSums(Distance(), cross_entropy(), 1.0)
    outputs, _ = step(4, 0)
    sums.add(outputs)
    sums.add(outputs._replace(logits=outputs.logits * math.nan))
    assert math.isnan(sums.means()["label_loss"])


def test_outputs_are_detached_from_the_graph():
    logits = torch.zeros(4, 2, requires_grad=True)
    kept = (torch.zeros(7, requires_grad=True) * 2.0,)
    batch = SimpleNamespace(
        y=torch.zeros(4), label_weight=torch.ones(4), domain_weight=torch.ones(7)
    )
    outputs = Outputs.of(batch, logits * 1.0, kept)
    assert not outputs.logits.requires_grad
    assert not outputs.domain[0].requires_grad
    assert outputs.n_numbers == 4 * 2 + 7
