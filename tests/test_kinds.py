"""Situations that users meet, by their kind: the right result, or an error that says what to do."""

from __future__ import annotations

import copy
import functools
import pickle
import signal
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    KFold,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import FeatureUnion
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
)

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann.datasets import make_inter_twinning_moons

XS, YS, XT, YT = make_inter_twinning_moons(n_samples=80, random_state=0)
FAR = XT + 5.0  # a target whose statistics differ, so that a mix-up of domains shows
POOL, DOMAIN = np.vstack([XS, FAR]), np.repeat([0, -1], [len(XS), len(FAR)])
TARGET = {"X_target": (FAR,)}
ROUTING = pytest.mark.parametrize("routing", [False, True], ids=["plain", "routing"])


def mixed(*arrays: Any) -> list[np.ndarray]:
    """Mix the rows of source and target, in one order for all arrays."""
    order = np.random.RandomState(0).permutation(len(POOL))
    return [np.asarray(array)[order] for array in arrays]


def apart(**params: Any) -> DANNClassifier:
    """Classifier that treats each domain separately, trained well enough to show a mix-up."""
    base = {"standardize": "domain", "max_epochs": 25, "lr": 5e-3, "random_state": 0}
    return DANNClassifier(**{**base, **params})


def quick(**params: Any) -> DANNClassifier:
    return DANNClassifier(**{"max_epochs": 2, "random_state": 0, **params})


def path(estimator: Any = None, **params: Any) -> DANNClassifierCV:
    small = {"n_seeds": 1, "lambdas": (0.3,), "standardize": (None,), "random_state": 0}
    return DANNClassifierCV(estimator, **{**small, **params})


# -- whose rows are these? -------------------------------------------------------------------------


APART = {
    "standardize": {},
    "domain_batch": {"standardize": None, "normalization": "domain_batch"},
    "label shift": {
        "standardize": None, "label_shift": "correct", "target_priors": {0: 0.999, 1: 0.001},
    },
}  # fmt: skip


def by_hand(make: Any) -> float:
    """Accuracy on held-out source rows that are named as such."""
    folds = StratifiedKFold(2).split(XS, YS)
    return np.mean(
        [make().fit(XS[a], YS[a], FAR).score(XS[b], YS[b], sample_domain=0) for a, b in folds]
    )


@pytest.mark.parametrize("params", APART.values(), ids=APART)
@pytest.mark.parametrize("scoring", [None, "accuracy", make_scorer(lambda y, p: np.mean(y == p))])
def test_held_out_source_rows_are_scored_as_source_rows(params: Any, scoring: Any) -> None:
    make = functools.partial(apart, **params)
    scores = cross_val_score(make(), XS, YS, params=TARGET, cv=2, scoring=scoring)
    assert scores.mean() == pytest.approx(by_hand(make))
    as_target = make().fit(XS, YS, FAR).score(XS, YS, sample_domain=-1)
    assert scores.mean() > as_target + 0.05  # otherwise this would show nothing


