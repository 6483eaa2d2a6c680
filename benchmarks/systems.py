"""Every system that `benchmarks/accuracy.py` compares, as a function of a task and a seed.

A system gets the labelled source rows and the unlabelled target rows, never a target label, and
answers with class probabilities of the task's test rows. Labels are 0, 1, ... in the order of the
source's classes. Settings are the defaults of each package; a departure is said beside it. A system
whose package is not installed is left out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import sklearn
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MaxAbsScaler, StandardScaler


class Rows(NamedTuple):
    """What a system may see of a task: no target label is among it."""

    X_source: Any
    y_source: np.ndarray
    X_target: Any
    X_test: Any
    n_classes: int


class Answer(NamedTuple):
    """Probabilities of the test rows; of the candidates too, where a system chose among some."""

    proba: np.ndarray
    candidates: dict[str, np.ndarray] | None = None
    note: str | None = None


class System(NamedTuple):
    """A named way from rows to probabilities."""

    key: str
    title: str
    group: str
    answer: Callable[[Rows, int], Answer]
    takes_sparse: bool


SYSTEMS: dict[str, System] = {}
TWIN = "twin"  # name of a candidate


def system(key: str, title: str, group: str, *, takes_sparse: bool = False, **settings: Any):
    """Register the decorated function under `key`; `settings` are passed on to it."""

    def register(function: Callable[..., Answer | np.ndarray]) -> Callable:
        def answer(rows: Rows, seed: int) -> Answer:
            found = function(rows, seed, **settings)
            return found if isinstance(found, Answer) else Answer(found)

        SYSTEMS[key] = System(key, title, group, answer, takes_sparse)
        return function

    return register


def is_installed(group: str) -> bool:
    """Whether the packages behind a group of systems can be imported."""
    needs = {
        "ours": ("skdann",),
        "skada": ("skada", "ot"),
        "deep": ("skada", "skorch"),
        "adapt": ("adapt", "tensorflow"),
    }
    return all(find_spec(name) for name in needs.get(group, ()))


def logistic_regression() -> LogisticRegression:
    """The base of every shallow method."""
    return LogisticRegression(max_iter=1000)


def draw(rows: Rows, n_rows: int, seed: int) -> Rows:
    """At most `n_rows` rows of each domain, for methods whose cost grows with rows squared."""
    rng = np.random.RandomState(seed)
    source = rng.permutation(rows.X_source.shape[0])[:n_rows]
    target = rng.permutation(rows.X_target.shape[0])[:n_rows]
    return rows._replace(
        X_source=rows.X_source[source],
        y_source=rows.y_source[source],
        X_target=rows.X_target[target],
    )


def spread(proba: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Columns for all classes of the task, where a classifier saw only some of them."""
    full = np.zeros((len(proba), n_classes))
    full[:, classes] = proba
    return full


# ---- ours


@system("twin", "source-only twin (lambda 0)", "ours", takes_sparse=True, lambda_max=0.0)
@system("dann", "DANNClassifier()", "ours", takes_sparse=True)
def dann(rows: Rows, seed: int, **params: Any) -> np.ndarray:
    """`DANNClassifier` with its defaults, or with lambda 0."""
    from skdann import DANNClassifier

    clf = DANNClassifier(**params, random_state=seed)
    return clf.fit(rows.X_source, rows.y_source, rows.X_target).predict_proba(rows.X_test)


@system("dann_cv", "DANNClassifierCV()", "ours", takes_sparse=True)
def dann_cv(rows: Rows, seed: int) -> Answer:
    """`DANNClassifierCV` with its defaults, and each of its candidates for the ceiling."""
    import skdann

    clf = skdann.DANNClassifierCV(random_state=seed)
    clf.fit(rows.X_source, rows.y_source, rows.X_target)
    candidates = candidate_probabilities(clf, rows.X_test)
    return Answer(clf.predict_proba(rows.X_test), candidates, clf.reason_)


