"""The systems compared by `benchmarks/accuracy.py`, as functions of a task and a seed.

A system receives labelled source rows and unlabelled target rows, but no target labels. It returns
class probabilities for the test rows of the task. Labels are 0, 1, ... in the order of the source
classes. Settings are the defaults of each package; exceptions are noted. A system is skipped if its
package is not installed.
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
    """Input of a system: a task without target labels."""

    X_source: Any
    y_source: np.ndarray
    X_target: Any
    X_test: Any
    n_classes: int


class Answer(NamedTuple):
    """Probabilities of the test rows, also per candidate if the system selects among candidates."""

    proba: np.ndarray
    candidates: dict[str, np.ndarray] | None = None
    note: str | None = None


class System(NamedTuple):
    """A named function from rows to probabilities."""

    key: str
    title: str
    group: str
    answer: Callable[[Rows, int], Answer]
    takes_sparse: bool


SYSTEMS: dict[str, System] = {}
BASELINE = "baseline"  # source-only baseline, as a system and as a candidate


def system(key: str, title: str, group: str, *, takes_sparse: bool = False, **settings: Any):
    """Register the decorated function under `key`; `settings` are passed to it."""

    def register(function: Callable[..., Answer | np.ndarray]) -> Callable:
        def answer(rows: Rows, seed: int) -> Answer:
            result = function(rows, seed, **settings)
            return result if isinstance(result, Answer) else Answer(result)

        SYSTEMS[key] = System(key, title, group, answer, takes_sparse)
        return function

    return register


def is_installed(group: str) -> bool:
    """Whether the packages of a group of systems are installed."""
    needs = {
        "ours": ("skdann",),
        "catboost": ("catboost",),
        "skada": ("skada", "ot"),
        "deep": ("skada", "skorch"),
        "adapt": ("adapt", "tensorflow"),
    }
    return all(find_spec(name) for name in needs.get(group, ()))


def logistic_regression() -> LogisticRegression:
    """Return the base classifier of all shallow methods."""
    return LogisticRegression(max_iter=1000)


def draw(rows: Rows, n_rows: int, seed: int) -> Rows:
    """Draw at most `n_rows` rows per domain, for methods of quadratic cost."""
    rng = np.random.RandomState(seed)
    source = rng.permutation(rows.X_source.shape[0])[:n_rows]
    target = rng.permutation(rows.X_target.shape[0])[:n_rows]
    return rows._replace(
        X_source=rows.X_source[source],
        y_source=rows.y_source[source],
        X_target=rows.X_target[target],
    )


def spread(proba: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return one column per class of the task for a classifier trained on some of the classes."""
    full = np.zeros((len(proba), n_classes))
    full[:, classes] = proba
    return full


# ---- ours


@system(BASELINE, "source-only baseline (lambda 0)", "ours", takes_sparse=True, lambda_max=0.0)
@system("dann", "DANNClassifier()", "ours", takes_sparse=True)
def dann(rows: Rows, seed: int, **params: Any) -> np.ndarray:
    """Fit `DANNClassifier` with its defaults, or with lambda 0."""
    from skdann import DANNClassifier

    clf = DANNClassifier(**params, random_state=seed)
    return clf.fit(rows.X_source, rows.y_source, rows.X_target).predict_proba(rows.X_test)


@system("dann_cv", "DANNClassifierCV()", "ours", takes_sparse=True)
def dann_cv(rows: Rows, seed: int) -> Answer:
    """Fit `DANNClassifierCV` with its defaults; its families are kept for the ceiling."""
    import skdann

    clf = skdann.DANNClassifierCV(random_state=seed)
    clf.fit(rows.X_source, rows.y_source, rows.X_target)
    candidates = candidate_probabilities(clf, rows.X_test)
    return Answer(clf.predict_proba(rows.X_test), candidates, clf.reason_)


def candidate_probabilities(clf: Any, X: Any) -> dict[str, np.ndarray]:
    """Return the probabilities of each family of a fitted `DANNClassifierCV`.

    Members are averaged. The first family is the source-only baseline.
    """
    return {
        row["family"]: np.mean([member.predict_proba(X) for member in members], axis=0)
        for row, members in zip(clf.scores_, clf.candidates_, strict=True)
        if not row.get("error")
    }


# ---- scikit-learn, trained on source rows only


@system("lr", "logistic regression on the source", "sklearn", takes_sparse=True)
def lr(rows: Rows, seed: int) -> np.ndarray:
    """Fit logistic regression; the columns are scaled by the source."""
    return logistic_regression().fit(rows.X_source, rows.y_source).predict_proba(rows.X_test)


