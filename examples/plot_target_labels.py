"""
A few target labels
===================

What 5 to 50 labels of the target are worth, and which rows to label.
"""

# %%
# In the source, few rows lie where most of the target lies. So the source says little about the
# labels there.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from skdann import DANNClassifierCV
from skdann.datasets import make_covariate_shift

X, y, X_target, truth = make_covariate_shift(200, n_target=600, random_state=0)
X_adapt, X_test, y_test = X_target[:300], X_target[300:], truth[300:]

# %%
# `query` of a first fit chooses the rows to label. `y_target` has NaN for all others.

first = DANNClassifierCV(random_state=0).fit(X, y, X_adapt)
counts = [0, 5, 10, 20, 50]
rows, ours, pooled = np.arange(0), [], []
for count in counts:
    if count:
        rows = first.query(X_adapt, count)
    y_target = np.full(len(X_adapt), np.nan)
    y_target[rows] = truth[rows]
    clf = DANNClassifierCV(random_state=0).fit(X, y, X_adapt, y_target=y_target)
    ours.append(clf.score(X_test, y_test))

    trees = HistGradientBoostingClassifier(random_state=0)
    trees.fit(np.vstack([X, X_adapt[rows]]), np.append(y, truth[rows]))
    pooled.append(trees.score(X_test, y_test))

# %%
# On the left the 20 rows chosen: spread over the target, and more where the families disagree.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
chosen = first.query(X_adapt, 20)
colors = np.array(["#0072b2", "#d55e00"])
left.scatter(*X.T, s=8, color="#bbbbbb", label="source rows")
left.scatter(*X_adapt.T, s=8, color="#56b4e9", label="target rows")
left.scatter(*X_adapt[chosen].T, s=40, color=colors[truth[chosen]], label="chosen, by class")
left.set(xlabel="first column", ylabel="second column", title="20 rows to label")
left.legend(loc="upper left", frameon=False)
right.plot(counts, ours, "o-", color="#0072b2", label="DANNClassifierCV with y_target")
right.plot(counts, pooled, "s--", color="#d55e00", label="trees on source and labels")
right.set(xlabel="target labels", ylabel="accuracy on other target rows", ylim=(0.7, 1))
right.legend(loc="lower right", frameon=False)
print(clf.reason_)
