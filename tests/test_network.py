"""What the estimators with one set of networks share."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skdann import DANNClassifier, DANNRegressor
from skdann._network import BaseDANN

SMALL = {"feature_extractor": (8,), "domain_classifier": (4,), "max_epochs": 2, "random_state": 0}
every_estimator = pytest.mark.parametrize("cls", [DANNClassifier, DANNRegressor])


@every_estimator
def test_shared_parameters_have_shared_constraints(cls):
    shared = BaseDANN._parameter_constraints
    assert shared.items() <= cls._parameter_constraints.items()
    assert set(shared) <= set(cls().get_params())


@every_estimator
def test_features_and_domains_come_from_the_networks(cls, domains):
    est = cls(**SMALL).fit(*domains[:3])
    features = est.transform(domains.X_target)
    assert features.shape == (40, 8)
    assert est.get_feature_names_out().tolist() == [f"{cls.__name__.lower()}{i}" for i in range(8)]
    assert_allclose(est.predict_domain_proba(domains.X_target).sum(1), 1.0, atol=1e-12)
    assert_array_equal(cls(**SMALL).fit_transform(*domains[:3]), est.transform(domains.X_source))


@every_estimator
def test_other_columns_or_domains_cannot_continue_a_fit(cls, domains):
    est = cls(**SMALL, warm_start=True).fit(*domains[:3])
    narrow = [rows[:, :3] for rows in (domains.X_source, domains.X_target)]
    with pytest.raises(ValueError, match=f"X has 3 features, but {cls.__name__} is expecting 4"):
        est.fit(narrow[0], domains.y_source, narrow[1])
    with pytest.raises(ValueError, match=r"X has \[0, -1, -2\] domains"):
        est.fit(domains.X_source, domains.y_source, (domains.X_target, domains.X_target))
    assert est.n_epochs_ == 2


@every_estimator
def test_equal_seeds_give_equal_features_and_other_seeds_do_not(cls, domains):
    features = [
        cls(**{**SMALL, "random_state": seed}).fit(*domains[:3]).transform(domains.X_target)
        for seed in (3, 3, 4)
    ]
    assert_array_equal(features[0], features[1])
    assert np.abs(features[0] - features[2]).max() > 1e-3


def test_the_label_predictor_has_one_output_per_class_or_number(domains):
    for cls, n_outputs in ((DANNClassifier, 2), (DANNRegressor, 1)):
        module = cls(**SMALL).fit(*domains[:3]).module_
        assert module.label_predictor[0].weight.shape == (1, 8, n_outputs)


@every_estimator
def test_arguments_that_fit_does_not_take_are_explained(cls, domains):
    with pytest.raises(TypeError, match=rf"{cls.__name__}.fit got an unexpected argument 'y_tgt'"):
        cls(**SMALL).fit(*domains[:3], y_tgt=domains.y_target)
