"""Cross-entropies and their gradients, against numpy and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax

from skdann._training.losses import (
    domain_gradient,
    domain_hits,
    domain_loss,
    label_gradient,
    label_loss,
    weighted_sum,
)

smoothings = pytest.mark.parametrize("smoothing", [0.0, 0.3])
members = pytest.mark.parametrize("n_members", [1, 3])


def draw(n_rows, n_columns, n_members=1, seed=0):
    """Logits of shape (n_members, n_rows, n_columns), labels, and a row of weights per member."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(n_members, n_rows, n_columns))
    labels = rng.integers(0, max(n_columns, 2), size=(n_members, n_rows))
    weight = rng.uniform(0.1, 1.0, size=(n_members, n_rows))
    return tuple(map(torch.from_numpy, (logits, labels, weight)))


def expected_probabilities(labels, n_columns, smoothing):
    return (1.0 - smoothing) * np.eye(n_columns)[labels] + smoothing / n_columns


def cross_entropy_by_hand(logits, labels, weight, smoothing):
    """Weighted sum of the cross-entropies of one member; one logit is that of the second label."""
    logits = logits.numpy()
    if logits.shape[1] == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    expected = expected_probabilities(labels.numpy(), logits.shape[1], smoothing)
    losses = -(expected * log_softmax(logits, axis=1)).sum(axis=1)
    return float((losses * weight.numpy()).sum())


@members
@smoothings
@pytest.mark.parametrize("n_columns", [2, 4])
def test_the_label_loss_is_the_weighted_cross_entropy(n_members, smoothing, n_columns):
    batch = draw(7, n_columns, n_members)
    loss = label_loss(*batch, smoothing)
    assert loss.shape == (n_members,)
    expected = [cross_entropy_by_hand(*rows, smoothing) for rows in zip(*batch, strict=True)]
    assert_allclose(loss, expected, rtol=1e-12)


@members
@smoothings
@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_the_domain_loss_is_the_weighted_cross_entropy(n_members, smoothing, n_columns):
    batch = draw(7, n_columns, n_members)
    loss = domain_loss(*batch, smoothing)
    assert loss.shape == (n_members,)
    expected = [cross_entropy_by_hand(*rows, smoothing) for rows in zip(*batch, strict=True)]
    assert_allclose(loss, expected, rtol=1e-12)


@pytest.mark.parametrize("loss", [label_loss, domain_loss])
def test_without_members_a_loss_is_a_scalar(loss):
    logits, labels, weight = draw(6, 3)
    alone = loss(logits[0], labels[0], weight[0], 0.1)
    assert alone.shape == ()
    assert_allclose(alone, loss(logits, labels, weight, 0.1)[0], rtol=1e-12)


@pytest.mark.parametrize("n_columns", [1, 3])
def test_members_may_share_the_domains_and_weights_of_their_rows(n_columns):
    logits, labels, weight = draw(6, n_columns, 2)
    labels, weight = labels[0], weight[0]
    shared = domain_loss(logits, labels, weight.expand(2, 6), 0.1)
    assert_allclose(shared, [domain_loss(each, labels, weight, 0.1) for each in logits])
    gradient = domain_gradient(logits, labels, weight, 0.1)
    assert_allclose(
        gradient, torch.cat([domain_gradient(x[None], labels, weight, 0.1) for x in logits])
    )


def test_one_domain_logit_is_positive_for_the_target():
    logit, weight = torch.tensor([[3.0]]), torch.ones(1)
    losses = [domain_loss(logit, torch.tensor([d]), weight, 0.0).item() for d in (0, 1)]
    assert_allclose(losses, [-np.log(1.0 - expit(3.0)), -np.log(expit(3.0))], rtol=1e-6)


@given(st.integers(1, 9), st.integers(2, 5), st.floats(0.0, 1.0), st.integers(0, 2**31))
def test_label_smoothing_mixes_with_the_mean_over_all_labels(n_rows, n_columns, smoothing, seed):
    logits, labels, weight = (part[0] for part in draw(n_rows, n_columns, seed=seed))
    plain = label_loss(logits, labels, weight, 0.0)
    others = [label_loss(logits, torch.full_like(labels, k), weight, 0.0) for k in range(n_columns)]
    expected = (1.0 - smoothing) * plain + smoothing * torch.stack(others).mean()
    assert_allclose(label_loss(logits, labels, weight, smoothing), expected, rtol=1e-9)


@members
@smoothings
@pytest.mark.parametrize("n_columns", [2, 4])
def test_the_gradient_of_the_label_loss_is_that_of_autograd(n_members, smoothing, n_columns):
    logits, labels, weight = draw(5, n_columns, n_members)
    logits.requires_grad_()
    label_loss(logits, labels, weight, smoothing).sum().backward()
    gradient = label_gradient(logits.detach(), labels, weight, smoothing)
    assert logits.grad.abs().min() > 1e-6
    assert_allclose(gradient, logits.grad, rtol=1e-10, atol=1e-15)


@members
@smoothings
@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_the_gradient_of_the_domain_loss_is_that_of_autograd(n_members, smoothing, n_columns):
    logits, domain, weight = draw(5, n_columns, n_members)
    logits.requires_grad_()
    domain_loss(logits, domain, weight, smoothing).sum().backward()
    gradient = domain_gradient(logits.detach(), domain, weight, smoothing)
    assert gradient.shape == logits.shape
    assert_allclose(gradient, logits.grad, rtol=1e-10, atol=1e-15)


def test_gradients_leave_their_arguments_unchanged():
    for n_columns in (1, 3):
        batch = draw(5, n_columns)
        before = [part.clone() for part in batch]
        domain_gradient(*batch, 0.2)
        assert all(map(torch.equal, batch, before))


def test_hits_of_a_single_logit_are_its_signs():
    logits = torch.tensor([[2.0], [-2.0], [0.5], [-0.5], [0.0]])
    domain = torch.tensor([1, 0, 0, 2, 0])  # with one logit, every target is the second domain
    expected = [True, True, False, False, True]
    assert domain_hits(logits, domain).tolist() == expected
    members = domain_hits(torch.stack([logits, -logits]), domain).tolist()
    assert members == [expected, [False, False, True, True, True]]


@members
@pytest.mark.parametrize("n_columns", [2, 3])
def test_hits_of_several_logits_are_those_of_the_largest(n_members, n_columns):
    logits, domain, _ = draw(20, n_columns, n_members)
    expected = logits.numpy().argmax(axis=2) == domain.numpy()
    assert 0 < expected.sum() < expected.size
    assert_array_equal(domain_hits(logits, domain), expected)


def test_the_weighted_sum_is_over_the_rows_of_each_member():
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert weighted_sum(losses, torch.tensor([0.1, 0.2, 0.3, 0.4])).item() == pytest.approx(3.0)
    weight = torch.tensor([[1.0, 0.0], [0.5, 0.25]])
    assert weighted_sum(losses, weight).tolist() == [1.0, 2.5]