def candidate_probabilities(clf: Any, X: Any) -> dict[str, np.ndarray]:
    """Probabilities of each candidate of a fitted `DANNClassifierCV`, its members averaged.

    The first candidate is the source-only twin.
    """
    found = {}
    for index, (row, members) in enumerate(zip(clf.scores_, clf.candidates_, strict=True)):
        name = f"lambda {row['lambda_max']:g}, {row['standardize']}" if index else TWIN
        if not row.get("error"):
            found[name] = np.mean([member.predict_proba(X) for member in members], axis=0)
    return found


# ---- scikit-learn, source rows alone


@system("lr", "logistic regression on the source", "sklearn", takes_sparse=True)
def lr(rows: Rows, seed: int) -> np.ndarray:
    """Logistic regression; the columns come scaled by the source."""
    return logistic_regression().fit(rows.X_source, rows.y_source).predict_proba(rows.X_test)


@system(
    "lr_per_domain",
    "logistic regression, each domain scaled by itself",
    "sklearn",
    takes_sparse=True,
)
def lr_per_domain(rows: Rows, seed: int) -> np.ndarray:
    """Logistic regression on domains that are each scaled by their own unlabelled rows."""
    scale = MaxAbsScaler if sp.issparse(rows.X_source) else StandardScaler
    clf = logistic_regression().fit(scale().fit_transform(rows.X_source), rows.y_source)
    return clf.predict_proba(scale().fit(rows.X_target).transform(rows.X_test))


@system("hgb", "HistGradientBoosting on the source", "sklearn")
def hgb(rows: Rows, seed: int) -> np.ndarray:
    """Gradient boosting with scikit-learn's defaults."""
    clf = HistGradientBoostingClassifier(random_state=seed).fit(rows.X_source, rows.y_source)
    return clf.predict_proba(rows.X_test)


# ---- skada: logistic regression after its shallow methods, and its deep DANN


@contextlib.contextmanager
def routing() -> Iterator[Any]:
    """Give skada; its import switches metadata routing on for good, which is undone here."""
    before = sklearn.get_config()["enable_metadata_routing"]
    import skada

    sklearn.set_config(enable_metadata_routing=before)
    with sklearn.config_context(enable_metadata_routing=True):
        yield skada


