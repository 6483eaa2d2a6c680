"""A small fitted classifier, and the path that it is saved to."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skdann"


@pytest.fixture
def clf(make_clf, domains):
    return make_clf(normalization="domain_batch").fit(*domains[:3])


@pytest.fixture
def saved(clf, path):
    clf.save(path)
    return path
