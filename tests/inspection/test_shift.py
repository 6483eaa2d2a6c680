"""Shift of the columns: stored ranks and drawn bars."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from skdann import make_pipeline
from skdann.inspection import DomainShiftDisplay
from tests.inspection.common import NAMES


class TestDomainShiftDisplay:
    def test_ranks_columns_by_name(self, frames):
        X_source, _, X_target = frames
        display = DomainShiftDisplay.from_domains(X_source, X_target)
        ks = {name: ks_2samp(X_source[name], X_target[name]).statistic for name in NAMES}
        expected = sorted(ks, key=ks.get, reverse=True)
        assert display.names.tolist() == expected
        assert_allclose(display.ks, [ks[name] for name in expected])
        moved = (X_target.mean() - X_source.mean()) / np.sqrt(
            (X_source.var(ddof=0) + X_target.var(ddof=0)) / 2
        )
        assert_allclose(display.mean_shift, moved[expected])
        assert_allclose([bar.get_width() for bar in display.bars_], display.ks)
        assert [t.get_text() for t in display.ax_.get_yticklabels()] == expected
        texts = [text.get_text() for text in display.ax_.texts]
        assert f"{moved[expected[0]]:+.1f} SD" in texts
        bottom, top = display.ax_.get_ylim()
        assert top < 0 < 3 < bottom  # the first is on top

    def test_few_columns_exceed_the_line_of_chance(self):
        rng = np.random.default_rng(0)
        _, ax = plt.subplots()
        displays = (
            DomainShiftDisplay.from_domains(*rng.normal(size=(2, 50, 8)), n_columns=1, ax=ax)
            for _ in range(40)
        )
        assert sum(display.ks[0] > display.by_chance for display in displays) <= 5

    def test_names_and_rows_go_through_the_pipeline(self, frames, pipe):
        X_source, _, X_target = frames
        display = DomainShiftDisplay.from_estimator(pipe, X_source, X_target, n_columns=2)
        direct = DomainShiftDisplay.from_domains(X_source, X_target, n_columns=2)
        assert display.names.tolist() == direct.names.tolist()
        assert_allclose(display.ks, direct.ks)  # scaling does not change ranks

    def test_a_transformer_without_names(self, frames, make_clf):
        X_source, y_source, X_target = frames
        pipe = make_pipeline(FunctionTransformer(np.asarray), make_clf())
        pipe.fit(X_source, y_source, X_target=X_target)
        display = DomainShiftDisplay.from_estimator(pipe, X_source, X_target)
        assert set(display.names) == {"x0", "x1", "x2", "x3"}

    def test_arrays_sparse_rows_and_other_classifiers(self, domains):
        X, y, X_target, _ = domains
        dense = DomainShiftDisplay.from_domains(X, X_target, feature_names=NAMES)
        sparse = DomainShiftDisplay.from_domains(
            sp.csr_matrix(X), (sp.csr_matrix(X_target[:9]), sp.csr_matrix(X_target[9:]))
        )
        assert_allclose(dense.ks, sparse.ks)
        assert sparse.names.tolist() == [f"x{NAMES.index(name)}" for name in dense.names]
        other = DomainShiftDisplay.from_estimator(LogisticRegression().fit(X, y), X, X_target)
        assert_allclose(other.ks, dense.ks)

    def test_long_names_are_shortened(self, domains):
        X, _, X_target, _ = domains
        names = [f"a very long name of a column of a table, number {i}" for i in range(4)]
        display = DomainShiftDisplay.from_domains(X, X_target, feature_names=names)
        shown = [text.get_text() for text in display.ax_.get_yticklabels()]
        assert len(set(shown)) == 4
        assert max(map(len, shown)) <= 30

    def test_errors(self, domains):
        X, _, X_target, _ = domains
        with pytest.raises(ValueError, match="feature_names has 1 names but X_source has 4"):
            DomainShiftDisplay.from_domains(X, X_target, feature_names=["age"])
        with pytest.raises(ValueError, match=r"missing values; impute.*from_estimator"):
            DomainShiftDisplay.from_domains(np.where(X > 1, np.nan, X), X_target)
        with pytest.raises(ValueError, match="3 features but X_source has 4"):
            DomainShiftDisplay.from_domains(X, X_target[:, :3])
