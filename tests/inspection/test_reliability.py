"""Reliability of single rows: by hand, and on fitted classifiers."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skdann.inspection import _reliability as module
from skdann.inspection._reliability import row_agreement, row_distance


def test_agreement_with_each_family():
    predicted = np.array([0, 1, 2])
    families = [np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([0, 1, 1])]
    assert_allclose(row_agreement(predicted, families), [1.0, 0.75, 0.25])


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_distance_in_deviations_with_a_limit_for_each_column(container, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)
    X = container(np.array([[1.0, 10.0], [2.0, 10.0], [1.0, 1e9]]))
    distance = row_distance(X, np.array([1.0, 10.0]), np.array([0.5, 5.0]))
    assert_allclose(distance, [0.0, np.sqrt(2.0), 5 / np.sqrt(2.0)])
