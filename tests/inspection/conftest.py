"""Fitted estimators to display; figures are closed after each test."""

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifierCV, make_pipeline
from tests.inspection.common import NAMES

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def clf(domains, make_clf):
    return make_clf(max_epochs=3).fit(domains.X_source, domains.y_source, domains.X_target)


@pytest.fixture
def frames(domains):
    X_source, X_target = (pd.DataFrame(X, columns=NAMES) for X in (domains[0], domains[2]))
    return X_source, domains.y_source, X_target


@pytest.fixture
def pipe(frames, make_clf):
    X_source, y_source, X_target = frames
    return make_pipeline(StandardScaler(), make_clf()).fit(X_source, y_source, X_target=X_target)


@pytest.fixture
def cv(frames, make_clf):
    return DANNClassifierCV(
        make_clf(),
        lambdas=(0.5,),
        families=("alignment",),
        aggregate="passing",
        n_seeds=2,
        random_state=0,
    ).fit(*frames)
