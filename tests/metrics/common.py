"""Domain classifiers with known outputs, and two domains."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skdann.datasets import make_covariate_shift


class FirstColumn(ClassifierMixin, BaseEstimator):
    """Predicts the first column as the probability of the target domain; fit learns nothing."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.column_stack([1 - X[:, 0], X[:, 0]])

    def predict(self, X):
        return (X[:, 0] > 0.5).astype(int)


def column(*values):
    return np.array(values, dtype=float)[:, None]


def pair(shift=0.0, n=300, n_target=None, seed=0):
    X, _, X_target, _ = make_covariate_shift(
        n, n_target=n_target, n_features=4, shift=shift, random_state=seed
    )
    return X, X_target
