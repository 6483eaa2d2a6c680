"""The settings of the caller's script change no result."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._input.surroundings import default_numpy_errors, neutral_surroundings
from skdann.inspection import DomainEmbeddingDisplay
from skdann.metrics import domain_auc, importance_weights, proxy_a_distance
from skdann.model_selection import DefaultRuleScorer, ReverseValidationScorer

_rng = np.random.default_rng(3)
XS, XT = _rng.normal(size=(40, 4)), _rng.normal(size=(30, 4)) + 0.5
YS = (XS[:, 0] > 0).astype(int)


# -- settings -------------------------------------------------------------------------------------


@contextlib.contextmanager
def changed(setter: Callable[[Any], Any], value: Any, default: Any) -> Iterator[None]:
    """Change a setting by a function, and set it back."""
    setter(value)
    try:
        yield
    finally:
        setter(default)


@contextlib.contextmanager
def numpy_errors() -> Iterator[None]:
    old = np.seterr(all="raise")
    try:
        yield
    finally:
        np.seterr(**old)


@contextlib.contextmanager
def pandas_options(**options: Any) -> Iterator[None]:
    known = {name.replace("__", "."): value for name, value in options.items()}
    with contextlib.ExitStack() as stack:
        # some options go away: reading one that pandas will drop warns
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        for name, value in known.items():
            with contextlib.suppress(KeyError):
                stack.enter_context(pd.option_context(name, value))
        warnings.simplefilter("error")
        yield


def set_default_device(device: str) -> contextlib.AbstractContextManager[None]:
    return changed(torch.set_default_device, device, None)


SETTINGS: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "default dtype float64": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "default dtype float16": lambda: changed(torch.set_default_dtype, torch.float16, torch.float32),
    "default device meta": lambda: set_default_device("meta"),
    "default device cpu": lambda: set_default_device("cpu"),
    "with torch.device": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "no_grad in inference mode": lambda: _nested(torch.inference_mode(), torch.no_grad()),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "anomaly detection": torch.autograd.detect_anomaly,
    "deterministic algorithms": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "numpy raises": numpy_errors,
    "numpy raises, as a context": lambda: np.errstate(all="raise"),
    "assume_finite": lambda: sklearn.config_context(assume_finite=True),
    "pandas output": lambda: sklearn.config_context(transform_output="pandas"),
    "polars output": lambda: sklearn.config_context(transform_output="polars"),
    "metadata routing": lambda: sklearn.config_context(enable_metadata_routing=True),
    "no validation of parameters": lambda: sklearn.config_context(skip_parameter_validation=True),
    "working memory": lambda: sklearn.config_context(working_memory=1),
    "pandas options": lambda: pandas_options(
        future__infer_string=False, mode__copy_on_write=True, mode__chained_assignment="raise"
    ),
    "pandas strings": lambda: pandas_options(
        future__infer_string=True, mode__string_storage="python"
    ),
}
# torch.set_default_dtype takes no float16 in older versions, and its anomaly mode warns
ANOMALY = pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")


@contextlib.contextmanager
def _nested(*contexts: contextlib.AbstractContextManager[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


class Mixed(nn.Module):
    """A module of the user's, with dropout and normalization."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


PARAMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "alternating, normalized": {"adversarial": "alternating", "normalization": "batch"},
    "of each domain": {"normalization": "domain_batch", "standardize": "domain"},
    "user's module": {"feature_extractor": Mixed, "conditioning": "cdan"},
    "label shift, stopped early": {
        "label_shift": "correct",
        "early_stopping": True,
        "class_weight": "balanced",
        "optimizer": "rmsprop",
    },
}


def outcome(params: dict[str, Any], wrap: Callable[[np.ndarray], Any] = np.asarray) -> list[Any]:
    """Fit, go on, predict, save and load: all that the settings may change."""
    clf = DANNClassifier(
        **{
            "feature_extractor": (8,),
            "domain_classifier": (4,),
            "max_epochs": 2,
            "batch_size": 16,
            "random_state": 0,
            **params,
        }
    )
    clf.fit(wrap(XS), YS, wrap(XT), sample_weight=np.ones(40))
    loaded = pickle.loads(pickle.dumps(clf))
    loaded.partial_fit(wrap(XS), YS, wrap(XT))
    results = [
        each(wrap(XT))
        for fitted in (clf, loaded)
        for each in (fitted.predict, fitted.predict_proba, fitted.transform)
    ]
    results += [clf.predict_log_proba(wrap(XT)), clf.predict_domain_proba(wrap(XT))]
    return [np.asarray(result) for result in results]


