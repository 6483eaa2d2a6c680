"""What domain-adversarial networks of several packages take and keep, found by running them.

Each question is a function that does what it asks, on a small table; "yes" means that it ran and
that the outcome was right, anything else is the error. Packages that are not installed are left
out, so run it once in each environment: answers are added to `benchmarks/results/features.json`.

    python benchmarks/features.py
"""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

RESULTS = Path(__file__).parent / "results" / "features.json"
N_EPOCHS = 3


def make_rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two shifted domains, far apart from zero so that scaling shows."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 4)).astype(np.float32)
    return 50 + X, (X[:, 0] > 0).astype(int), 50 + 1 + X[:90] * np.float32(1.5)


class Network(torch.nn.Module):
    """Features and a head, as skada wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)

    def forward(self, X: torch.Tensor, sample_weight: Any = None) -> torch.Tensor:
        """Logits."""
        return self.head(torch.relu(self.features(X)))


class Ours:
    """skdann.DANNClassifier."""

    package, title = "skdann", "skdann.DANNClassifier"

    def make(self, **params: Any) -> Any:
        """Three epochs."""
        from skdann import DANNClassifier

        return DANNClassifier(max_epochs=N_EPOCHS, **params)

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """Source, labels, target."""
        return self.make(random_state=seed, **params).fit(X, y, X_target)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Of target rows."""
        return model.predict(X)

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Of target rows."""
        return model.predict_proba(X)

    def pipeline(self, X: Any, y: Any, X_target: Any) -> tuple[Any, Callable[[], Any]]:
        """A fitted pipeline with a scaler, and its fitted scaler applied to the target."""
        from skdann import make_pipeline

        return make_pipeline(StandardScaler(), self.make()).fit(X, y, X_target=X_target)

    def search(self, X: Any, y: Any, X_target: Any) -> Any:
        """Over lambda, by a score that needs no target labels."""
        from skdann.model_selection import InformationMaximizationScorer

        scoring = InformationMaximizationScorer(X_target)
        search = GridSearchCV(self.make(), {"lambda_max": [0, 1]}, scoring=scoring, cv=2)
        return search.fit(X, y, X_target=(X_target,))

    def save(self, model: Any, path: Path) -> Any:
        """One file without pickle."""
        model.save(path)
        return type(model).load(path)

    def several_sources(self, X: Any, y: Any, X_target: Any) -> Any:
        """A domain classifier of three classes."""
        domain = np.arange(len(X)) % 2
        model = self.make().fit(X, y, X_target, sample_domain=domain)
        assert model.predict_domain_proba(X_target).shape[1] == 3
        return model


class Skada(Ours):
    """skada.deep.DANN, which takes torch modules."""

    package, title = "skada", "skada.deep.DANN"

    def __init__(self) -> None:
        import sklearn

        sklearn.set_config(enable_metadata_routing=True)

    def make(self, **params: Any) -> Any:
        """Networks that the package makes by itself but for the body, three epochs."""
        from skada.deep import DANN

        return DANN(
            Network(),
            layer_name="features",
            num_features=8,
            max_epochs=N_EPOCHS,
            batch_size=32,
            train_split=None,
            verbose=0,
            **params,
        )

    def pool(self, X: Any, y: Any, X_target: Any) -> tuple[Any, Any, np.ndarray]:
        """Rows below one another; -1 is the label of target rows."""
        n_source, n_target = X.shape[0], X_target.shape[0]
        if sp.issparse(X):
            rows = sp.vstack([X, X_target])
        elif hasattr(X, "columns"):
            import pandas as pd

            rows = pd.concat([X, X_target])
        else:
            rows = np.vstack([X, X_target]).astype(np.float32)
        label = np.concatenate([y, np.full(n_target, -1, dtype=np.asarray(y).dtype)])
        return rows, label, np.repeat([1, -2], [n_source, n_target])

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """The seed is torch's global one, as skorch has it."""
        if seed is not None:
            torch.manual_seed(seed)
        rows, label, domain = self.pool(X, y, X_target)
        return self.make(**params).fit(rows, label, sample_domain=domain)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Of target rows."""
        return model.predict(X, sample_domain=np.full(X.shape[0], -2))

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Of target rows."""
        return model.predict_proba(X, sample_domain=np.full(X.shape[0], -2))

    def pipeline(self, X: Any, y: Any, X_target: Any) -> Any:
        """Pooled rows, so the scaler sees both domains."""
        from skada import make_da_pipeline

        rows, label, domain = self.pool(X, y, X_target)
        pipe = make_da_pipeline(StandardScaler(), self.make())
        return pipe.fit(rows, label, sample_domain=domain)

    def search(self, X: Any, y: Any, X_target: Any) -> Any:
        """Over lambda, by skada's prediction entropy."""
        from skada.metrics import PredictionEntropyScorer
        from sklearn.model_selection import ShuffleSplit

        rows, label, domain = self.pool(X, y, X_target)
        search = GridSearchCV(
            self.make().set_score_request(sample_domain=True),
            {"criterion__reg": [0.0, 1.0]},
            scoring=PredictionEntropyScorer(),
            cv=ShuffleSplit(2, random_state=0),
            error_score="raise",
        )
        return search.fit(rows, label, sample_domain=domain)

    def save(self, model: Any, path: Path) -> Any:
        """Weights alone, by skorch, into an initialised net of the same modules."""
        model.save_params(f_params=path, use_safetensors=True)
        other = self.make().initialize()
        other.load_params(f_params=path, use_safetensors=True)
        return other

    def several_sources(self, X: Any, y: Any, X_target: Any) -> Any:
        """It fits; look at what becomes of the domain classifier."""
        rows, label, domain = self.pool(X, y, X_target)
        domain[: len(X) : 2] = 3
        model = self.make().fit(rows, label, sample_domain=domain)
        widths = [p.shape[0] for p in model.module_.domain_classifier_.parameters()]
        raise NotImplementedError(
            f"sources are pooled: the domain classifier has {widths[-1]} output"
        )


