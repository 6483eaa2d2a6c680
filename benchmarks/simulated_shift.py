"""Compare the mean of all passing candidates with the best candidate, on simulated shifts.

The data are scikit-learn's digits (rotated by 20 degrees, shifted by 0.7 pixels, or with a drift of
the gain and offset of each pixel) and synthetic sensor readings of six classes that drift. With
label shift, the classes of the target are subsampled at random, to a total variation distance of
about 0.3 to 0.4 from the class shares of the source. Each line fits one `DANNClassifierCV` per seed
and scores both predictions on target rows not used for adaptation.

    python benchmarks/simulated_shift.py            # about ten minutes
    python benchmarks/simulated_shift.py --seeds 1
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import describe, facts, load
from scipy.ndimage import rotate, shift
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from systems import candidate_probabilities

N_SOURCE = 800
MOST_DEVIATIONS = 20.0


def turn(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate digits by 20 degrees."""
    pictures = X.reshape(-1, 8, 8)
    return rotate(pictures, 20, axes=(1, 2), reshape=False, order=1).reshape(len(X), -1)


def push(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift digits by 0.7 pixels to the right."""
    return shift(X.reshape(-1, 8, 8), (0, 0, 0.7), order=1).reshape(len(X), -1)


def drift(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give every column a different gain and offset."""
    return X * rng.uniform(0.5, 1.5, X.shape[1]) + rng.normal(0, 0.5 * X.std(0))


def drift_far(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give every column a different gain and offset, with a larger drift."""
    return X * rng.uniform(0.2, 2.0, X.shape[1]) + rng.normal(0, X.std(0))


def weaken(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Multiply all columns by the same gain."""
    return X * rng.uniform(0.3, 0.8)


def digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the digits in random order."""
    X, y = load_digits(return_X_y=True)
    order = rng.permutation(len(y))
    return X[order], y[order]


def sensors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Simulate 24 sensors: log-normal around one centre per class, with a common strength."""
    y = rng.integers(6, size=N_SOURCE + 3000)
    centre, strength = rng.normal(0, 1.2, (6, 24)), 0.8 * rng.normal(size=(len(y), 1))
    return np.exp(0.3 * (centre[y] + rng.normal(size=(len(y), 24)) + strength)), y


TASKS = [
    (digits, turn),
    (digits, push),
    (digits, drift),
    (digits, drift_far),
    (sensors, drift),
    (sensors, drift_far),
    (sensors, weaken),
]


def draw(make: Callable, move: Callable, seed: int, *, label_shift: bool) -> tuple:
    """Draw labelled source rows, target rows for adaptation, and labelled rows for the score."""
    rng = np.random.default_rng([seed, label_shift])
    X, y = make(rng)
    X_target, y_target = X[N_SOURCE:], y[N_SOURCE:]
    if label_shift:
        share = np.exp(rng.normal(0, 1.2, y.max() + 1))
        kept = rng.random(len(y_target)) < (share / share.max())[y_target]
        X_target, y_target = X_target[kept], y_target[kept]
    scaler = StandardScaler().fit(X[:N_SOURCE])
    source, target = (
        scaler.transform(rows).clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)
        for rows in (X[:N_SOURCE], move(X_target, rng))
    )
    half = len(target) // 2
    return source, y[:N_SOURCE], target[:half], target[half:], y_target[half:]


def main() -> None:
    """Print one line per task, and the means."""
    from skdann import DANNClassifierCV

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    print(f"{describe(facts())}\n{args.seeds} seeds; balanced accuracy, gains in points\n")
    print("| label shift | rows | shift | baseline | best only | all passing | ceiling |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for label_shift in (False, True):
        means = []
        for make, move in TASKS:
            scores = []
            for seed in range(args.seeds):
                X, y, X_target, X_test, y_test = draw(make, move, seed, label_shift=label_shift)
                clf = DANNClassifierCV(random_state=seed).fit(X, y, X_target)
                every = list(candidate_probabilities(clf, X_test).values())
                best = max(range(len(every)), key=lambda index: clf.scores_[index]["score"])
                kinds = [every[0], every[best * clf.adapted_], clf.predict_proba(X_test), *every]
                scores.append([balanced_accuracy_score(y_test, p.argmax(1)) for p in kinds])
            baseline, *others = np.mean(scores, axis=0)
            best, passing, ceiling = others[0], others[1], max(others[2:])
            means.append([baseline, *(score - baseline for score in (best, passing, ceiling))])
            show(label_shift, make.__name__, move.__name__, means[-1])
        show(label_shift, "mean", "", np.mean(means, axis=0))
    print(f"\nload at the end {load()}")


def show(label_shift: bool, rows: str, move: str, means: list[float] | np.ndarray) -> None:
    """Print one line of the table."""
    cells = " | ".join(f"{100 * gain:+.1f}" for gain in means[1:])
    print(f"| {'yes' if label_shift else 'no'} | {rows} | {move} | {means[0]:.3f} | {cells} |")


if __name__ == "__main__":
    main()
