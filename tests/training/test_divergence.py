"""A diverged fit raises DivergenceError; a search tolerates that error alone."""

import copy
import math
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.exceptions import FitFailedWarning
from skorch.callbacks import Callback
from torch import nn

import skdann
from skdann import DANNClassifier, DANNClassifierCV, DivergenceError
from skdann._training.divergence import check_loss, check_outcome, warn_if_unlearned
from skdann._training.label_losses import LABEL_LOSSES
from tests.training.common import ONE_STEP, SMALL, assert_weights, fit
from tests.training.common import domains as draw_domains

HUGE = 1e39  # not finite as a float32
EXPLODING = {"optimizer": "sgd", "lr": 1e30}


# -- the error ------------------------------------------------------------------------------------


def test_the_error_is_public_and_a_value_error():
    assert issubclass(DivergenceError, ValueError)
    assert "DivergenceError" in skdann.__all__
    error = pickle.loads(pickle.dumps(DivergenceError("the loss became nan")))
    assert isinstance(error, DivergenceError)
    assert str(error) == "the loss became nan"


def test_fit_raises_it_and_leaves_the_estimator_unfitted(make_clf, domains):
    clf = make_clf(**EXPLODING)
    with pytest.raises(DivergenceError, match=r"epoch 1.*training diverged.*lower lr"):
        clf.fit(*domains[:3])
    assert not hasattr(clf, "net_")


def test_the_first_partial_fit_raises_it(make_clf, domains):
    clf = make_clf(**EXPLODING)
    with pytest.raises(DivergenceError, match="training diverged"):
        clf.partial_fit(*domains[:3], classes=[0, 1])
    assert not hasattr(clf, "net_")


@pytest.mark.parametrize("lr", [1e15, 1e30])
def test_finite_weights_may_be_too_large_as_well(lr, make_clf, domains):
    clf = make_clf(lr=lr, max_epochs=1, batch_size=100, feature_extractor=())
    with pytest.raises(DivergenceError, match=r"as large as 1e\+\d\d after epoch 1: training div"):
        clf.fit(*domains[:3])


def test_a_frozen_constant_of_a_module_may_be_large(domains):
    class Masked(nn.Module):
        def __init__(self, n_in):
            super().__init__()
            self.layer = nn.Linear(n_in, 4)
            self.mask = nn.Parameter(torch.full((4,), -1e30), requires_grad=False)
            self.is_on = nn.Parameter(torch.ones(4, dtype=torch.bool), requires_grad=False)

        def forward(self, x):
            return torch.where(self.is_on, self.layer(x), self.mask)

    clf = DANNClassifier(feature_extractor=Masked, max_epochs=1, random_state=0)
    assert np.isfinite(clf.fit(*domains[:3]).predict_proba(domains.X_target)).all()


def test_a_learning_rate_beyond_single_precision_is_refused(make_clf, domains):
    with pytest.raises(ValueError, match=r"'lr' .* in the range \(0.0, 1e\+30\]. Got 1e\+300"):
        make_clf(lr=1e300).fit(*domains[:3])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_continuing_raises_it_and_leaves_the_earlier_fit(method, make_clf, domains):
    clf = make_clf(optimizer="sgd", warm_start=True).fit(*domains[:3])
    before, n_epochs = clf.predict_proba(domains.X_target), clf.n_epochs_
    clf.set_params(lr=1e30)
    with pytest.raises(DivergenceError, match="training diverged"):
        getattr(clf, method)(*domains[:3])
    np.testing.assert_array_equal(clf.predict_proba(domains.X_target), before)
    assert clf.n_epochs_ == len(clf.history_) == n_epochs


@pytest.mark.parametrize("loss", [np.nan, np.inf, np.array([np.nan, np.inf])])
def test_losses_that_are_not_finite(loss):
    with pytest.raises(DivergenceError, match="in epoch 7: training diverged"):
        check_loss(loss, 7)