@pytest.fixture(scope="module")
def expected() -> dict[str, list[Any]]:
    return {name: outcome(params) for name, params in PARAMS.items()}


@ANOMALY
@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_of_the_caller_changes_no_bit(
    setting: str, params: str, expected: dict[str, list[Any]]
) -> None:
    if setting == "default dtype float16":
        try:
            torch.set_default_dtype(torch.float16)
        except TypeError:
            pytest.skip("this torch has no float16 as default dtype")
        finally:
            torch.set_default_dtype(torch.float32)
    with SETTINGS[setting]():
        results = outcome(PARAMS[params])
    if params == "user's module" and setting.startswith("default dtype"):
        # such a module draws other weights, as it makes them in the default dtype
        assert all(np.isfinite(result).all() for result in results)
        assert results[2].dtype == np.float32
        return
    for result, right in zip(results, expected[params], strict=True):
        assert_array_equal(result, right)


@pytest.mark.parametrize(
    "setting", [name for name in SETTINGS if name.startswith(("pandas", "polars"))]
)
def test_frames_under_options_of_their_library(
    setting: str, expected: dict[str, list[Any]]
) -> None:
    make = pl.DataFrame if setting.startswith("polars") else pd.DataFrame
    with SETTINGS[setting]():
        results = outcome(
            PARAMS["plain"],
            lambda X: (
                make(X, list("abcd")) if make is pl.DataFrame else make(X, columns=list("abcd"))
            ),
        )
    for result, right in zip(results, expected["plain"], strict=True):
        assert_array_equal(result, right)


def search(tmp_path: Path) -> np.ndarray:
    clf = DANNClassifierCV(
        DANNClassifier(feature_extractor=(8,), max_epochs=2),
        lambdas=(0.3,),
        n_seeds=2,
        random_state=0,
    )
    clf.fit(XS, YS, XT)
    clf.save(tmp_path / "search")
    return DANNClassifierCV.load(tmp_path / "search").predict_proba(XT)


@pytest.fixture(scope="module")
def expected_search(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return search(tmp_path_factory.mktemp("search"))


@ANOMALY
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_changes_nothing_in_a_search(
    setting: str, tmp_path: Path, expected_search: np.ndarray
) -> None:
    with SETTINGS[setting]():
        assert_array_equal(search(tmp_path), expected_search)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("setting", ["numpy raises", "pandas output", "polars output", "no_grad"])
def test_a_setting_changes_nothing_in_metrics_and_scorers(setting: str, make: Any) -> None:
    clf = DANNClassifier(feature_extractor=(8,), max_epochs=2, random_state=0)
    clf.fit(make(XS), YS, make(XT))

    def figures() -> list[Any]:
        return [
            domain_auc(make(XS), make(XT), random_state=0),
            proxy_a_distance(make(XS), make(XT), random_state=0),
            importance_weights(make(XS), make(XT), random_state=0),
            DefaultRuleScorer(make(XT))(clf, make(XS), YS),
            ReverseValidationScorer(make(XT))(clf, make(XS), YS),
            clf.diagnose(make(XS), make(XT)).input_auc,
        ]

    right = figures()
    with SETTINGS[setting]():
        results = figures()
    for result, value in zip(results, right, strict=True):
        assert_array_equal(result, value)


@pytest.mark.parametrize("setting", ["pandas output", "polars output"])
def test_pipelines_and_displays_under_another_output(setting: str) -> None:
    pytest.importorskip("matplotlib").use("agg")
    from sklearn.preprocessing import StandardScaler

    def predict() -> np.ndarray:
        clf = DANNClassifier(feature_extractor=(8,), max_epochs=2, random_state=0)
        pipe = make_pipeline(StandardScaler(), clf).fit(XS, YS, X_target=XT)
        DomainEmbeddingDisplay.from_estimator(pipe, XS, YS, XT)
        return pipe.predict_proba(XT)

    right = predict()
    with SETTINGS[setting]():
        assert_array_equal(predict(), right)


def test_transform_returns_the_container_that_the_user_asks_for() -> None:
    clf = DANNClassifier(feature_extractor=(8,), max_epochs=1, random_state=0).fit(XS, YS, XT)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(clf.transform(XT), pd.DataFrame)
    with sklearn.config_context(transform_output="polars"):
        assert isinstance(clf.transform(XT), pl.DataFrame)


def test_values_that_are_not_finite_are_seen_under_assume_finite() -> None:
    X = XS.copy()
    X[3, 1] = np.inf
    clf = DANNClassifier(feature_extractor=(8,), max_epochs=1)
    with sklearn.config_context(assume_finite=True):
        for bad in ((X, YS, XT), (XS, YS, X)):
            with pytest.raises(ValueError, match="infinity"):
                clf.fit(*bad)
        with pytest.raises(ValueError, match="NaN"):
            clf.fit(XS, np.where(YS, np.nan, 1.0), XT)
        with pytest.raises(ValueError, match="NaN"):
            clf.fit(XS, YS, XT, sample_weight=np.full(40, np.nan))
        with pytest.raises(ValueError, match="infinity"):
            clf.fit(XS, YS, XT).predict(X)
        X[3, 1] = np.nan
        imputed = np.where(np.isnan(X), clf._columns.fill, X)
        np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(imputed))


