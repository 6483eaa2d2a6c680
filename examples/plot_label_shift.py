"""
Label shift: when not to adapt
==============================

If only the class shares differ, making the domains alike moves rows to where they do not belong.
"""

# %%
# Both domains have the same two clouds. In the source every second row is of class 1, in the
# target 19 in 20.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict

from skdann import DANNClassifier, DANNClassifierCV
from skdann.datasets import make_label_shift
from skdann.metrics import estimate_target_priors

X_source, y_source, X_target, y_target = make_label_shift(
    target_priors=(0.05, 0.95), random_state=0
)
print(f"class 1: {np.mean(y_source):.0%} of the source, {np.mean(y_target):.0%} of the target")

# %%
# Adapt nevertheless. The domain classifier finds little to hold on to here, so that lambda does
# little harm; what brings each domain to the same mean and deviation does much, as it takes the
# shares for a shift of location.

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
# The report sees it without a target label: once the source is weighted to the target's shares,
# the domains can hardly be told apart.

clf = DANNClassifier(max_epochs=20, random_state=0).fit(X_source, y_source, X_target)
print(clf.diagnose(X_source, X_target, y_source=y_source))

# %%
# And :class:`skdann.DANNClassifierCV` does not adapt:

chosen = DANNClassifierCV(DANNClassifier(max_epochs=20), n_seeds=2, random_state=0)
print(chosen.fit(X_source, y_source, X_target).reason_)

# %%
# The remedy is to weigh the classes, not to move the rows. The shares of the target are
# estimated from its unlabelled rows and a classifier's probabilities; the classes of the source
# are weighted by them. That helps accuracy, where the shares count; balanced accuracy takes all
# classes for equal.

linear = LogisticRegression()
out_of_fold = cross_val_predict(linear, X_source, y_source, method="predict_proba")
of_target = linear.fit(X_source, y_source).predict_proba(X_target)
shares = estimate_target_priors(out_of_fold, y_source, of_target)
print("estimated shares of the target:", shares.round(3))

weights = dict(enumerate(shares / (np.bincount(y_source) / len(y_source))))
for name, class_weight in (("classes as they are", None), ("classes weighted", weights)):
    clf = DANNClassifier(lambda_max=0, class_weight=class_weight, max_epochs=20, random_state=0)
    accuracy = clf.fit(X_source, y_source, X_target).score(X_target, y_target)
    print(f"{name:20} accuracy {accuracy:.3f}")