@pytest.mark.parametrize("loss", [0.5, np.array([np.nan, 0.5])])
def test_a_finite_loss_of_some_member_is_enough(loss):
    check_loss(loss, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_statistics_and_outputs_that_are_not_finite(value, make_clf, domains):
    clf = make_clf(normalization="batch").fit(*domains[:3])
    data = skdann._input.domains.check_domains(*domains[:3])
    check_outcome(clf.net_, data)
    for name in ("label_predictor.0.bias", "feature_extractor.1.running_var"):
        tensor = clf.module_.state_dict()[name]
        kept = tensor.clone()
        tensor.view(-1)[0] = value
        with pytest.raises(DivergenceError, match=rf"{name} are not finite after epoch 2"):
            check_outcome(clf.net_, data)
        tensor.copy_(kept)
    clf.module_.feature_extractor[1].running_mean.fill_(-3e38)  # finite; its quotient is not
    clf.module_.feature_extractor[1].running_var.fill_(0)
    with pytest.raises(DivergenceError, match="outputs are not finite after epoch 2"):
        check_outcome(clf.net_, data)


@pytest.mark.parametrize("changed", [{}, {"optimizer": "adam"}, {"adversarial": "alternating"}])
def test_a_diverging_fit_raises_and_leaves_the_estimator_unfitted(changed):
    X, y, targets = draw_domains()
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

    X, y, targets = draw_domains()
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
    X, y, targets = draw_domains()
    with pytest.raises(ValueError, match=r"epoch 1\b.*diverged"):
        fit(
            {**ONE_STEP, "activation": "relu", "lr": 1e30},
            1e4 * X,
            y,
            [1e4 * rows for rows in targets],
        )


@pytest.fixture
def trained():
    X, y, targets = draw_domains()
    clf = fit({**SMALL, "normalization": "batch"}, X, y, targets)
    check_outcome(clf.net_, Data(X, targets))
    return clf.net_, Data(X, targets)


class Data:
    """Checked rows of one source and one target."""

    def __init__(self, X, targets):
        self.X = np.concatenate([X, *targets])
        self.domain = np.repeat([0, 1], [len(X), len(self.X) - len(X)])


@pytest.mark.parametrize("is_target", [False, True])
def test_outputs_of_both_domains_must_be_finite(is_target, trained):
    net, data = trained
    data.X[-5 if is_target else 5] = 3e38
    with torch.no_grad():
        net.module_.feature_extractor[0].weight.fill_(2.0)
    with pytest.raises(DivergenceError, match="The outputs are not finite after epoch 3:"):
        check_outcome(net, data)


# -- labels that were not learned ------------------------------------------------------------------


def unlearned(label_loss, n_epochs, *, scale=1.0, class_weight=None, **changed):
    """Return the warnings for rows of three classes, of which the first has half of the rows."""
    y = np.array([0, 0, 1, 2])
    X = np.linspace(-scale, scale, 4, dtype=np.float32)[:, None]
    data = SimpleNamespace(X=X, y=y, weight=None, classes=np.arange(3), is_unscaled=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_unlearned([{"label_loss": label_loss}] * n_epochs, data, class_weight, **changed)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("n_epochs", "ratio"), [(3, 2.0), (9, 2.0), (10, 1.5), (30, 1.5)])
@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_a_label_loss_far_above_guessing_warns(n_epochs, ratio, weight):
    chance, class_weight = weight * math.log(3), np.full(3, weight)
    (text,) = unlearned(1.01 * ratio * chance, n_epochs, class_weight=class_weight)
    assert f"{chance:.3g} by guessing: the labels were not learned. Scale the columns" in text
    assert unlearned(0.99 * ratio * chance, n_epochs, class_weight=class_weight) == []


def test_the_first_two_epochs_tell_nothing():
    assert unlearned(100.0, 2) == unlearned(100.0, 2, scale=1e-9) == []


def test_a_network_that_sees_tiny_values_learns_the_class_shares_alone():
    by_shares = 0.5 * math.log(2) + 0.5 * math.log(4)
    (text,) = unlearned(0.97 * by_shares, 3, scale=1e-9)
    assert "No value is larger than 1e-09, too small to learn from. Scale the columns" in text
    assert unlearned(0.9 * by_shares, 3, scale=1e-9) == []  # it has learned after all
    assert unlearned(0.97 * by_shares, 3) == []
    assert unlearned(0.97 * by_shares, 3, scale=1e-9, scales_columns=True) == []
    even = np.array([1.0, 2.0, 2.0])  # gives all classes the same weight, 1.5 on average
    assert unlearned(1.5 * 0.97 * math.log(3), 3, scale=1e-9, class_weight=even)
    assert not unlearned(1.5 * 0.9 * math.log(3), 3, scale=1e-9, class_weight=even)


# -- the search -----------------------------------------------------------------------------------


@pytest.fixture
def make_search(make_clf):
    def make(lambdas=(0.3,), standardize=(None,), **params):
        return DANNClassifierCV(
            make_clf(**params),
            families=("alignment",),
            aggregate="passing",
            lambdas=lambdas,
            standardize=standardize,
            n_seeds=2,
            random_state=0,
        )

    return make


def custom_extractor(n_in):
    return nn.Sequential(nn.Linear(n_in, 6), nn.Tanh())


TRAINED = {
    "together": {},
    "one by one": {"feature_extractor": custom_extractor},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3},
}


