"""Scorers that select a classifier without target labels.

A scorer is called like those of scikit-learn, ``scorer(estimator, X, y)``, with held-out rows of
the source. It scores on the rows of the target that it was constructed with; higher is better. If
it was constructed without, it takes the metadata ``X_target``, which it requests by default:

.. code-block:: python

    search = GridSearchCV(clf, grid, scoring=DefaultRuleScorer(X_target))
    search.fit(X_source, y_source, X_target=(X_target,))

    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(clf, grid, scoring=DefaultRuleScorer())
        search.fit(X_source, y_source, X_target=(X_target,))

Pass a tuple in both cases: scikit-learn slices any other container that has as many rows as ``X``.

Begin with the first, the score of :class:`skdann.DANNClassifierCV`.

=============================  =======================================  ===========================
scorer                         uses                                     assumes that
=============================  =======================================  ===========================
DefaultRuleScorer              information, linear reverse validation   errors do not cancel
InformationMaximizationScorer  confidence and diversity of predictions  classes are of similar size
ReverseValidationScorer        a classifier trained back to the source  errors do not cancel
ImportanceWeightedScorer       labels of source rows similar to target  p(y | x) is shared
DeepEmbeddedValidationScorer   the same, in feature space               features keep the labels
SoftNeighborhoodDensityScorer  density of similar predictions           classes are clusters
BatchNuclearNormScorer         confidence and diversity of predictions  classes are of similar size
MixValScorer                   predictions between target rows          classes are clusters
=============================  =======================================  ===========================

No scorer is always right, and each docstring says when the scorer fails. For the reasons see
Musgrave et al., "Three New Validators and a Large-Scale Benchmark Ranking for Unsupervised Domain
Adaptation", arXiv:2208.07360.
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
