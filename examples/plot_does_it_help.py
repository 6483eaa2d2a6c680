"""
Does adaptation help?
=====================

Compare with the same network without adaptation, over several seeds. A single seed is not
enough.
"""

# %%
# The data are the toy problem of the DANN paper: two half circles, and the same half circles
# rotated by 35 degrees. Target labels are used only for the score below, not for training.

import matplotlib.pyplot as plt
import numpy as np

from skdann import DANNClassifier
from skdann.datasets import make_inter_twinning_moons


def accuracy(lambda_max, seed):
    """Return the accuracy on the target; the seed determines data and network."""
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
# Each line is one seed. Check the size of the difference, and whether every seed shows it.

figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
ax.plot([0, 1], [alone, adapted], "o-", color="#0072b2")
ax.set(
    xticks=[0, 1],
    xticklabels=["lambda_max=0", "lambda_max=1"],
    ylabel="accuracy on the target",
    xlim=(-0.3, 1.3),
)
print(f"gain {np.mean(adapted - alone):.3f}, worst seed {np.min(adapted - alone):+.3f}")
