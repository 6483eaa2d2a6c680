"""
Several source domains: pooled or separate?
===========================================

With two labelled domains and one unlabelled domain, does it help to pass the source domains?
"""

# %%
# The data are the wines that ship with scikit-learn. We simulate three laboratories: the second and
# the third measure every quantity with a different gain. The wines and measurements are real; the
# gains are simulated.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, make_pipeline

X, y = load_wine(return_X_y=True)


def laboratories(seed):
    """Return the measured rows, and the laboratory (0, 1 or 2) of every wine."""
    rng = np.random.RandomState(seed)
    laboratory = rng.randint(3, size=len(X))
    gain = np.exp(rng.normal(scale=0.15, size=(3, X.shape[1])))
    gain[0] = 1.0
    return X * gain[laboratory], laboratory


def scores(seed):
    """Return the balanced accuracy in laboratory 2 for each use of the other two."""
    rows, laboratory = laboratories(seed)
    is_target = laboratory == 2
    sources = {
        "sources pooled, no adaptation": ({"lambda_max": 0.0}, {}),
        "sources pooled": ({}, {}),
        "sources separate": ({}, {"sample_domain": laboratory[~is_target]}),
    }
    results = {}
    for name, (params, fit_params) in sources.items():
        pipe = make_pipeline(
            StandardScaler(),
            DANNClassifier(**{"lambda_max": 1.0, **params}, max_epochs=80, random_state=seed),
        )
        pipe.fit(rows[~is_target], y[~is_target], X_target=rows[is_target], **fit_params)
        results[name] = balanced_accuracy_score(y[is_target], pipe.predict(rows[is_target]))
    return results


runs = [scores(seed) for seed in range(4)]

# %%
# Each point is one seed, which determines the laboratories, gains and network.

figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for place, name in enumerate(reversed(runs[0])):
    values = [run[name] for run in runs]
    ax.plot(values, [place] * len(values), "o", color="#0072b2", alpha=0.6)
    ax.plot(np.mean(values), place, "|", color="k", markersize=22)
    print(f"{name:30} {np.mean(values):.3f}")
ax.set(yticks=range(len(runs[0])), yticklabels=list(reversed(runs[0])), xlabel="balanced accuracy")
ax.margins(y=0.3)
