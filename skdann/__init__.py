"""Domain-adversarial adaptation for tables, as a scikit-learn estimator."""

from skdann import datasets, inspection, metrics, model_selection, nn
from skdann._classifier import DANNClassifier
from skdann._cv import DANNClassifierCV
from skdann._input.domains import SourceOnlyWarning
from skdann._pipeline import make_pipeline

__all__ = [
    "DANNClassifier",
    "DANNClassifierCV",
    "SourceOnlyWarning",
    "datasets",
    "inspection",
    "make_pipeline",
    "metrics",
    "model_selection",
    "nn",
]
__version__ = "0.1.0"
