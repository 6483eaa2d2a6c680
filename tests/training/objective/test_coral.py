"""Deep CORAL, against its equation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdann._training.objective.coral import DeepCoral, moments
from skdann.nn import Rows
from tests.training.objective.common import (
    LAMBDAS,
    params_of,
    plain_batch,
    plain_module,
    weights_of,
)


def coral_loss(features, batch, lambda_=1.0):
    module = plain_module(1, has_classifier=False)
    loss, _ = DeepCoral(module, params_of("coral")).loss(features, batch, lambda_)
    return loss


def equal_weights(batch):
    return batch._replace(domain_weight=torch.tensor([1 / 5] * 5 + [1 / 4] * 4))


def test_coral_equals_its_equation_for_equal_weights():
    batch = equal_weights(plain_batch())
    features = batch.x.double()
    difference = np.cov(features[:5].T) - np.cov(features[5:].T)
    expected = (difference**2).sum() / (4 * 3**2)
    assert coral_loss(features, batch).item() == pytest.approx(expected, rel=1e-6)
    assert coral_loss(features, batch, 0.7).item() == pytest.approx(0.7 * expected, rel=1e-6)


def test_coral_equals_its_equation_for_unequal_weights():
    batch = plain_batch()
    features, weight = batch.x.double(), batch.domain_weight.double().numpy()
    source = np.cov(features[:5].T, aweights=weight[:5])
    target = np.cov(features[5:].T, aweights=weight[5:])
    expected = ((source - target) ** 2).sum() / (4 * 3**2)
    assert coral_loss(features, batch).item() == pytest.approx(expected, rel=1e-5)


def test_weighted_moments_by_hand():
    # mean 0.5; (0.75 * 0.5^2 + 0.25 * 1.5^2) / (1 - 0.75^2 - 0.25^2) = 0.75 / 0.375
    result = moments(torch.tensor([[0.0], [2.0]]), torch.tensor([3.0, 1.0]))
    assert result.covariance.item() == pytest.approx(2.0)
    # equal weights, whatever their sum: the unbiased covariance
    rows = torch.tensor([[1.0, 0.0], [3.0, 1.0], [2.0, 5.0]])
    for weight in (torch.ones(3), torch.full((3,), 0.1)):
        assert_allclose(moments(rows, weight).covariance, np.cov(rows.T), rtol=1e-6)


def test_moments_of_a_single_row_and_of_no_weight_are_zero():
    row = torch.tensor([[3.0, -1e4]])
    assert torch.equal(moments(row, torch.ones(1)).covariance, torch.zeros(2, 2))
    # the same row drawn several times: up to rounding
    repeated = moments(row.expand(4, 2), torch.full((4,), 0.25)).covariance
    assert_allclose(repeated, np.zeros((2, 2)), atol=1e-2)
    assert torch.equal(moments(row.expand(4, 2), torch.zeros(4)).covariance, torch.zeros(2, 2))


def test_coral_passes_gradcheck():
    batch = plain_batch()
    batch = batch._replace(domain_weight=batch.domain_weight.double())
    for n_source in (5, 1, 8):  # also one source row, and one target row
        rows = batch._replace(rows=Rows(n_source, batch.domain))
        features = batch.x.double().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, rows=rows: coral_loss(x, rows), features)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_source", [5, 1, 8])
def test_the_closed_form_of_coral_equals_autograd(n_members, n_source):
    """In float64, also for one row of a domain."""
    module = plain_module(1, n_members, has_classifier=False)
    adversary = DeepCoral(module, params_of("coral", domain_loss_weight=0.5))
    batch = plain_batch(n_members=n_members)
    batch = batch._replace(
        domain_weight=batch.domain_weight.double(), rows=Rows(n_source, batch.domain)
    )
    shape = (n_members, 9, 3)
    features = batch.x.double().view(shape).clone().requires_grad_()
    loss, kept = adversary.loss(features, batch, LAMBDAS[n_members])
    (expected,) = torch.autograd.grad(0.5 * loss.sum(), features)
    with torch.no_grad():
        actual, other = adversary.write_gradients(None, features, batch, LAMBDAS[n_members])
    assert expected.abs().max() > 1e-4
    assert_allclose(actual, expected, rtol=1e-6, atol=1e-12)
    assert_allclose(kept[0].detach(), other[0], rtol=1e-12)


def test_coral_learns_nothing_from_single_rows(make, domains):
    """A batch with one row of each domain has no covariances: it is the source-only step."""
    params = {"dropout": 0.0, "batch_size": 1, "activation": "tanh", "optimizer": "sgd"}
    adapted, alone = (
        make("coral", lambda_max=value, **params).fit(*domains[:3]) for value in (2.0, 0.0)
    )
    for name, value in weights_of(adapted).items():
        assert_allclose(value, weights_of(alone)[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert adapted.history_[0]["domain_loss"] == 0.0


def test_coral_with_equal_target_rows(make, domains):
    clf = make("coral").fit(domains.X_source, domains.y_source, domains.X_target[[0, 0]])
    assert np.isfinite(clf.predict_proba(domains.X_target)).all()
    assert clf.history_[0]["domain_loss"] > 0.0


def test_coral_survives_weights_that_round_to_zero(make, domains):
    weight = np.where(np.arange(40) < 38, 1e-60, 1.0)  # some batches hold none of weight 1
    clf = make("coral", batch_size=4).fit(*domains[:3], sample_weight=weight)
    assert np.isfinite(clf.predict_proba(domains.X_target)).all()


def test_coral_builds_no_domain_classifier(make, domains):
    """Not even where one is given."""

    def refuse(*widths):
        pytest.fail("a domain classifier was built")

    clf = make("coral", domain_classifier=refuse).fit(*domains[:3])
    assert clf.module_.domain_classifier is None
