"""Check which features the domain-adversarial networks of several packages support.

Each question is a function that is run on a small table. "yes" means that it ran and that the
result was correct; otherwise the answer is the error. Packages that are not installed are skipped.
Run the script once in each environment; it adds the answers to `benchmarks/results/features.json`.

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
    """Return two shifted domains with a mean far from zero, so that missing scaling is visible."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 4)).astype(np.float32)
    return 50 + X, (X[:, 0] > 0).astype(int), 50 + 1 + X[:90] * np.float32(1.5)


class Network(torch.nn.Module):
    """Feature layer and head, as skada expects them."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)

    def forward(self, X: torch.Tensor, sample_weight: Any = None) -> torch.Tensor:
        """Return the logits."""
        return self.head(torch.relu(self.features(X)))


class Ours:
    """skdann.DANNClassifier."""

    package, title = "skdann", "skdann.DANNClassifier"

    def make(self, **params: Any) -> Any:
        """Create an estimator with three epochs."""
        from skdann import DANNClassifier

        return DANNClassifier(max_epochs=N_EPOCHS, **params)

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """Fit on source rows, labels and target rows."""
        return self.make(random_state=seed, **params).fit(X, y, X_target)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Predict labels of target rows."""
        return model.predict(X)

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Predict probabilities of target rows."""
        return model.predict_proba(X)

    def pipeline(self, X: Any, y: Any, X_target: Any) -> tuple[Any, Callable[[], Any]]:
        """Fit a pipeline with a scaler."""
        from skdann import make_pipeline

        return make_pipeline(StandardScaler(), self.make()).fit(X, y, X_target=X_target)

    def search(self, X: Any, y: Any, X_target: Any) -> Any:
        """Search over lambda with a score that needs no target labels."""
        from skdann.model_selection import InformationMaximizationScorer

        scoring = InformationMaximizationScorer(X_target)
        search = GridSearchCV(self.make(), {"lambda_max": [0, 1]}, scoring=scoring, cv=2)
        return search.fit(X, y, X_target=(X_target,))

    def save(self, model: Any, path: Path) -> Any:
        """Save to one file without pickle, and load it."""
        model.save(path)
        return type(model).load(path)

    def several_sources(self, X: Any, y: Any, X_target: Any) -> Any:
        """Fit a domain classifier with three classes."""
        domain = np.arange(len(X)) % 2
        model = self.make().fit(X, y, X_target, sample_domain=domain)
        assert model.predict_domain_proba(X_target).shape[1] == 3
        return model


class Skada(Ours):
    """skada.deep.DANN, which uses torch modules."""

    package, title = "skada", "skada.deep.DANN"

    def __init__(self) -> None:
        import sklearn

        sklearn.set_config(enable_metadata_routing=True)

    def make(self, **params: Any) -> Any:
        """Create an estimator with our feature network and skada's defaults, three epochs."""
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
        """Pool the rows of both domains; target rows have the label -1."""
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
        """Fit on pooled rows; the seed is torch's global seed, as in skorch."""
        if seed is not None:
            torch.manual_seed(seed)
        rows, label, domain = self.pool(X, y, X_target)
        return self.make(**params).fit(rows, label, sample_domain=domain)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Predict labels of target rows."""
        return model.predict(X, sample_domain=np.full(X.shape[0], -2))

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Predict probabilities of target rows."""
        return model.predict_proba(X, sample_domain=np.full(X.shape[0], -2))

    def pipeline(self, X: Any, y: Any, X_target: Any) -> Any:
        """Fit a pipeline on pooled rows, so the scaler is fitted on both domains."""
        from skada import make_da_pipeline

        rows, label, domain = self.pool(X, y, X_target)
        pipe = make_da_pipeline(StandardScaler(), self.make())
        return pipe.fit(rows, label, sample_domain=domain)

    def search(self, X: Any, y: Any, X_target: Any) -> Any:
        """Search over lambda with skada's prediction entropy."""
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
        """Save only the weights with skorch, and load them into a net with the same modules."""
        model.save_params(f_params=path, use_safetensors=True)
        other = self.make().initialize()
        other.load_params(f_params=path, use_safetensors=True)
        return other

    def several_sources(self, X: Any, y: Any, X_target: Any) -> Any:
        """Fit several sources, and check the outputs of the domain classifier."""
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
        """Create an estimator with default networks; `fit` sets three epochs."""
        from adapt.feature_based import DANN

        params = {"optimizer": "adam", "loss": "categorical_crossentropy", **params}
        return DANN(task=self.task(), Xt=X_target, verbose=0, **params)

    def task(self) -> Any:
        """Return a head for two classes; the default has one unit, for regression."""
        import keras

        start = keras.initializers.GlorotUniform(seed=0)
        return keras.Sequential(
            [keras.layers.Dense(2, activation="softmax", kernel_initializer=start)]
        )

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """Fit with one-hot labels; the target is a constructor parameter."""
        model = self.make(X_target, random_state=seed, **params)
        return model.fit(X, one_hot(y), epochs=N_EPOCHS, batch_size=32, verbose=0)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Predict the class with the largest softmax output."""
        return np.argmax(model.predict(X), axis=1)

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Return the softmax output."""
        return model.predict(X)

    def pipeline(self, X: Any, y: Any, X_target: Any) -> Any:
        """Fit a pipeline, which cannot scale the target because it is a constructor parameter."""
        model = self.make(X_target, random_state=0)
        return Pipeline([("scaler", StandardScaler()), ("clf", model)]).fit(
            X, one_hot(y), clf__epochs=N_EPOCHS, clf__verbose=0
        )

    def search(self, X: Any, y: Any, X_target: Any) -> Any:
        """Search over lambda with the negative J-score of the package."""
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
        """Save only the weights with Keras."""
        model.save_weights(f"{path}.weights.h5")
        return model

    def several_sources(self, X: Any, y: Any, X_target: Any) -> Any:
        """Raise, because there is no argument for source domains."""
        raise NotImplementedError("no argument names the domain of a source row")


