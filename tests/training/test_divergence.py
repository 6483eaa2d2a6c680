"""Divergence: a DivergenceError, and an unchanged estimator."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback

from skdann import DANNClassifier, DivergenceError
from skdann._training.divergence import check_loss, check_outcome
from tests.training.common import ONE_STEP, SMALL, assert_weights, domains, fit


@pytest.mark.parametrize("changed", [{}, {"optimizer": "adam"}, {"adversarial": "alternating"}])
def test_a_diverging_fit_raises_and_leaves_the_estimator_unfitted(changed):
    X, y, targets = domains()
    broken = {**SMALL, "optimizer": "sgd", "lr": 1e20, "batch_size": 8, **changed}
    clf = DANNClassifier(**broken)
    with pytest.raises(ValueError, match=r"epoch 1\b.*diverged.*lower lr"):
        clf.fit(X, y, targets[0])
    assert set(vars(clf)) == set(clf.get_params())


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_fit_that_diverges_late_names_the_epoch_and_keeps_the_previous_fit(warm_start):
    class Explosion(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == net.history_before_ + 3:
                with torch.no_grad():
                    net.module_.label_predictor[0].weight.fill_(math.nan)

        def on_train_begin(self, net, **kwargs):
            net.history_before_ = len(net.history)

    X, y, targets = domains()
    clf = fit({**SMALL, "warm_start": warm_start}, X, y, targets)
    before, probabilities = dict(vars(clf)), clf.predict_proba(X)
    state = copy.deepcopy(clf.net_.module_.state_dict())
    clf.set_params(callbacks=[Explosion()], max_epochs=5)
    epoch = 6 if warm_start else 3
    with pytest.raises(ValueError, match=rf"epoch {epoch}\b"):
        clf.fit(X, y, targets[0])
    clf.set_params(callbacks=None, max_epochs=3)
    assert vars(clf).keys() == before.keys()
    assert all(vars(clf)[name] is before[name] for name in before if name.endswith("_"))
    assert_weights(clf.module_, state, atol=0)
    assert_array_equal(clf.predict_proba(X), probabilities)
    assert len(clf.net_.history) == len(clf.history_) == 3


def test_weights_that_overflow_in_the_last_step_raise():
    # a single step, so the recorded loss was finite
    X, y, targets = domains()
    with pytest.raises(ValueError, match=r"epoch 1\b.*diverged"):
        fit(
            {**ONE_STEP, "activation": "relu", "lr": 3e38},
            1e4 * X,
            y,
            [1e4 * rows for rows in targets],
        )


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, np.array([math.nan, math.inf])])
def test_a_loss_that_is_not_finite_in_any_member_is_an_error(loss):
    with pytest.raises(DivergenceError, match=r"in epoch 7: training diverged\. Scale the"):
        check_loss(loss, 7)


@pytest.mark.parametrize("loss", [0.0, -3.0, np.array([1.0, math.nan])])
def test_a_loss_that_is_finite_in_some_member_is_none(loss):
    check_loss(loss, 7)


@pytest.fixture
def trained():
    X, y, targets = domains()
    clf = fit({**SMALL, "normalization": "batch"}, X, y, targets)
    check_outcome(clf.net_, Data(X, targets))
    return clf.net_, Data(X, targets)


class Data:
    """Checked rows of one source and one target."""

    def __init__(self, X, targets):
        self.X = np.concatenate([X, *targets])
        self.domain = np.repeat([0, 1], [len(X), len(self.X) - len(X)])


@pytest.mark.parametrize("name", ["label_predictor.0.weight", "feature_extractor.1.running_var"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_each_weight_and_statistic_must_be_finite(name, value, trained):
    net, data = trained
    net.module_.state_dict()[name].view(-1)[-1] = value
    with pytest.raises(DivergenceError, match=f"The weights {name} are not finite after epoch 3:"):
        check_outcome(net, data)


@pytest.mark.parametrize("is_target", [False, True])
def test_outputs_of_both_domains_must_be_finite(is_target, trained):
    net, data = trained
    data.X[-5 if is_target else 5] = 3e38
    with torch.no_grad():
        net.module_.feature_extractor[0].weight.fill_(2.0)
    with pytest.raises(DivergenceError, match="The outputs are not finite after epoch 3:"):
        check_outcome(net, data)


def test_the_error_is_a_value_error():
    assert issubclass(DivergenceError, ValueError)