@ROUTING
def test_every_way_to_validate_treats_source_rows_as_such(routing: bool) -> None:
    expected = by_hand(apart)
    scaled = make_pipeline(StandardScaler(with_mean=False, with_std=False), apart())
    with sklearn.config_context(enable_metadata_routing=routing):
        predicted = cross_val_predict(apart(), XS, YS, params=TARGET, cv=2)
        assert np.mean(predicted == YS) == pytest.approx(expected)
        search = GridSearchCV(apart(), {"lr": [5e-3]}, cv=2, scoring="accuracy")
        assert search.fit(XS, YS, **TARGET).best_score_ == pytest.approx(expected)
        scores = cross_val_score(scaled, XS, YS, params=TARGET, cv=2, scoring="accuracy")
        assert scores.mean() == pytest.approx(expected, abs=0.02)
        middle = make_pipeline(apart(), LogisticRegression())
        assert cross_val_score(middle, XS, YS, params=TARGET, cv=2).mean() > 0.85
        *_, curve = learning_curve(apart(), XS, YS, params=TARGET, cv=2, train_sizes=[1.0])
        assert curve.mean() == pytest.approx(expected)
    clf = apart().fit(XS, YS, FAR)
    drops = [
        permutation_importance(clf, XS, YS, scoring=scoring, random_state=0).importances
        for scoring in (None, "accuracy")
    ]
    assert_allclose(*drops)


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # for the same inputs
def test_meta_estimators_learn_from_source_rows_and_predict_the_target() -> None:
    clf = apart(max_epochs=60)  # columns have unit scale, and folds half the steps
    expected = clone(clf).fit(XS, YS, FAR).score(FAR, YT)
    with sklearn.config_context(enable_metadata_routing=True):
        for estimator in (
            CalibratedClassifierCV(clf, cv=2),
            TunedThresholdClassifierCV(clf, cv=2),
            make_pipeline(clf, LogisticRegression()),
        ):
            assert estimator.fit(XS, YS, **TARGET).score(FAR, YT) > expected - 0.1
        bagging = BaggingClassifier(apart(), n_estimators=10, oob_score=True, random_state=0)
        assert bagging.fit(XS, YS, **TARGET).oob_score_ > 0.8


def test_a_path_with_one_scaling_of_each_domain_too() -> None:
    make = functools.partial(path, DANNClassifier(max_epochs=20), standardize=("domain",))
    scores = [
        cross_val_score(make(), XS, YS, params=TARGET, cv=2, scoring=scoring)
        for scoring in (None, "accuracy")
    ]
    assert_allclose(*scores)
    assert np.mean(scores) > 0.7


def test_direct_predictions_of_source_rows_warn() -> None:
    clf = apart().fit(XS, YS, FAR)
    for rows in (XS, XS[:8]):
        with pytest.warns(UserWarning, match=r"looks like rows of the source.*sample_domain=0"):
            clf.predict(rows)
    clf.predict(FAR)
    clf.predict(FAR[:1])


def test_source_rows_of_several_domains_need_names() -> None:
    sources = np.arange(len(XS)) % 2
    params = {**TARGET, "sample_domain": sources}
    with pytest.raises(ValueError, match=r"2 source domains, \[0, 1\].*metadata routing"):
        apart().fit(XS, YS, FAR, sample_domain=sources).score(XS, YS)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = apart().set_fit_request(sample_domain=True)
        assert cross_val_score(clf, XS, YS, params=params, cv=2).mean() > 0.8


def test_leaving_a_source_domain_out_is_scored() -> None:
    sources = np.arange(len(XS)) % 2
    params = {**TARGET, "sample_domain": sources, "groups": sources}
    with sklearn.config_context(enable_metadata_routing=True):
        clf = apart(standardize=None).set_fit_request(sample_domain=True)
        scores = cross_val_score(clf, XS, YS, params=params, cv=LeaveOneGroupOut())
    assert scores.mean() > 0.8


MARKS = {
    "-1": (YS, -1), "None": (YS.astype(object), None), "NaN": (YS.astype(float), np.nan),
    "empty": (np.array(["no", "yes"])[YS], ""),
}  # fmt: skip


@pytest.mark.parametrize("standardize", [None, "domain"])
@pytest.mark.parametrize(("labels", "mark"), MARKS.values(), ids=MARKS)
def test_unlabelled_rows_of_a_pool_are_not_scored(labels: Any, mark: Any, standardize: Any) -> None:
    y = np.concatenate([labels, np.full(len(FAR), mark, dtype=labels.dtype)])
    clf = apart(standardize=standardize).fit(POOL, y, sample_domain=DOMAIN)
    expected = clf.score(XS, clf.classes_[YS], sample_domain=0)
    assert clf.score(POOL, y) == clf.score(POOL, y, sample_domain=DOMAIN) == expected > 0.8
    for each in (pickle.loads(pickle.dumps(clf)), copy.deepcopy(clf)):
        assert each.score(POOL, y) == expected
    pool, pooled, domain = mixed(POOL, y, DOMAIN)
    cv = KFold(2)
    params = {"sample_domain": domain}
    estimator = apart(standardize=standardize)
    assert cross_val_score(estimator, pool, pooled, params=params, cv=cv).mean() > 0.7
    with pytest.raises(ValueError, match=r"counts as errors.*scoring=None"):
        get_scorer("accuracy")(clf, POOL, y)