class Adapt(Ours):
    """adapt.feature_based.DANN, a Keras model."""

    package, title = "adapt", "adapt.feature_based.DANN"

    def make(self, X_target: Any = None, **params: Any) -> Any:
        """Default networks, three epochs are given at fit."""
        from adapt.feature_based import DANN

        params = {"optimizer": "adam", "loss": "categorical_crossentropy", **params}
        return DANN(task=self.task(), Xt=X_target, verbose=0, **params)

    def task(self) -> Any:
        """A classifier of two classes; the default ends in one unit, for regression."""
        import keras

        start = keras.initializers.GlorotUniform(seed=0)
        return keras.Sequential(
            [keras.layers.Dense(2, activation="softmax", kernel_initializer=start)]
        )

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """Target rows belong to the constructor; labels are one-hot."""
        model = self.make(X_target, random_state=seed, **params)
        return model.fit(X, one_hot(y), epochs=N_EPOCHS, batch_size=32, verbose=0)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Columns of the softmax, as Keras gives them."""
        return np.argmax(model.predict(X), axis=1)

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """The softmax."""
        return model.predict(X)

    def pipeline(self, X: Any, y: Any, X_target: Any) -> Any:
        """The target is a parameter of the constructor, so the pipeline cannot scale it."""
        model = self.make(X_target, random_state=0)
        return Pipeline([("scaler", StandardScaler()), ("clf", model)]).fit(
            X, one_hot(y), clf__epochs=N_EPOCHS, clf__verbose=0
        )

    def search(self, X: Any, y: Any, X_target: Any) -> Any:
        """Over lambda, by the package's negative J-score."""
        from adapt.metrics import make_uda_scorer, neg_j_score

        search = GridSearchCV(
            self.make(X_target, random_state=0),
            {"lambda_": [0.0, 1.0]},
            scoring=make_uda_scorer(neg_j_score, X, X_target),
            cv=2,
            error_score="raise",
        )
        return search.fit(X, one_hot(y), epochs=N_EPOCHS, verbose=0)

    def save(self, model: Any, path: Path) -> Any:
        """Weights alone, by Keras."""
        model.save_weights(f"{path}.weights.h5")
        return model

    def several_sources(self, X: Any, y: Any, X_target: Any) -> Any:
        """There is no argument for it."""
        raise NotImplementedError("no argument names the domain of a source row")


class PytorchAdapt(Ours):
    """pytorch_adapt.adapters.DANN: one training step of modules of yours, the loop is yours."""

    package, title = "pytorch-adapt", "pytorch_adapt.adapters.DANN"

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """A loop by hand, full batches."""
        from pytorch_adapt.adapters import DANN
        from pytorch_adapt.containers import Models

        if seed is not None:
            torch.manual_seed(seed)
        models = Models(
            {
                "G": torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU()),
                "C": torch.nn.Linear(8, 2),
                "D": torch.nn.Sequential(torch.nn.Linear(8, 1), torch.nn.Flatten(0)),
            }
        )
        adapter = DANN(models=models)
        batch = {
            "src_imgs": torch.as_tensor(X),
            "src_labels": torch.as_tensor(y),
            "src_domain": torch.zeros(len(X)),
            "target_imgs": torch.as_tensor(X_target),
            "target_domain": torch.ones(len(X_target)),
        }
        for _ in range(N_EPOCHS):
            adapter.training_step(batch)
        return adapter

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Class of the largest logit."""
        return self.proba(model, X).argmax(axis=1)

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Logits and features come with them."""
        with torch.no_grad():
            found = model.inference(torch.as_tensor(X), domain=1)
        return torch.softmax(found["logits"], dim=1).numpy()

    def _no_estimator(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("no scikit-learn estimator: modules, loop and search are yours")

    make = pipeline = search = several_sources = _no_estimator

    def save(self, model: Any, path: Path) -> Any:
        """Of the modules, by torch; there is no file of the whole."""
        raise NotImplementedError("weights of your modules, by torch")


def one_hot(y: Any) -> np.ndarray:
    """Columns of zeros and ones; its sparse losses fail under Keras 3."""
    if np.asarray(y).dtype.kind in "US":
        raise TypeError("labels must be numbers, one-hot")
    return np.eye(2, dtype=np.float32)[y]


# ---- the questions


def fits_arrays(system: Any, rows: Any) -> None:
    """Fit NumPy arrays, predict labels of the source's."""
    _, y, X_target = rows
    found = system.predict(system.fit(*rows), X_target)
    assert set(np.unique(found)) <= set(np.unique(y))
    assert len(found) == len(X_target)


def predicts_probabilities(system: Any, rows: Any) -> None:
    """Give rows of sum 1."""
    proba = system.proba(system.fit(*rows), rows[2])
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)