@system(
    "lr_per_domain",
    "logistic regression, each domain scaled separately",
    "sklearn",
    takes_sparse=True,
)
def lr_per_domain(rows: Rows, seed: int) -> np.ndarray:
    """Fit logistic regression; each domain is scaled by its unlabelled rows."""
    scale = MaxAbsScaler if sp.issparse(rows.X_source) else StandardScaler
    clf = logistic_regression().fit(scale().fit_transform(rows.X_source), rows.y_source)
    return clf.predict_proba(scale().fit(rows.X_target).transform(rows.X_test))


@system("hgb", "HistGradientBoosting on the source", "sklearn")
def hgb(rows: Rows, seed: int) -> np.ndarray:
    """Fit gradient-boosted trees with scikit-learn's defaults."""
    clf = HistGradientBoostingClassifier(random_state=seed).fit(rows.X_source, rows.y_source)
    return clf.predict_proba(rows.X_test)


@system("catboost", "CatBoost on the source", "catboost")
def catboost(rows: Rows, seed: int) -> np.ndarray:
    """Fit CatBoost with its defaults, on one thread."""
    from catboost import CatBoostClassifier

    clf = CatBoostClassifier(
        random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False
    )
    return clf.fit(rows.X_source, rows.y_source).predict_proba(rows.X_test)


# ---- skada: shallow methods with logistic regression, and its deep DANN


@contextlib.contextmanager
def routing() -> Iterator[Any]:
    """Import skada and undo its permanent switch to metadata routing."""
    before = sklearn.get_config()["enable_metadata_routing"]
    import skada

    sklearn.set_config(enable_metadata_routing=before)
    with sklearn.config_context(enable_metadata_routing=True):
        yield skada


def pooled(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pool both domains for skada: target rows have label -1 and a negative domain."""
    n_source, n_target = len(rows.X_source), len(rows.X_target)
    X = np.vstack([rows.X_source, rows.X_target])
    y = np.concatenate([rows.y_source, np.full(n_target, -1)])
    return X, y, np.repeat([1, -2], [n_source, n_target])


@system("skada_coral", "skada CORAL", "skada", method="CORAL")
@system("skada_linear_ot", "skada linear OT mapping", "skada", method="LinearOTMapping")
@system("skada_ot", "skada OT mapping, 2,000 rows", "skada", method="OTMapping", n_rows=2000)
@system(
    "skada_class_ot",
    "skada class-regularized OT, 1,000 rows",
    "skada",
    method="ClassRegularizerOTMapping",
    n_rows=1000,
)
def skada_mapping(rows: Rows, seed: int, *, method: str, n_rows: int | None = None) -> np.ndarray:
    """Map the source rows to the target, and fit logistic regression on them."""
    rows = rows if n_rows is None else draw(rows, n_rows, seed)
    with routing() as skada:
        return fit_skada(getattr(skada, method)(logistic_regression()), rows)


@system("skada_subspace", "skada subspace alignment", "skada")
def skada_subspace(rows: Rows, seed: int) -> np.ndarray:
    """Align subspaces with as many components as both domains have (skada's default fails)."""
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
@system(  # the default gamma=1 gives NaN weights
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
    """Weight the source rows by how likely they are in the target."""
    rows = rows if n_rows is None else draw(rows, n_rows, seed)
    with routing() as skada:
        clf = logistic_regression().set_fit_request(sample_weight=True)
        return fit_skada(getattr(skada, method)(clf, **params), rows)


def fit_skada(pipe: Any, rows: Rows) -> np.ndarray:
    """Fit a skada pipeline, and predict the test rows of the target."""
    X, y, domain = pooled(rows)
    proba = pipe.fit(X, y, sample_domain=domain).predict_proba(rows.X_test)
    return spread(proba, np.unique(rows.y_source), rows.n_classes)


@system("skada_dann", "skada deep DANN", "deep")
def skada_dann(rows: Rows, seed: int) -> np.ndarray:
    """Fit skada's DANN with our networks, 30 epochs, batch size 64 and Adam at 1e-3.

    The domain classifier is passed explicitly, because the one that skada builds ends in a softmax
    over one output, whose gradient is zero.
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
    """Build skada's deep DANN with networks 128-64 / classes / 64-1."""
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


# ---- ADAPT: shallow methods with logistic regression


@system("adapt_coral", "ADAPT CORAL", "adapt", method="CORAL")
@system("adapt_subspace", "ADAPT subspace alignment", "adapt", method="SA")
@system("adapt_nearest", "ADAPT nearest neighbours", "adapt", method="NearestNeighborsWeighting")
@system("adapt_kliep", "ADAPT KLIEP", "adapt", method="KLIEP", kernel="rbf")
@system("adapt_rulsif", "ADAPT RULSIF", "adapt", method="RULSIF", kernel="rbf")
def adapt_shallow(rows: Rows, seed: int, *, method: str, **params: Any) -> np.ndarray:
    """Map or weight the source rows, then fit logistic regression; gamma is 1 / n_features."""
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