def test_each_row_of_a_pool_is_predicted_by_its_domain() -> None:
    pool, domain, y = mixed(POOL, DOMAIN, np.r_[YS, YT])
    params = {"sample_domain": domain}
    predicted = cross_val_predict(apart(), pool, y, params=params, cv=2)
    folds = list(StratifiedKFold(2).split(pool, y))
    expected = np.empty_like(predicted)
    for a, b in folds:
        clf = apart().fit(pool[a], y[a], sample_domain=domain[a])
        expected[b] = clf.predict(pool[b], sample_domain=domain[b])
    assert np.mean(predicted == expected) == 1.0
    scores = cross_val_score(apart(), pool, y, params=params, cv=2, scoring="accuracy")
    assert scores.mean() == pytest.approx(np.mean(expected == y))


def test_marks_are_kept_over_chunks(make_clf: Any) -> None:
    y = np.r_[YS, np.full(len(FAR), -1)]
    clf = make_clf().partial_fit(POOL, y, sample_domain=DOMAIN, classes=[0, 1])
    expected = clf.partial_fit(XS, YS, FAR).score(XS, YS)
    assert clf.score(POOL, y) == expected


def test_the_step_behind_a_classifier_learns_from_source_rows_alone() -> None:
    y = np.r_[YS, np.full(len(FAR), -1)]
    pipe = make_pipeline(apart(), LogisticRegression())
    pipe.fit(POOL, y, sample_domain=DOMAIN, sample_weight=np.ones(len(y)))
    assert pipe.classes_.tolist() == [0, 1]
    assert pipe.score(POOL, y) == pipe.score(XS, YS) > 0.8
    with pytest.raises(ValueError, match="inconsistent numbers"):
        pipe.score(POOL, y[:-1])
    pooled, marks, domain = mixed(POOL, y, DOMAIN)
    scores = cross_val_score(pipe, pooled, marks, params={"sample_domain": domain}, cv=2)
    assert scores.mean() > 0.8
    assert make_pipeline(quick(), PCA(2)).fit_transform(POOL, y, sample_domain=DOMAIN).shape == (
        len(POOL), 2,
    )  # fmt: skip
    several = make_pipeline(quick(), LogisticRegression())
    several.fit(XS, YS, X_target=FAR, sample_domain=np.arange(len(XS)) % 2)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = quick().set_fit_request(sample_domain=True).set_transform_request(sample_domain=True)
        with pytest.raises(ValueError, match=r"LogisticRegression.*X_target"):
            make_pipeline(clf, LogisticRegression()).fit(POOL, y, sample_domain=DOMAIN)


@pytest.mark.parametrize(
    "meta",
    [lambda clf: VotingClassifier([("a", clf)], voting="soft"), BaggingClassifier],
    ids=["voting", "bagging"],
)
def test_a_meta_estimator_that_counts_marks_as_a_class_is_named(meta: Any) -> None:
    y = np.r_[YS, np.full(len(FAR), -1)]
    with sklearn.config_context(enable_metadata_routing=True):
        clf = meta(quick().set_fit_request(sample_domain=True))
        with pytest.warns(UserWarning, match=r"Classifier counts the labels .*X_target"):
            clf.fit(POOL, y, sample_domain=DOMAIN)


# -- an interrupt ends what the user meant to end --------------------------------------------------


class Press(Callback):
    """Callback that presses Ctrl-C once, when the second epoch of the first fit begins."""

    pressed = False

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 2 and not Press.pressed:
            Press.pressed = True
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def press() -> Any:
    Press.pressed = False
    return lambda **params: quick(max_epochs=5, callbacks=[Press()], **params)


