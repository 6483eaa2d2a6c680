"""Evidence: class shares, and how far the domains differ once these match."""

from __future__ import annotations

import numpy as np
import pytest

from skdann._selection.evidence import matched_auc
from tests.selection.common import make_evidence


def test_matched_auc_ignores_label_shift():
    evidence, _ = make_evidence(shift=0.0, target_share=0.9, n=2000)
    weights = np.array([0.1, 0.9]) / 0.5
    unmatched = matched_auc(evidence.X_source, evidence.y, evidence.X_target, np.ones(2), 0)
    matched = matched_auc(evidence.X_source, evidence.y, evidence.X_target, weights, 0)
    assert unmatched > 0.6
    assert matched == pytest.approx(0.5, abs=0.05)
