"""Domain-adversarial adaptation for tables, as a scikit-learn estimator."""

from skdann import datasets, inspection, metrics, model_selection, nn
from skdann._classifier import DANNClassifier
from skdann._cv import DANNClassifierCV
from skdann._input.domain_columns import DomainColumnWarning
from skdann._input.domains import SourceOnlyWarning
from skdann._pipeline import DomainPipeline, make_pipeline
from skdann._regressor import DANNRegressor
from skdann._training.divergence import DivergenceError
from skdann._versions import show_versions

__all__ = [
    "DANNClassifier",
    "DANNClassifierCV",
    "DANNRegressor",
    "DivergenceError",
    "DomainColumnWarning",
    "DomainPipeline",
    "SourceOnlyWarning",
    "datasets",
    "inspection",
    "make_pipeline",
    "metrics",
    "model_selection",
    "nn",
    "show_versions",
]
__version__ = "0.1.0"