class Ensemble(ClassifierMixin, BaseEstimator):
    """Meta-estimator of a user."""

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, X_target: Any = None) -> Ensemble:
        self.members_ = [clone(self.estimator).fit(X, y, X_target) for _ in range(3)]
        return self


class Wrapper:
    """Class of a user that is no estimator."""

    def fit(self, estimators: Any, *data: Any) -> None:
        self.fitted = [each.fit(*data) for each in estimators]


LOOPS = {
    "search": lambda clf: RandomizedSearchCV(clf, {"lr": [1e-3, 1e-2]}, n_iter=2, cv=2).fit(
        XS, YS, **TARGET
    ),
    "validation": lambda clf: cross_validate(clf, XS, YS, params=TARGET, cv=2),
    "calibration": lambda clf: CalibratedClassifierCV(clf, cv=2).fit(XS, YS, **TARGET),
    "several outputs": lambda clf: MultiOutputClassifier(clf).fit(XS, np.c_[YS, YS], **TARGET),
    "path": lambda clf: path(clf).fit(XS, YS, FAR),
    "path in a pipeline": lambda clf: make_pipeline(StandardScaler(), path(clf)).fit(
        XS, YS, X_target=FAR
    ),
    "ensemble": lambda clf: Ensemble(clf).fit(XS, YS, FAR),
    "ensemble in a pipeline": lambda clf: make_pipeline(StandardScaler(), Ensemble(clf)).fit(
        XS, YS, X_target=FAR
    ),
    "wrapper": lambda clf: Wrapper().fit([clf, clone(clf)], XS, YS, FAR),
}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_an_interrupt_ends_the_loop_around_a_fit(loop: Any, press: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop(press())


@pytest.mark.parametrize(
    "fit",
    [
        lambda clf: clf.fit(XS, YS, FAR),
        lambda clf: clf.fit_transform(XS, YS, FAR),
        lambda clf: make_pipeline(StandardScaler(), clf).fit(XS, YS, X_target=FAR),
        lambda clf: make_pipeline(clf, LogisticRegression()).fit(XS, YS, X_target=FAR),
    ],
    ids=["alone", "fit_transform", "last", "middle"],
)
def test_an_interrupted_single_fit_keeps_its_last_epoch(fit: Any, press: Any) -> None:
    clf = press()
    with pytest.warns(UserWarning, match=r"interrupted.*last complete epoch, 1 of 5"):
        fit(clf)
    assert clf.n_epochs_ == len(clf.history_) == 1


# -- changed parameters are obeyed or refused ------------------------------------------------------


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
@pytest.mark.parametrize("tour", [lambda clf: clf, copy.deepcopy], ids=["same", "copy"])
@pytest.mark.parametrize(
    "changed",
    [
        {"random_state": 7},
        {"feature_extractor": [4, 4]},
        {"optimizer": functools.partial(torch.optim.SGD, momentum=0.1)},
    ],
    ids=["seed", "list", "partial"],
)
def test_a_continued_fit_refuses_what_it_cannot_obey(changed: Any, tour: Any, again: str) -> None:
    first = functools.partial(torch.optim.SGD, momentum=0.9)
    clf = quick(warm_start=True, feature_extractor=[4], optimizer=first).fit(XS, YS, XT)
    clf = tour(clf).set_params(optimizer=functools.partial(torch.optim.SGD, momentum=0.9))
    getattr(clf, again)(XS, YS, XT)  # the same parameters in new objects
    name = next(iter(changed))
    with pytest.raises(ValueError, match=f"{name}=.* changed since the last fit"):
        getattr(clf.set_params(**changed), again)(XS, YS, XT)


def test_a_list_of_sizes_that_changed_in_place_is_refused() -> None:
    clf = quick(warm_start=True, feature_extractor=[4]).fit(XS, YS, XT)
    clf.feature_extractor.append(3)
    with pytest.raises(ValueError, match=r"feature_extractor=\(4, 3\) \(was \(4,\)\)"):
        clf.fit(XS, YS, XT)


def test_target_shares_that_changed_between_chunks_are_refused() -> None:
    clf = quick(label_shift="correct", target_priors={0: 0.5, 1: 0.5})
    clf.partial_fit(XS, YS, XT, classes=[0, 1]).partial_fit(XS, YS, XT)
    with pytest.raises(ValueError, match=r"target_priors=.* changed"):
        clf.set_params(target_priors={0: 0.9, 1: 0.1}).partial_fit(XS, YS, XT)
    clf.set_params(warm_start=True).fit(XS, YS, XT)
    assert clf.target_priors_.tolist() == [0.9, 0.1]


# -- searches and meta-estimators ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"lambda_max": 0.5}, "lambda_max=0.5 of the estimator is not used.*lambdas"),
        ({"standardize": "domain"}, "standardize='domain' .*add it there"),
        ({"warm_start": True}, "warm_start=True .*new networks"),
    ],
)
def test_a_path_says_which_parameters_of_its_estimator_it_replaces(params: Any, says: str) -> None:
    with pytest.warns(UserWarning, match=says):
        path(quick(**params)).fit(XS, YS, XT)
    path(quick(lambda_max=0.0, lr=0.1)).fit(XS, YS, XT)