def pooled(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both domains as skada wants them: targets have label -1 and a negative domain."""
    n_source, n_target = len(rows.X_source), len(rows.X_target)
    X = np.vstack([rows.X_source, rows.X_target])
    y = np.concatenate([rows.y_source, np.full(n_target, -1)])
    return X, y, np.repeat([1, -2], [n_source, n_target])


@system("skada_coral", "skada CORAL", "skada", method="CORAL")
@system("skada_linear_ot", "skada linear OT mapping", "skada", method="LinearOTMapping")
@system("skada_ot", "skada OT mapping, 2,000 rows", "skada", method="OTMapping", n_rows=2000)
@system(
    "skada_class_ot",
    "skada class-regularised OT, 1,000 rows",
    "skada",
    method="ClassRegularizerOTMapping",
    n_rows=1000,
)
def skada_mapping(rows: Rows, seed: int, *, method: str, n_rows: int | None = None) -> np.ndarray:
    """Map the source rows onto the target, then fit logistic regression to them."""
    rows = rows if n_rows is None else draw(rows, n_rows, seed)
    with routing() as skada:
        return fit_skada(getattr(skada, method)(logistic_regression()), rows)


@system("skada_subspace", "skada subspace alignment", "skada")
def skada_subspace(rows: Rows, seed: int) -> np.ndarray:
    """Subspace alignment with as many components as both domains have (skada's default fails)."""
    n_components = min(*rows.X_source.shape, *rows.X_target.shape)
    with routing() as skada:
        clf = logistic_regression()
        pipe = skada.SubspaceAlignment(clf, n_components=n_components, random_state=seed)
        return fit_skada(pipe, rows)


@system("skada_density", "skada density reweighting", "skada", method="DensityReweight")
@system("skada_discriminator", "skada discriminator reweighting", "skada")
@system(
    "skada_nearest",
    "skada nearest-neighbour reweighting",
    "skada",
    method="NearestNeighborReweight",
)
@system(  # its default gamma=1 gives weights that are not numbers
    "skada_kliep", "skada KLIEP, gamma by scale", "skada", method="KLIEPReweight", gamma="scale"
)
@system("skada_kmm", "skada KMM, 1,000 rows", "skada", method="KMMReweight", n_rows=1000)
def skada_reweighting(
    rows: Rows,
    seed: int,
    *,
    method: str = "DiscriminatorReweight",
    n_rows: int | None = None,
    **params: Any,
) -> np.ndarray:
    """Weigh the source rows by how likely they are in the target."""
    rows = rows if n_rows is None else draw(rows, n_rows, seed)
    with routing() as skada:
        clf = logistic_regression().set_fit_request(sample_weight=True)
        return fit_skada(getattr(skada, method)(clf, **params), rows)


def fit_skada(pipe: Any, rows: Rows) -> np.ndarray:
    """Fit a pipeline of skada, and predict the target's test rows."""
    X, y, domain = pooled(rows)
    proba = pipe.fit(X, y, sample_domain=domain).predict_proba(rows.X_test)
    return spread(proba, np.unique(rows.y_source), rows.n_classes)


@system("skada_dann", "skada deep DANN", "deep")
def skada_dann(rows: Rows, seed: int) -> np.ndarray:
    """Skada's DANN with our networks, 30 epochs of batches of 64, Adam at 1e-3.

    The domain classifier is given: the one that skada builds ends in a softmax over one output,
    which has no gradient.
    """
    import torch

    torch.manual_seed(seed)
    with routing():
        net = build_skada_dann(rows.X_source.shape[1], rows.n_classes, batch_size=64, n_epochs=30)
        X, y, domain = pooled(rows)
        net.fit(X.astype(np.float32), y.astype(np.int64), sample_domain=domain)
        test_domain = np.full(len(rows.X_test), -2)
        return net.predict_proba(rows.X_test.astype(np.float32), sample_domain=test_domain)


def build_skada_dann(n_features: int, n_classes: int, *, batch_size: int, n_epochs: int) -> Any:
    """Skada's deep DANN of networks 128-64 / classes / 64-1."""
    import torch
    from skada.deep import DANN
    from skada.deep.modules import GradientReversalLayer
    from torch import nn

    class DomainClassifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

        def forward(self, x: torch.Tensor, sample_weight: Any = None) -> torch.Tensor:
            return torch.sigmoid(self.layers(GradientReversalLayer.apply(x, 1.0))).squeeze(1)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = nn.Linear(n_features, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
            self.features, self.head = nn.Sequential(*sizes), nn.Linear(64, n_classes)

        def forward(self, X: torch.Tensor, sample_weight: Any = None) -> torch.Tensor:
            return self.head(self.features(X))

    return DANN(
        Network(),
        layer_name="features",
        domain_classifier=DomainClassifier(),
        batch_size=batch_size,
        max_epochs=n_epochs,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        train_split=None,
        verbose=0,
    )


# ---- ADAPT: logistic regression after its shallow methods


@system("adapt_coral", "ADAPT CORAL", "adapt", method="CORAL")
@system("adapt_subspace", "ADAPT subspace alignment", "adapt", method="SA")
@system("adapt_nearest", "ADAPT nearest neighbours", "adapt", method="NearestNeighborsWeighting")
@system("adapt_kliep", "ADAPT KLIEP", "adapt", method="KLIEP", kernel="rbf")
@system("adapt_rulsif", "ADAPT RULSIF", "adapt", method="RULSIF", kernel="rbf")
def adapt_shallow(rows: Rows, seed: int, *, method: str, **params: Any) -> np.ndarray:
    """Map or weigh the source rows, then fit logistic regression; gamma is 1 / columns."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from adapt import feature_based, instance_based

    module = feature_based if hasattr(feature_based, method) else instance_based
    if "kernel" in params:
        params["gamma"] = 1 / rows.X_source.shape[1]
    model: ClassifierMixin = getattr(module, method)(
        logistic_regression(), Xt=rows.X_target, verbose=0, random_state=seed, **params
    )
    model.fit(rows.X_source, rows.y_source)
    is_mapping = hasattr(model, "transform")
    X_test = model.transform(rows.X_test, domain="tgt") if is_mapping else rows.X_test
    proba = model.estimator_.predict_proba(X_test)
    return spread(proba, np.unique(rows.y_source), rows.n_classes)
