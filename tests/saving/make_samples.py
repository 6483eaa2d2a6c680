"""Write the samples of the current file format, which test_samples.py loads.

After `FORMAT` in skdann/_saving/file.py was raised, run this from the root of the repository:

    .venv/bin/python -m tests.saving.make_samples

It fills the folder of the new format. Samples of older formats stay as they are, because users
have such files. A network takes 56 kB, most of it the states of ten random generators.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from skdann import DANNClassifier, DANNClassifierCV, DANNRegressor
from skdann._saving.file import FORMAT

SAMPLES = Path(__file__).parent / "samples"
SMALL = {
    "feature_extractor": (4,),
    "domain_classifier": (),
    "max_epochs": 2,
    "random_state": 0,
}
LABELS = np.repeat(["no", "yes"], 6)


def numbers(shift):
    """Return twelve rows of three numbers, which depend on no random generator."""
    return np.sin(np.arange(36.0)).reshape(12, 3) + shift


def table(shift):
    """Return a frame with numbers, a missing value, categories and dates."""
    dose, place, _ = numbers(shift).T
    dose[5] = np.nan
    return pd.DataFrame(
        {
            "dose": dose,
            "ward": np.where(place > shift, "east", "west"),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(12), unit="D"),
        }
    )


def classifier():
    """Return a classifier that reads any columns and corrects for label shift."""
    priors = {"no": 0.3, "yes": 0.7}
    clf = DANNClassifier(**SMALL, label_shift="correct", target_priors=priors)
    return clf.fit(table(0.0), LABELS, table(0.5))


def regressor():
    """Return a regressor with a scaled label."""
    return DANNRegressor(**SMALL).fit(numbers(0.0), np.arange(12.0), numbers(0.5))


def search():
    """Return a search without trees, whose bytes depend on the version of scikit-learn."""
    clf = DANNClassifierCV(
        DANNClassifier(**SMALL), families=["self_training"], n_seeds=1, random_state=0
    )
    return clf.fit(numbers(0.0), LABELS, numbers(0.5))


MAKERS = {make.__name__: make for make in (classifier, regressor, search)}
ROWS = {name: (table if name == "classifier" else numbers)(0.5) for name in MAKERS}


def predict(estimator, rows):
    """Return probabilities, or the numbers of a regressor."""
    return getattr(estimator, "predict_proba", estimator.predict)(rows)


def main():
    """Write a file for each estimator, and what they predict."""
    folder = SAMPLES / f"format{FORMAT}"
    folder.mkdir(parents=True)  # never overwrites samples
    predictions = {}
    for name, make in MAKERS.items():
        estimator = make()
        estimator.save(folder / f"{name}.skdann")
        predictions[name] = predict(estimator, ROWS[name]).tolist()
    (folder / "predictions.json").write_text(json.dumps(predictions, indent=1) + "\n")


if __name__ == "__main__":
    main()