def test_parameters_of_a_missing_estimator_may_be_set_together_with_it() -> None:
    for params in ({}, {"estimator": None}):
        search = path(quick()) if params else path()
        search.set_params(estimator__lr=0.5, **params)
        assert search.estimator.lr == 0.5
        assert search.estimator.max_epochs == DANNClassifier().max_epochs
    assert path().estimator is None


def test_folds_may_lack_a_class_that_has_a_weight_or_a_share() -> None:
    y = np.repeat([0, 1, 2], [30, 30, 20])
    weighted = quick(class_weight={0: 1, 1: 1, 2: 3})
    scores = cross_val_score(weighted, XS, y, params=TARGET, cv=KFold(3), error_score="raise")
    assert np.isfinite(scores).all()
    shared = quick(label_shift="correct", target_priors={0: 0.2, 1: 0.3, 2: 0.5})
    with pytest.warns(UserWarning, match=r"target_priors names \[2\], which y_source lacks"):
        shared.fit(XS[:60], y[:60], XT)
    assert_allclose(shared.target_priors_, [0.4, 0.6])
    with pytest.raises(ValueError, match=r"1 class only \(0\).*StratifiedKFold"):
        quick().fit(XS[:30], y[:30], XT)


def test_weights_need_a_class_each_if_they_name_others() -> None:
    quick(class_weight={0: 2}).fit(XS, YS, XT)
    with pytest.raises(ValueError, match=r"class_weight names \[2\].*may encode them"):
        quick(class_weight={0: 1, 2: 3}).fit(XS, YS, XT)


def test_shares_by_labels_that_a_meta_estimator_encodes_are_explained() -> None:
    clf = quick(label_shift="correct", target_priors={"no": 0.5, "yes": 0.5})
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match=r"target_priors has the keys.*may encode them"),
    ):
        VotingClassifier([("a", clf)]).fit(XS, np.array(["no", "yes"])[YS], **TARGET)
    with pytest.warns(UserWarning, match="target_priors is used only with label_shift"):
        quick(target_priors={0: 0.5, 1: 0.5}).fit(XS, YS, XT)


def test_only_a_target_that_was_cut_warns() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        FixedThresholdClassifier(quick()).fit(XS, YS, X_target=FAR)  # of equal length, but whole
        VotingClassifier([("a", quick())]).fit(XS, YS, X_target=FAR)
        cut = "as many rows as X_source.*only 40 rows arrived.*never cut"
        with pytest.warns(UserWarning, match=cut) as caught:
            GridSearchCV(quick(), {}, cv=2).fit(XS, YS, X_target=FAR)
    assert len([item for item in caught if "rows arrived" in str(item.message)]) == 2