def takes_frames(system: Any, rows: Any) -> None:
    """Take pandas frames."""
    import pandas as pd

    X, y, X_target = rows
    frames = (pd.DataFrame(part, columns=list("abcd")) for part in (X, X_target))
    X, X_target = frames
    system.predict(system.fit(X, y, X_target), X_target)


def takes_sparse(system: Any, rows: Any) -> None:
    """Take CSR matrices."""
    X, y, X_target = rows
    X, X_target = sp.csr_matrix(X), sp.csr_matrix(X_target)
    system.predict(system.fit(X, y, X_target), X_target)


def takes_strings(system: Any, rows: Any) -> None:
    """Take labels that are strings, and predict such."""
    X, y, X_target = rows
    found = system.predict(system.fit(X, np.array(["ill", "well"])[y], X_target), X_target)
    assert set(found) <= {"ill", "well"}


def clones(system: Any, rows: Any) -> None:
    """Be cloned by scikit-learn."""
    clone(system.make())


def scales_in_a_pipeline(system: Any, rows: Any) -> None:
    """Scale source and target alike in a pipeline."""
    X, y, X_target = rows
    pipe = system.pipeline(X, y, X_target)
    target = getattr(pipe[-1], "Xt", None)
    if target is not None and np.mean(target) > 10:
        raise ValueError("the target reaches the network unscaled")
    assert len(pipe) == 2


def searches(system: Any, rows: Any) -> None:
    """Search over lambda in GridSearchCV by a score without target labels."""
    assert np.isfinite(system.search(*rows).cv_results_["mean_test_score"]).all()


def repeats(system: Any, rows: Any) -> None:
    """Give equal bits for equal seeds, and others for others."""
    a, b, c = (system.proba(system.fit(*rows, seed=seed), rows[2]) for seed in (0, 0, 1))
    assert np.array_equal(a, b), "equal seeds differ"
    assert not np.array_equal(a, c), "the seed changes nothing"


def leaves_random_state(system: Any, rows: Any) -> None:
    """Leave the random states of numpy, Python and torch as they were, with no seed given."""
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    system.fit(*rows)
    after = np.random.get_state()[1], random.getstate(), torch.get_rng_state()
    assert np.array_equal(before[0], after[0]), "numpy's is changed"
    assert before[1] == after[1], "Python's is changed"
    assert torch.equal(before[2], after[2]), "torch's is changed"


def tells_sources_apart(system: Any, rows: Any) -> None:
    """Tell several source domains apart."""
    system.several_sources(*rows)


def pickles(system: Any, rows: Any) -> None:
    """Predict alike after pickling."""
    model = system.fit(*rows)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(system.proba(again, rows[2]), system.proba(model, rows[2]))


QUESTIONS = {
    "fits NumPy arrays": fits_arrays,
    "class probabilities": predicts_probabilities,
    "pandas frames": takes_frames,
    "sparse rows": takes_sparse,
    "labels that are strings": takes_strings,
    "`sklearn.base.clone`": clones,
    "pipeline scales the target too": scales_in_a_pipeline,
    "GridSearchCV without target labels": searches,
    "equal seeds, equal bits": repeats,
    "global random state untouched": leaves_random_state,
    "several sources told apart": tells_sources_apart,
    "pickle": pickles,
}


def ask(system: Any) -> dict[str, str]:
    """The answer to every question."""
    answers = {}
    for name, question in QUESTIONS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                question(system, make_rows())
            answers[name] = "yes"
        except Exception as error:
            text = f"{type(error).__name__}: {error}".split("\n")[0]
            answers[name] = f"no: {text[:160]}"
        print(f"{system.title:28} {name:36} {answers[name]}", flush=True)
    return answers


def main() -> None:
    """Ask every installed package, or those named, and keep the answers."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = sys.argv[1:]
    for system in (Ours, Skada, Adapt, PytorchAdapt):
        module = system.package.replace("-", "_")
        needs = {"adapt": "tensorflow", "skada": "skorch"}.get(system.package, module)
        if find_spec(module) and find_spec(needs) and (not wanted or system.package in wanted):
            found = {"version": version(system.package), "date": str(date.today())}
            kept[system.title] = {**found, "answers": ask(system())}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
