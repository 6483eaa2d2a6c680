"""Scorers that choose among classifiers without a target label.

Each is called as scikit-learn calls scorers, ``scorer(estimator, X, y)`` with held-out rows of the
source, and judges on the rows of the target that it was built with; higher is better. Built
without, it takes them as the metadata ``X_target``, which it requests by default:

.. code-block:: python

    search = GridSearchCV(clf, grid, scoring=ImportanceWeightedScorer(X_target))
    search.fit(X_source, y_source, X_target=(X_target,))

    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(clf, grid, scoring=ImportanceWeightedScorer())
        search.fit(X_source, y_source, X_target=(X_target,))

The tuple matters in both: scikit-learn cuts any other container that has as many rows as ``X``.

================================  ===================================  ========================
scorer                            looks at                             trusts that
================================  ===================================  ========================
ImportanceWeightedScorer          labels of source rows like target's  p(y | x) is shared
DeepEmbeddedValidationScorer      the same, in feature space           features keep the labels
ReverseValidationScorer           a classifier trained back            errors do not cancel
InformationMaximizationScorer     confidence and spread of classes     classes are of like size
SoftNeighborhoodDensityScorer     crowding of predictions              classes are clusters
BatchNuclearNormScorer            confidence and spread of classes     classes are of like size
MixValScorer                      predictions between target rows      classes are clusters
DefaultRuleScorer                 confidence, spread, and the way back errors do not cancel
================================  ===================================  ========================

None of them is right always: each docstring says when it fails. For the reasons see Musgrave et
al., "Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain Adaptation",
arXiv:2208.07360.
"""

from skdann.model_selection._default_rule import DefaultRuleScorer, RuleScore
from skdann.model_selection._embedded import DeepEmbeddedValidationScorer
from skdann.model_selection._mixval import MixValScorer
from skdann.model_selection._reverse import ReverseValidationScorer
from skdann.model_selection._target import (
    BatchNuclearNormScorer,
    InformationMaximizationScorer,
    SoftNeighborhoodDensityScorer,
)
from skdann.model_selection._weighted import ImportanceWeightedScorer, WeightedScore

__all__ = [
    "BatchNuclearNormScorer",
    "DeepEmbeddedValidationScorer",
    "DefaultRuleScorer",
    "ImportanceWeightedScorer",
    "InformationMaximizationScorer",
    "MixValScorer",
    "ReverseValidationScorer",
    "RuleScore",
    "SoftNeighborhoodDensityScorer",
    "WeightedScore",
]
