"""
Does adaptation help?
=====================

Compare with the same network without adaptation, over several seeds. One seed is an anecdote.
"""

# %%
# Two half circles, and the same two rotated by 35 degrees: the toy problem of the DANN paper.
# The target has no labels; those we keep are for the score below.

import matplotlib.pyplot as plt
import numpy as np

from skdann import DANNClassifier
from skdann.datasets import make_inter_twinning_moons


def accuracy(lambda_max, seed):
    """Accuracy on the target, data and network drawn by the seed."""
    X_source, y_source, X_target, y_target = make_inter_twinning_moons(random_state=seed)
    clf = DANNClassifier(
        feature_extractor=(64, 64),
        activation="tanh",
        dropout=0.0,
        lambda_max=lambda_max,
        max_epochs=150,
        random_state=seed,
    )
    clf.fit(X_source, y_source, X_target)
    return clf.score(X_target, y_target)


seeds = range(4)
alone, adapted = (np.array([accuracy(value, seed) for seed in seeds]) for value in (0.0, 1.0))

# %%
# Each line is a seed. What counts is the difference, and whether it is there in every seed.

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
ax.plot([0, 1], [alone, adapted], "o-", color="#0072b2")
ax.set(
    xticks=[0, 1],
    xticklabels=["lambda_max=0", "lambda_max=1"],
    ylabel="accuracy on the target",
    xlim=(-0.3, 1.3),
)
print(f"gain {np.mean(adapted - alone):.3f}, worst seed {np.min(adapted - alone):+.3f}")
