"""Pinball loss: against scikit-learn's, and its relation to the absolute error."""

import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import mean_pinball_loss

from tests.training.label_losses.common import new_loss, numbers


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_it_is_the_pinball_loss_of_scikit_learn(quantile):
    outputs, y, weight = numbers()
    actual = new_loss("quantile", quantile=quantile).total(outputs, y, weight)
    expected = mean_pinball_loss(y, outputs[0], alpha=quantile, sample_weight=weight)
    assert_allclose(actual, expected)


def test_the_median_is_half_of_the_absolute_error():
    batch = numbers()
    half = new_loss("absolute_error").total(*batch) / 2
    assert torch.allclose(new_loss("quantile").total(*batch), half)
