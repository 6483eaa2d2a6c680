"""Drawing: palette, axes, and the extra that installs matplotlib."""

import sys

import matplotlib.pyplot as plt
import pytest

from skdann.inspection import TrainingCurveDisplay
from tests.inspection.common import DRAWERS, embed


@pytest.mark.parametrize("name", DRAWERS)
def test_without_matplotlib_the_error_names_the_extra(name, domains, clf, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display needs matplotlib; .*skdann\[plots\]"):
        DRAWERS[name](clf, domains)


def test_a_wrong_number_of_axes_is_refused(domains, clf):
    _, axes = plt.subplots(2)
    with pytest.raises(ValueError, match=r"ax holds 2 axes, but TrainingCurveDisplay plots on 3"):
        TrainingCurveDisplay.from_estimator(clf, ax=axes)
    with pytest.raises(ValueError, match=r"ax holds 1 axes, but DomainEmbeddingDisplay plots on 2"):
        embed(clf, domains, ax=axes[0])


@pytest.mark.parametrize("name", ["training", "embedding", "shift"])
def test_nothing_is_cut_off(name, domains, clf):
    figure = DRAWERS[name](clf, domains).figure_
    figure.draw_without_rendering()
    needed = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert needed.x0 >= -0.01
    assert needed.y0 >= -0.01
    assert needed.x1 <= width + 0.01
    assert needed.y1 <= height + 0.01
