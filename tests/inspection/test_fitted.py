"""Estimators that the displays accept, and how notebooks show them."""

import re

import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skdann import DANNClassifier
from tests.inspection.common import DRAWERS


@pytest.mark.parametrize("name", DRAWERS)
def test_unfitted_estimators_are_refused(name, domains):
    with pytest.raises(NotFittedError):
        DRAWERS[name](DANNClassifier(), domains)


@pytest.mark.parametrize("name", ["training", "embedding", "path"])
def test_other_estimators_are_refused(name, domains):
    other = LogisticRegression().fit(domains.X_source, domains.y_source)
    with pytest.raises(TypeError, match="LogisticRegression has no"):
        DRAWERS[name](other, domains)


class TestNotebooks:
    def test_estimators_show_their_parameters_and_no_broken_link(self, clf, pipe, cv):
        for estimator in (clf, pipe, cv):
            html = estimator._repr_html_()
            assert type(estimator).__name__ in html
            assert "random_state" in html
            links = re.findall('href="([^"#]+)', html)
            assert not [link for link in links if "DANN" in link or "DomainPipeline" in link]

    def test_history_is_a_table_of_the_entries_that_the_docstring_names(self, domains, make_clf):
        X, y, X_target, _ = domains
        clf = make_clf(early_stopping=True).fit(X, y, X_target)
        table = pd.DataFrame(clf.history_)
        for name in table.columns:
            assert f'"{name}"' in DANNClassifier.__doc__
        assert table.notna().all().all()
        assert table["epoch"].tolist() == [1, 2]
        assert {"valid_loss", "valid_accuracy", "domain_accuracy", "lambda"} <= set(table)

    def test_the_report_of_a_path_on_frames_names_the_columns(self, frames, cv):
        X_source, y_source, X_target = frames
        X_target = X_target.assign(dose=X_target["dose"] + 5)
        report = cv.diagnose(X_source, X_target, y_source=y_source)
        assert report.columns[0].name == "dose"
        assert '<td style="text-align: left">dose</td>' in report._repr_html_()
