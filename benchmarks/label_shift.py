"""Gain of `label_shift` on real tables, with estimated and with known class shares.

The known shares are the class shares of the scored target rows. They represent the prevalence that
a user may know. Gains are relative to the same network without correction or weights.

    python benchmarks/label_shift.py --seeds 2 --rows 600        # five minutes
"""

from __future__ import annotations

import argparse

import numpy as np
import tables
from accuracy import HALVES, METRICS, Job, load_rows, score  # sets OMP_NUM_THREADS first

from skdann import DANNClassifier


def true_shares(y_test: np.ndarray, n_classes: int) -> dict[int, float]:
    """Return the shares of the source classes in the target, smoothed by one row per class."""
    counts = np.bincount(y_test[y_test >= 0], minlength=n_classes) + 1.0
    return dict(enumerate((counts / counts.sum()).tolist()))


def probabilities(job: Job) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the predictions of the plain network and of four corrections, and the labels."""
    rows, y_test = load_rows(job)
    known = true_shares(y_test, rows.n_classes)
    predictions = {}
    for name, params in {
        "plain": {},
        "correct, estimated": {"label_shift": "correct"},
        "correct, known": {"label_shift": "correct", "target_priors": known},
        "reweight, estimated": {"label_shift": "reweight"},
        "reweight, known": {"label_shift": "reweight", "target_priors": known},
    }.items():
        clf = DANNClassifier(**params, random_state=job.seed)
        clf.fit(rows.X_source, rows.y_source, rows.X_target)
        predictions[name] = clf.predict_proba(rows.X_test)
    return predictions, y_test


def main() -> None:
    """Print a markdown table for each half of the data sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data folder")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=600, help="maximum rows per domain")
    args = parser.parse_args()
    folder = tables.data_folder(args.data)
    for half in ("choosing", "reporting"):
        tasks = []
        for row in tables.list_tasks(folder, HALVES[half]).itertuples():
            figures = []
            for seed in range(args.seeds):
                job = Job(str(folder), row.set, row.source, row.target, seed, args.rows)
                probas, y_test = probabilities(job)
                figures.append([[score(y_test, p)[m] for m in METRICS] for p in probas.values()])
                load_rows.cache_clear()
            tasks.append(np.mean(figures, axis=0))
        gain = np.array(tasks) - np.array(tasks)[:, :1]
        print(f"\n{half}: {len(tasks)} tasks, {args.seeds} seeds, at most {args.rows} rows\n")
        print("| | bal. acc., points | worst task | gain, lose > 1 | acc., points | log loss |")
        print("|---|---|---|---|---|---|")
        for name, gains in zip(probas, np.moveaxis(gain, 1, 0), strict=True):
            balanced, accuracy, log_loss = gains.T
            won, lost = (balanced > 0.01).sum(), (balanced < -0.01).sum()
            print(
                f"| {name} | {100 * balanced.mean():+.2f} | {100 * balanced.min():+.1f} "
                f"| {won}, {lost} | {100 * accuracy.mean():+.2f} | {log_loss.mean():+.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
