"""Amazon reviews: the twelve tasks of Table 1 of the DANN paper, compared with its figures.

The protocol is that of the paper: 2,000 labelled source reviews, 2,000 unlabelled target reviews,
and accuracy on the test reviews of the target. The input is sublinear tf-idf, fitted on the
training rows of both domains. The settings are fixed. Target labels are used only for the score.

    python benchmarks/amazon.py                      # five seeds
    python benchmarks/amazon.py --seeds 1 --tasks books-dvd kitchen-electronics

The reviews are read from the data folder (see benchmarks/tables.py). Without a data folder,
`skdann.datasets.fetch_amazon_reviews` downloads them.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import tables
import torch
from sklearn.feature_extraction.text import TfidfTransformer

from skdann import DANNClassifier, SourceOnlyWarning
from skdann.datasets import fetch_amazon_reviews

# Ganin et al., JMLR 17(59), 2016, Table 1: accuracy of DANN, NN and SVM on the original data, and
# of DANN on mSDA features
PAPER = {
    "books-dvd": (0.784, 0.790, 0.799, 0.829),
    "books-electronics": (0.733, 0.747, 0.748, 0.804),
    "books-kitchen": (0.779, 0.778, 0.769, 0.843),
    "dvd-books": (0.723, 0.720, 0.743, 0.825),
    "dvd-electronics": (0.754, 0.732, 0.748, 0.809),
    "dvd-kitchen": (0.783, 0.778, 0.746, 0.849),
    "electronics-books": (0.713, 0.709, 0.705, 0.774),
    "electronics-dvd": (0.738, 0.733, 0.726, 0.781),
    "electronics-kitchen": (0.854, 0.854, 0.847, 0.881),
    "kitchen-books": (0.709, 0.708, 0.707, 0.718),
    "kitchen-dvd": (0.740, 0.739, 0.736, 0.789),
    "kitchen-electronics": (0.843, 0.841, 0.842, 0.856),
}


def load(name: str, folder: str | None):
    """Load X_source, y_source, X_target, X_test and y_test of a task, rows as tf-idf."""
    source, target = name.split("-")
    try:
        data = tables.data_folder(folder)
    except SystemExit:
        bunch = fetch_amazon_reviews(source=source, target=target)
        rows = (bunch.X_source, bunch.y_source, bunch.X_target)
        rows = (*rows, bunch.X_target_test, bunch.y_target_test)
    else:
        rows = tables.load_amazon(data, source, target)
    X_source, y_source, X_target, X_test, y_test = rows
    tfidf = TfidfTransformer(sublinear_tf=True).fit(tables.sp.vstack([X_source, X_target]))
    X_source, X_target, X_test = map(tfidf.transform, (X_source, X_target, X_test))
    return X_source, y_source, X_target, X_test, y_test


def main() -> None:
    """Measure all tasks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data folder")
    parser.add_argument("--tasks", nargs="+", default=list(PAPER), choices=list(PAPER))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=DANNClassifier().dropout)
    parser.add_argument("--max-epochs", type=int, default=DANNClassifier().max_epochs)
    parser.add_argument("--lambda-max", type=float, default=DANNClassifier().lambda_max)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", SourceOnlyWarning)
    params = {"dropout": args.dropout, "max_epochs": args.max_epochs}
    settings = f"lambda_max={args.lambda_max}, {params}"
    print(f"{settings}; accuracy, mean ± standard deviation, {args.seeds} seeds")
    print(
        f"{'':24}{'source only':>16}{'skdann':>16}{'paper: DANN':>13}{'NN':>7}{'SVM':>7}{'mSDA':>7}"
    )
    start, means = time.perf_counter(), []
    for name in args.tasks:
        X_source, y_source, X_target, X_test, y_test = load(name, args.data)
        scores = np.array(
            [
                [
                    DANNClassifier(lambda_max=lambda_max, random_state=seed, **params)
                    .fit(X_source, y_source, X_target)
                    .score(X_test, y_test)
                    for lambda_max in (0.0, args.lambda_max)
                ]
                for seed in range(args.seeds)
            ]
        )
        cells = [
            f"{mean:.3f} ± {deviation:.3f}"
            for mean, deviation in zip(
                scores.mean(0), scores.std(0, ddof=args.seeds > 1), strict=True
            )
        ]
        paper = PAPER[name]
        means.append([*scores.mean(0), *paper])
        print(
            f"{name:24}{cells[0]:>16}{cells[1]:>16}{paper[0]:>13.3f}"
            + "".join(f"{v:7.3f}" for v in paper[1:]),
            flush=True,
        )
    mean = np.mean(means, axis=0)
    print(
        f"{'mean':24}{mean[0]:>16.3f}{mean[1]:>16.3f}{mean[2]:>13.3f}"
        + "".join(f"{v:7.3f}" for v in mean[3:])
    )
    print(f"{time.perf_counter() - start:.0f} s on one thread")


if __name__ == "__main__":
    main()
