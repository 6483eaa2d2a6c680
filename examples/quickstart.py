"""Adapt a tumour classifier to a second laboratory, on real data and without its labels.

The data are the 569 fine-needle aspirates of the Wisconsin breast cancer data set, which ships with
scikit-learn. Each row has thirty measurements of cell nuclei in a microscope image and is benign or
malignant.

Laboratory A has labelled rows, all imaged through the 40x objective. Laboratory B sends new
patients without labels and uses any of three objectives: 40x, 20x or 10x. Its software always
assumes the pixel size of the 40x objective. In the table of B, lengths are therefore correct,
halved or quartered, areas change accordingly, and shapes and textures are unchanged. The rows are
real; the mix-up is simulated.

Scaling the columns of B cannot undo the mix-up, because the objective differs from row to row.
Someone who knows of the mix-up can drop the nine affected columns and do as well; adaptation does
not need this knowledge.

The script prints the balanced accuracy on patients of B not used for adaptation (mean and standard
deviation over five seeds, which determine patients, objectives and networks): of a network trained
on A alone, of `DANNClassifierCV` and `DANNClassifier` with their defaults, and of `DANNClassifier`
with a lambda and a number of epochs set by hand, which takes knowledge or target labels. It also
plots the features before and after adaptation.

    python examples/quickstart.py [FOLDER]      # FOLDER for the figure, default examples/output
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score

from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning

SEEDS = range(5)
SYSTEMS = (
    "source only (lambda 0)",
    "DANNClassifierCV()",
    "DANNClassifier()",
    "DANNClassifier, lambda 1",
    "trained on target labels",
)


def make_laboratories(seed: int):
    """Return rows and labels of A, of B for adaptation and of B for the score, without overlap."""
    data = load_breast_cancer()
    power = np.array(
        [
            2 if "area" in name else 1 if "radius" in name or "perimeter" in name else 0
            for name in data.feature_names
        ]
    )
    rng = np.random.RandomState(seed)
    objective = rng.choice([40, 20, 10], size=len(data.target))
    as_measured_by_b = data.data * (objective[:, None] / 40) ** power
    a, b_adapt, b_test = np.split(rng.permutation(len(data.target)), [285, 427])
    rows = data.data[a], as_measured_by_b[b_adapt], as_measured_by_b[b_test]
    return rows, (data.target[a], data.target[b_adapt], data.target[b_test])


def network(seed: int, lambda_max: float) -> DANNClassifier:
    """Return a network with 200 epochs, which lambda 1 needs to take full effect."""
    return DANNClassifier(lambda_max=lambda_max, max_epochs=200, random_state=seed)


def run(seed: int):
    """Return the balanced accuracies on held-out patients of B, and networks to compare."""
    (X_a, X_b, X_test), (y_a, y_b, y_test) = make_laboratories(seed)
    alone = network(seed, 0.0).fit(X_a, y_a, X_b)
    mixed = DANNClassifierCV(random_state=seed).fit(X_a, y_a, X_b)
    single = DANNClassifier(random_state=seed).fit(X_a, y_a, X_b)
    adapted = network(seed, 1.0).fit(X_a, y_a, X_b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SourceOnlyWarning)  # the upper bound has one domain
        upper_bound = network(seed, 0.0).fit(X_b, y_b)
    scores = [
        balanced_accuracy_score(y_test, model.predict(X_test))
        for model in (alone, mixed, single, adapted, upper_bound)
    ]
    return scores, (alone, adapted)


def draw(networks, seed: int, path: Path) -> None:
    """Plot the features of both laboratories, without and with adaptation."""
    (X_a, _, X_test), (y_a, _, y_test) = make_laboratories(seed)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    titles = ("source only: malignant B among benign A", "lambda 1: same classes overlap")
    for ax, network, title in zip(axes, networks, titles, strict=True):
        features = [network.transform(rows) for rows in (X_a, X_test)]
        pca = PCA(2, random_state=0).fit(np.vstack(features))
        for rows, y, marker, laboratory in zip(
            features, (y_a, y_test), "o^", ("A (source)", "B (target)"), strict=True
        ):
            x = pca.transform(rows)
            for label, colour, name in ((0, "#d55e00", "malignant"), (1, "#0072b2", "benign")):
                ax.scatter(
                    *x[y == label].T,
                    s=22,
                    marker=marker,
                    facecolors="none" if marker == "o" else colour,
                    edgecolors=colour,
                    linewidths=0.8,
                    alpha=0.8,
                    label=f"{laboratory}, {name}",
                )
        ax.set(
            title=title, xlabel="first principal component of the features", xticks=[], yticks=[]
        )
    axes[0].set_ylabel("second principal component")
    axes[1].legend(fontsize="small", frameon=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Run all seeds, print the table and save the figure."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output")
    start = time.perf_counter()
    print("Breast cancer, laboratory A (labelled) to B (other objectives, no labels)")
    print(f"balanced accuracy on B: {', '.join(SYSTEMS)}", flush=True)
    scores = []
    for seed in SEEDS:
        seed_scores, networks = run(seed)
        scores.append(seed_scores)
        print(
            f"  seed {seed} of {len(SEEDS)}: ",
            *(f"{value:.2f}" for value in seed_scores),
            flush=True,
        )
        if seed == 0:
            draw(networks, seed, folder / "quickstart.png")
    print(f"\n{'balanced accuracy on B':28}{'mean':>8}{'deviation':>11}   each seed")
    for name, column in zip(SYSTEMS, np.transpose(scores), strict=True):
        each = " ".join(f"{value:.2f}" for value in column)
        print(f"{name:28}{column.mean():8.3f}{column.std(ddof=1):11.3f}   {each}")
    print(f"\n{len(SEEDS)} seeds in {time.perf_counter() - start:.0f} s")
    print(f"figure: {folder / 'quickstart.png'}")


if __name__ == "__main__":
    main()
