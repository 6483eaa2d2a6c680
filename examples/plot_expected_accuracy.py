"""
What accuracy to expect
=======================

An estimate of the accuracy on the target, with an interval, from unlabelled rows alone.
"""

# %%
# The breast cancer data, with the two hospitals further and further apart: hospital B measures
# every column with more noise. Target labels are used only for the accuracy in the plot.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from skdann import DANNClassifierCV

X, y = load_breast_cancer(return_X_y=True)
order = np.random.RandomState(0).permutation(len(y))
a, b = order[:300], order[300:]


def measured_in_b(noise):
    """Return the rows of hospital B, with noise in deviations of each column."""
    return X[b] + noise * X.std(0) * np.random.RandomState(1).standard_normal(X[b].shape)


noises = [0.0, 0.5, 1.0, 2.0, 3.0]
estimates, accuracies = [], []
for noise in noises:
    X_b = measured_in_b(noise)
    clf = DANNClassifierCV(random_state=0).fit(X[a], y[a], X_b)
    estimates.append(clf.estimate_accuracy(X[a], y[a], X_b))
    accuracies.append(clf.score(X_b, y[b]))

# %%
# The interval falls with the agreement of the families. It is wide: it tells a good model from a
# poor one, not two good ones from each other.

figure, ax = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
low, high = np.array([each.interval for each in estimates]).T
ax.fill_between(noises, low, high, color="#56b4e9", alpha=0.3, label="interval, 90 %")
ax.plot(noises, [each.accuracy for each in estimates], color="#0072b2", label="estimate")
ax.plot(noises, accuracies, "o", color="#d55e00", label="accuracy, with B's labels")
ax.set(xlabel="noise in hospital B, deviations", ylabel="accuracy", ylim=(0.4, 1))
ax.legend(loc="lower left", frameon=False)
print(estimates[-1].reason)