def test_slices_and_other_steps_of_a_pipeline() -> None:
    pipe = make_pipeline(StandardScaler(), StandardScaler(), quick())
    with pytest.raises(TypeError, match=r"no step .*takes it.*StandardScaler.*leave it out"):
        pipe[:-1].fit(XS, YS, X_target=XT)
    assert pipe[:-1].fit_transform(XS, YS).shape == XS.shape
    fitted = FrozenEstimator(quick().fit(XS, YS, XT))
    assert make_pipeline(fitted, LogisticRegression()).fit(XS, YS).predict(XT).shape == YT.shape
    calibrated = make_pipeline(quick(), CalibratedClassifierCV(quick(), cv=2))
    assert calibrated.fit(XS, YS, X_target=(XT,)).predict(XT).shape == YT.shape


@pytest.mark.parametrize(
    "step",
    [
        FeatureUnion([("dann", quick()), ("scale", StandardScaler())]),
        ColumnTransformer([("dann", quick(), [0, 1])]),
        plain_pipeline(StandardScaler(), quick()),
    ],
    ids=["union", "columns", "pipeline"],
)
def test_a_classifier_inside_a_step_gets_the_target_or_says_how(step: Any) -> None:
    pipe = make_pipeline(step, LogisticRegression())
    with pytest.raises((TypeError, ValueError), match=r"does not pass X_target.*metadata routing"):
        pipe.fit(XS, YS, X_target=XT)
    with sklearn.config_context(enable_metadata_routing=True):
        assert pipe.fit(XS, YS, X_target=XT).predict(XT).shape == YT.shape


def test_stacking_takes_a_fitted_classifier() -> None:
    members = [("dann", quick().fit(XS, YS, XT)), ("plain", LogisticRegression().fit(XS, YS))]
    stacked = StackingClassifier(members, cv="prefit").fit(XS, YS)
    assert stacked.score(XT, YT) > 0.4


# -- skorch's callbacks ----------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "neg_log_loss", "f1", None])
@pytest.mark.parametrize("use_caching", [True, False])
def test_scores_of_every_kind_are_recorded(scoring: Any, use_caching: bool) -> None:
    callbacks = [
        EpochScoring(scoring, name=name, on_train=on_train, use_caching=use_caching)
        for name, on_train in (("train", True), ("valid", False))
    ]
    clf = apart(callbacks=callbacks, early_stopping=True, normalization="domain_batch")
    clf.fit(XS, YS, FAR)
    last, plain = clf.history_[-1], apart(early_stopping=True, normalization="domain_batch")
    assert np.isfinite([last["train"], last["valid"]]).all()
    if scoring in ("accuracy", None):
        assert last["valid"] == pytest.approx(last["valid_accuracy"])
        assert last["train"] > 0.85  # source rows by their own statistics
    assert_allclose(clf.predict_proba(FAR), plain.fit(XS, YS, FAR).predict_proba(FAR))


def test_batches_are_scored() -> None:
    callbacks = [
        BatchScoring("accuracy", name="batch_accuracy", on_train=True),
        PassthroughScoring("train_loss", on_train=True),
    ]
    clf = quick(callbacks=callbacks, batch_size=30).fit(XS, YS, XT)
    assert 0 < clf.history_[-1]["batch_accuracy"] < 1