def test_parameters_are_checked_without_scikit_learns_validation() -> None:
    with (
        sklearn.config_context(skip_parameter_validation=True),
        pytest.raises(ValueError, match="dropout"),
    ):
        DANNClassifier(dropout=2.0).fit(XS, YS, XT)


# -- the context itself ---------------------------------------------------------------------------


def state() -> tuple[Any, ...]:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.empty(0).device,
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        sklearn.get_config(),
    )


@ANOMALY
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_the_settings_are_back_after_the_block(setting: str, error: Any) -> None:
    with SETTINGS[setting]():
        before = state()
        with contextlib.suppress(KeyboardInterrupt, ValueError), neutral_surroundings():
            inside = state()
            if error:
                raise error
        assert state() == before
    assert inside[:4] == (True, False, False, torch.device("cpu"))
    assert inside[6] == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def test_the_block_sets_nothing_for_another_thread() -> None:
    seen: list[Any] = []

    def look() -> None:
        with torch.no_grad(), np.errstate(all="raise"):
            begun.set()
            entered.wait(5)
            seen.append((torch.is_grad_enabled(), np.geterr()["under"]))

    begun, entered = threading.Event(), threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    begun.wait(5)
    with neutral_surroundings():
        entered.set()
        thread.join()
    assert seen == [(False, "raise")]


def test_numpy_errors_are_those_of_a_fresh_process() -> None:
    command = "import numpy; print(numpy.geterr())"
    fresh = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    with np.errstate(all="raise"), default_numpy_errors():
        assert str(np.geterr()) == fresh.stdout.strip()


# -- other processes ------------------------------------------------------------------------------

SCRIPT = """
import numpy as np
from skdann import DANNClassifier
X = np.arange(80.0).reshape(20, 4) % 7
y = np.arange(20) % 2
clf = DANNClassifier(feature_extractor=(8,), max_epochs=2, random_state=0, standardize="source")
print(clf.fit(X, y, X + 1).predict_proba(X).tolist())
try:
    clf.fit(X, y, X[:, :2])
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
def test_optimized_python_with_warnings_as_errors(capsys: pytest.CaptureFixture[str]) -> None:
    # not -OO, under which skorch cannot be imported
    command = [sys.executable, "-O", "-Werror", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    exec(SCRIPT, {})
    assert capsys.readouterr().out == done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork beside threads")
# newer versions of Python warn of any fork beside threads
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_computes_after_threads_of_its_parent() -> None:
    """OpenMP threads of the parent are not there in the child, which would wait for them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 300)), np.arange(1000) % 2
    clf = DANNClassifier(
        feature_extractor=(512, 256), batch_size=1000, max_epochs=1, random_state=0
    )
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        proba = clf.fit(X, y, X + 0.5).predict_proba(X)
        pid = os.fork()
        if not pid:  # the child
            signal.alarm(60)
            again = DANNClassifier(**clf.get_params()).fit(X, y, X + 0.5).predict_proba(X)
            os._exit(int(not np.allclose(again, proba, atol=1e-4)))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_started_processes_give_the_same(method: str) -> None:
    import multiprocessing

    clf = DANNClassifier(feature_extractor=(8,), max_epochs=2, random_state=0)
    right = clf.fit(XS, YS, XT).predict_proba(XT)
    with multiprocessing.get_context(method).Pool(1) as pool:
        fitted = pool.apply(clf.fit, (XS, YS, XT))
        assert_allclose(fitted.predict_proba(XT), right, rtol=0, atol=0)
        assert_array_equal(pool.apply(clf.predict_proba, (XT,)), right)
