"""Domain-adversarial adaptation for tables, as a scikit-learn estimator."""

from skdann import datasets, metrics, nn
from skdann._classifier import DANNClassifier
from skdann._pipeline import make_pipeline
from skdann._validation import SourceOnlyWarning

__all__ = ["DANNClassifier", "SourceOnlyWarning", "datasets", "make_pipeline", "metrics", "nn"]
__version__ = "0.1.0"
