"""
Several source domains: pooled or told apart?
=============================================

Rows of two labelled domains and an unlabelled third. Does it matter to say which is which?
"""

# %%
# The wines of scikit-learn, analysed in three laboratories with instruments of their own: the
# second and the third measure every quantity with a gain of their own. Wines and measurements
# are real, the gains are ours.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, make_pipeline

X, y = load_wine(return_X_y=True)


def laboratories(seed):
    """Rows, labels and laboratory (0, 1 or 2) of every wine."""
    rng = np.random.RandomState(seed)
    laboratory = rng.randint(3, size=len(X))
    gain = np.exp(rng.normal(scale=0.15, size=(3, X.shape[1])))
    gain[0] = 1.0
    return X * gain[laboratory], laboratory


def scores(seed):
    """Balanced accuracy in laboratory 2, by what is told of the other two."""
    rows, laboratory = laboratories(seed)
    is_target = laboratory == 2
    sources = {
        "sources pooled, no adaptation": ({"lambda_max": 0.0}, {}),
        "sources pooled": ({}, {}),
        "sources told apart": ({}, {"sample_domain": laboratory[~is_target]}),
    }
    found = {}
    for name, (params, fit_params) in sources.items():
        pipe = make_pipeline(
            StandardScaler(),
            DANNClassifier(**{"lambda_max": 1.0, **params}, max_epochs=80, random_state=seed),
        )
        pipe.fit(rows[~is_target], y[~is_target], X_target=rows[is_target], **fit_params)
        found[name] = balanced_accuracy_score(y[is_target], pipe.predict(rows[is_target]))
    return found


runs = [scores(seed) for seed in range(4)]

# %%
# A point is a seed, which draws laboratories, gains and network anew.

figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for place, name in enumerate(reversed(runs[0])):
    values = [run[name] for run in runs]
    ax.plot(values, [place] * len(values), "o", color="#0072b2", alpha=0.6)
    ax.plot(np.mean(values), place, "|", color="k", markersize=22)
    print(f"{name:30} {np.mean(values):.3f}")
ax.set(yticks=range(len(runs[0])), yticklabels=list(reversed(runs[0])), xlabel="balanced accuracy")
ax.margins(y=0.3)