class PytorchAdapt(Ours):
    """pytorch_adapt.adapters.DANN: one training step; the user writes the training loop."""

    package, title = "pytorch-adapt", "pytorch_adapt.adapters.DANN"

    def fit(self, X: Any, y: Any, X_target: Any, seed: int | None = None, **params: Any) -> Any:
        """Train in a hand-written loop with full batches."""
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
        """Predict the class with the largest logit."""
        return self.proba(model, X).argmax(axis=1)

    def proba(self, model: Any, X: Any) -> np.ndarray:
        """Return the softmax of the logits."""
        with torch.no_grad():
            output = model.inference(torch.as_tensor(X), domain=1)
        return torch.softmax(output["logits"], dim=1).numpy()

    def _no_estimator(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("no scikit-learn estimator: modules, loop and search are yours")

    make = pipeline = search = several_sources = _no_estimator

    def save(self, model: Any, path: Path) -> Any:
        """Raise, because only the weights of the modules can be saved, with torch."""
        raise NotImplementedError("weights of your modules, by torch")


def one_hot(y: Any) -> np.ndarray:
    """Encode labels as one-hot columns; ADAPT's sparse losses fail under Keras 3."""
    if np.asarray(y).dtype.kind in "US":
        raise TypeError("labels must be numbers, one-hot")
    return np.eye(2, dtype=np.float32)[y]


# ---- the questions


def fits_arrays(system: Any, rows: Any) -> None:
    """Fit NumPy arrays, and predict labels that occur in the source."""
    _, y, X_target = rows
    predicted = system.predict(system.fit(*rows), X_target)
    assert set(np.unique(predicted)) <= set(np.unique(y))
    assert len(predicted) == len(X_target)


def predicts_probabilities(system: Any, rows: Any) -> None:
    """Predict probabilities that sum to 1 per row."""
    proba = system.proba(system.fit(*rows), rows[2])
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)


def takes_frames(system: Any, rows: Any) -> None:
    """Accept pandas frames."""
    import pandas as pd

    X, y, X_target = rows
    frames = (pd.DataFrame(part, columns=list("abcd")) for part in (X, X_target))
    X, X_target = frames
    system.predict(system.fit(X, y, X_target), X_target)


def takes_sparse(system: Any, rows: Any) -> None:
    """Accept CSR matrices."""
    X, y, X_target = rows
    X, X_target = sp.csr_matrix(X), sp.csr_matrix(X_target)
    system.predict(system.fit(X, y, X_target), X_target)


def takes_strings(system: Any, rows: Any) -> None:
    """Accept string labels, and predict strings."""
    X, y, X_target = rows
    predicted = system.predict(system.fit(X, np.array(["ill", "well"])[y], X_target), X_target)
    assert set(predicted) <= {"ill", "well"}


def clones(system: Any, rows: Any) -> None:
    """Support `sklearn.base.clone`."""
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
    """Search over lambda in GridSearchCV with a score that needs no target labels."""
    assert np.isfinite(system.search(*rows).cv_results_["mean_test_score"]).all()


def repeats(system: Any, rows: Any) -> None:
    """Give identical bits for equal seeds, and different results for different seeds."""
    a, b, c = (system.proba(system.fit(*rows, seed=seed), rows[2]) for seed in (0, 0, 1))
    assert np.array_equal(a, b), "equal seeds differ"
    assert not np.array_equal(a, c), "the seed changes nothing"


def leaves_random_state(system: Any, rows: Any) -> None:
    """Leave the random states of numpy, Python and torch unchanged when no seed is given."""
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    system.fit(*rows)
    after = np.random.get_state()[1], random.getstate(), torch.get_rng_state()
    assert np.array_equal(before[0], after[0]), "numpy's is changed"
    assert before[1] == after[1], "Python's is changed"
    assert torch.equal(before[2], after[2]), "torch's is changed"


def distinguishes_sources(system: Any, rows: Any) -> None:
    """Distinguish several source domains."""
    system.several_sources(*rows)


def pickles(system: Any, rows: Any) -> None:
    """Give the same predictions after pickling."""
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
    "several sources told apart": distinguishes_sources,
    "pickle": pickles,
}


def ask(system: Any) -> dict[str, str]:
    """Return the answer to every question."""
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
    """Test every installed package, or the named ones, and save the answers."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = sys.argv[1:]
    for system in (Ours, Skada, Adapt, PytorchAdapt):
        module = system.package.replace("-", "_")
        needs = {"adapt": "tensorflow", "skada": "skorch"}.get(system.package, module)
        if find_spec(module) and find_spec(needs) and (not wanted or system.package in wanted):
            facts = {"version": version(system.package), "date": str(date.today())}
            kept[system.title] = {**facts, "answers": ask(system())}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
