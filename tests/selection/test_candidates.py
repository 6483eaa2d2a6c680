"""Candidates: settings, folds, and candidates that fail."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import FitFailedWarning

from skdann._input.domains import check_domains
from skdann._selection.candidates import make_folds, train_candidates
from tests.training.members import SEEDS, rows, states


def test_a_diverged_member_does_not_change_the_others(make_clf):
    X, y, X_target = rows()
    data = check_domains(X, y, X_target)
    folds = make_folds(data, 2, 5, 0)
    settings = [(0.0, None), (0.3, None), (1e39, None)]
    alone = train_candidates(make_clf(), data, folds, settings[:2], SEEDS)
    with pytest.warns(FitFailedWarning, match="1 of 3 candidates failed.*training diverged"):
        beside = train_candidates(make_clf(), data, folds, settings, SEEDS)
    assert "finite" in beside[2].error or "diverged" in beside[2].error
    for candidate, other in zip(alone, beside, strict=False):
        assert other.error == ""
        for first, second in zip(candidate.members, other.members, strict=True):
            for name, value in states(first).items():
                assert_allclose(value, states(second)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_rows", [2, 7, 53])
@pytest.mark.parametrize("n_seeds", [1, 3, 7])
def test_folds_hold_out_every_row_and_train_on_equally_many(n_rows, n_seeds):
    X, y, X_target = rows(60)
    y[:2] = 0, 1
    data = check_domains(X[:n_rows], y[:n_rows], X_target)
    folds = make_folds(data, n_seeds, 5, 0)
    assert len(folds) == n_seeds
    assert len({len(fold.train) for fold in folds}) == 1
    for fold in folds:
        assert_array_equal(np.sort(np.concatenate(fold)), np.arange(n_rows))
    if n_seeds >= 5:
        assert len(np.unique(np.concatenate([fold.valid for fold in folds]))) == n_rows
    again = make_folds(data, n_seeds, 5, 0)
    assert all(map(np.array_equal, folds[0], again[0]))