@pytest.mark.parametrize("params", TRAINED.values(), ids=TRAINED)
def test_one_warning_says_how_many_candidates_failed_and_why(params, make_search, domains):
    search = make_search((HUGE, 0.3, 2 * HUGE), (None, "domain"), **params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(*domains[:3])
    (warning,) = [w for w in caught if issubclass(w.category, FitFailedWarning)]
    text = str(warning.message)
    assert text.startswith("4 of 8 candidates failed and cannot be selected; the first error was:")
    assert "training diverged" in text
    failed = [row["lambda_max"] >= HUGE for row in search.scores_]
    assert sum(failed) == 4
    for row, has_failed in zip(search.scores_, failed, strict=True):
        assert ("error" in row) == has_failed
        assert np.isfinite(row["score"]) != has_failed
        if has_failed:
            assert row["weight"] == 0.0
            assert "training diverged" in row["error"]
    assert np.isfinite(search.predict_proba(domains.X_target)).all()


def test_no_warning_where_nothing_failed(make_search, domains):
    make_search().fit(*domains[:3])  # warnings are errors here


@pytest.mark.parametrize("params", TRAINED.values(), ids=TRAINED)
def test_a_diverged_baseline_raises(params, make_search, domains):
    search = make_search(**EXPLODING, **params)
    with pytest.raises(DivergenceError, match=r"baseline failed: .*training diverged"):
        search.fit(*domains[:3])
    assert vars(search).keys() == search.get_params(deep=False).keys()


class Typo(Callback):
    """A callback with a mistake, that shows with the candidates other than the baseline only."""

    def __init__(self, error):
        self.error = error

    def on_epoch_end(self, net, **kwargs):
        if max(net.training.lambda_max) > 0:
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("could not convert string to float: 'abc'"),
        AttributeError("'DANNNet' object has no attribute 'histroy'"),
        KeyError("domain_los"),
        ZeroDivisionError("division by zero"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_in_a_callback_is_not_swallowed(error, make_search, domains):
    search = make_search(callbacks=[Typo(error)])
    with pytest.raises(type(error)) as raised:
        search.fit(*domains[:3])
    assert not isinstance(raised.value, DivergenceError)
    assert str(raised.value) == str(error)
    assert vars(search).keys() == search.get_params(deep=False).keys()


class Broken(nn.Module):
    """A network that fails on batches of both domains, which the baseline does not train on."""

    def __init__(self, n_in):
        super().__init__()
        self.linear = nn.Linear(n_in, 6)

    def forward(self, x):
        if self.training and len(x) > 16:
            raise ValueError("shapes (32,) and (16,) do not fit")
        return self.linear(x)


def test_an_error_in_a_module_is_not_swallowed(make_search, domains):
    search = make_search(feature_extractor=Broken)
    with pytest.raises(ValueError, match=r"shapes \(32,\) and \(16,\) do not fit") as raised:
        search.fit(*domains[:3])
    assert not isinstance(raised.value, DivergenceError)


def test_an_error_in_a_scorer_is_not_swallowed(make_search, domains):
    def scorer(estimator, X, y):
        raise ValueError("pos_label=1 is not a valid label")

    search = make_search().set_params(scoring=scorer)
    with pytest.raises(ValueError, match="pos_label"):
        search.fit(*domains[:3])


def test_a_schedule_that_fails_is_not_swallowed(make_search, domains):
    def schedule(progress):
        if progress > 0.5:
            raise ValueError("math domain error")
        return progress

    # the baseline does not ask for lambda
    with pytest.raises(ValueError, match="math domain error"):
        make_search(lambda_schedule=schedule).fit(*domains[:3])


def test_the_fitted_members_are_classifiers(make_search, domains):
    """Also those of a candidate that was partly trained: members that diverged stay unfitted."""
    search = make_search((0.3, HUGE))
    with pytest.warns(FitFailedWarning, match="1 of 3 candidates"):
        search.fit(*domains[:3])
    is_fitted = [[hasattr(member, "net_") for member in group] for group in search.candidates_]
    assert is_fitted == [[True, True], [True, True], [False, False]]
    assert all(isinstance(member, DANNClassifier) for member in search.members_)


@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.5, 0.5])])
def test_numbers_are_compared_with_predicting_their_mean(weight):
    y = np.array([[2.0], [-1.0], [-3.0]], dtype=np.float32)
    chance = np.average(np.abs(y[:, 0]), weights=weight)
    texts = []
    for ratio in (0.99, 1.01):
        data = SimpleNamespace(y=y, weight=weight, n_source=3, classes=None, is_unscaled=False)
        history = [{"label_loss": 2.0 * ratio * chance}] * 3
        loss = LABEL_LOSSES["absolute_error"](None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_if_unlearned(history, data, None, scales_columns=True, label_loss=loss)
        texts.append([str(warning.message) for warning in caught])
    assert texts[0] == []
    assert f"{chance:.3g} by guessing: the labels were not learned" in texts[1][0]


def test_constant_numbers_need_no_learning():
    data = SimpleNamespace(
        y=np.zeros((3, 1), np.float32), weight=None, n_source=3, classes=None, is_unscaled=False
    )
    loss = LABEL_LOSSES["squared_error"](None)
    warn_if_unlearned([{"label_loss": 0.1}] * 9, data, None, scales_columns=True, label_loss=loss)