@pytest.mark.parametrize(
    ("callback", "params", "says"),
    [
        (EpochScoring("accuracy"), {}, "EpochScoring needs validation data.*early_stopping=True"),
        (EarlyStopping(), {}, "EarlyStopping needs validation data.*monitor='train_loss'"),
        (EarlyStopping, {}, "EarlyStopping needs validation data"),
        (("named", Checkpoint()), {}, "Checkpoint needs validation data"),
        (LRScheduler(), {"lr_schedule": "cosine"}, "both set the learning rate"),
        (BatchScoring("accuracy", use_caching=False, on_train=True), {}, "use_caching=True"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_callbacks_that_cannot_do_their_work_are_refused(
    callback: Any, params: Any, says: str
) -> None:
    clf = quick(callbacks=[callback], **params)
    with pytest.raises(ValueError, match=says):
        clf.fit(XS, YS, XT)
    with pytest.raises(ValueError, match=says):
        clf.set_params(early_stopping=True).partial_fit(XS, YS, XT, classes=[0, 1])


def test_a_callback_that_sets_the_width_is_not_needed() -> None:
    with pytest.raises(ValueError, match="InputShapeSetter, which is not needed"):
        quick(callbacks=[InputShapeSetter()]).fit(XS, YS, XT)


def test_callbacks_get_the_source_rows_when_training_begins() -> None:
    class Listener(Callback):
        def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
            self.seen_ = X.shape, y.tolist()

    listener = Listener()
    quick(callbacks=[listener]).fit(XS, YS, XT)
    assert listener.seen_ == (XS.shape, YS.tolist())


# -- what a newcomer mistypes ----------------------------------------------------------------------


def test_a_fit_that_has_not_learned_the_labels_warns_once() -> None:
    unscaled = functools.partial(quick, max_epochs=4, standardize=None)
    for rows, params in ((1e4, {}), (1.0, {"lr": 30.0}), (1e4, {"early_stopping": True})):
        with pytest.warns(UserWarning, match=r"label loss is .* by guessing.*Scale") as caught:
            unscaled(**params).fit(XS * rows, YS, XT * rows)
        assert len(caught) == 1
    with pytest.warns(UserWarning, match="label loss is"):
        path(quick(max_epochs=4)).fit(XS * 1e4, YS, XT * 1e4)
    with pytest.warns(UserWarning, match="very different scales") as caught:
        unscaled().fit(XS * [1, 1e5], YS, XT * [1, 1e5])
    assert len(caught) == 1
    unscaled(class_weight={0: 1000, 1: 1000}).fit(XS, YS, XT)
    quick(max_epochs=4, standardize="source").fit(XS * 1e4, YS, XT * 1e4)


def test_marked_target_rows_among_the_source_rows_are_recognized() -> None:
    y = np.r_[YS, np.full(len(FAR), -1)]
    for labels in (y, np.where(y == -1, "", y.astype(str))):
        with pytest.warns(UserWarning, match=r"contains the rows of X_target.*trained on as"):
            quick().fit(POOL, labels, FAR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick().fit(POOL, y, XT)  # a class like any other


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Xt", "did you mean X_target"), ("target", "did you mean X_target"),
        ("X_unlabeled", "did you mean X_target"), ("X_train", "did you mean X"),
        ("ys", "did you mean y"), ("yt", "did you mean y_target"),
        ("validation_data", "early_stopping=True"), ("batch_size", "passed to the constructor"),
        ("epochs", "max_epochs=..."),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_training")
def test_a_wrong_name_is_explained(name: str, says: str) -> None:
    for estimator in (quick(), make_pipeline(StandardScaler(), quick())):
        with pytest.raises(TypeError, match=f"'{name}': .*{says}"):
            estimator.fit(XS, YS, **{name: XT})


def test_one_hot_labels_and_lists_of_classes_are_explained() -> None:
    with pytest.raises(ValueError, match=r"y_source must be 1-D.*argmax\(axis=1\)"):
        quick().fit(XS, np.eye(2)[YS], XT)
    for classes, says in (
        (2, r"classes=2 must list"), ([0, 1, np.nan], "NaN"), ([0, "a", None], "classes"),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=says):
            quick().partial_fit(XS, YS, XT, classes=classes)
    assert quick().partial_fit(XS, YS, XT, classes={0, 1}).classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"1 row; .*Pass more target rows in the first chunk"):
        quick().partial_fit(XS, YS, XT[:1], classes=[0, 1])
