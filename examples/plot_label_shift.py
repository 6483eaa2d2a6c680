"""
Label shift: when not to adapt
==============================

If only the class shares differ, aligning the domains moves rows towards the wrong class.
"""

# %%
# Both domains have the same two clouds of points. In the source every second row belongs to class
# 1, in the target 19 rows in 20.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import balanced_accuracy_score

from skdann import DANNClassifier, DANNClassifierCV
from skdann.datasets import make_label_shift

X_source, y_source, X_target, y_target = make_label_shift(
    target_priors=(0.05, 0.95), random_state=0
)
print(f"class 1: {np.mean(y_source):.0%} of the source, {np.mean(y_target):.0%} of the target")

# %%
# Adapt anyway. The domain classifier can hardly distinguish the domains, so lambda does little
# harm. Settings that scale each domain to the same mean and standard deviation do a lot of harm,
# because they mistake the class shares for a shift of location.

settings = {
    "no adaptation": {"lambda_max": 0.0},
    "lambda_max=1": {"lambda_max": 1.0},
    "lambda_max=3": {"lambda_max": 3.0},
    'standardize="domain"': {"lambda_max": 0.0, "standardize": "domain"},
    'normalization="domain_batch"': {"lambda_max": 0.3, "normalization": "domain_batch"},
}
scores = {}
for name, params in settings.items():
    fits = [
        DANNClassifier(max_epochs=20, random_state=seed, **params).fit(X_source, y_source, X_target)
        for seed in range(3)
    ]
    scores[name] = [balanced_accuracy_score(y_target, clf.predict(X_target)) for clf in fits]
    print(f"{name:30} {np.mean(scores[name]):.3f}")

figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for place, name in enumerate(reversed(scores)):
    ax.plot(scores[name], [place] * 3, "o", color="#d55e00", alpha=0.7)
ax.axvline(np.mean(scores["no adaptation"]), color="k", linewidth=0.8)
ax.set(
    yticks=range(len(scores)),
    yticklabels=list(reversed(scores)),
    xlabel="balanced accuracy on the target, three seeds",
)

# %%
# The report detects label shift without target labels: after the source is weighted to the class
# shares of the target, the domains can hardly be distinguished.

clf = DANNClassifier(max_epochs=20, random_state=0).fit(X_source, y_source, X_target)
print(clf.diagnose(X_source, X_target, y_source=y_source))

# %%
# :class:`skdann.DANNClassifierCV` does not adapt:

selected = DANNClassifierCV(DANNClassifier(max_epochs=20), n_seeds=2, random_state=0)
print(selected.fit(X_source, y_source, X_target).reason_)

# %%
# The remedy is to correct for the class shares instead of aligning the features.
# ``label_shift="correct"`` multiplies the probabilities of target rows by the ratio of the target
# share to the source share of each class. The target shares are known, or estimated from unlabelled
# rows. This improves accuracy, which depends on the shares; balanced accuracy weights all classes
# equally.

for name, params in (
    ("no correction", {}),
    ("estimated shares", {"label_shift": "correct"}),
    ("known shares", {"label_shift": "correct", "target_priors": {0: 0.05, 1: 0.95}}),
):
    clf = DANNClassifier(lambda_max=0, max_epochs=20, random_state=0, **params)
    accuracy = clf.fit(X_source, y_source, X_target).score(X_target, y_target)
    print(f"{name:18} accuracy {accuracy:.3f}")

# %%
# On real tables more than the class shares differ, and the estimated shares can be misleading. The
# user guide has the figures.
