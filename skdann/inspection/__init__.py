"""Plots and tables of a fitted estimator: training, learned features, and shift.

Displays follow scikit-learn: ``from_estimator`` computes, stores plain arrays and plots; ``plot``
plots the stored arrays again. They accept the estimators of skdann, alone or as the last step of a
fitted Pipeline, whose transformers are then applied to the rows. Plotting needs matplotlib
(``pip install skdann[plots]``), which is imported only when needed.
"""

from skdann.inspection._accuracy import AccuracyEstimate
from skdann.inspection._embedding import DomainEmbeddingDisplay
from skdann.inspection._lambda_path import LambdaPathDisplay
from skdann.inspection._networks import NetworkSummary, summarize_networks
from skdann.inspection._reliability import RowReliability
from skdann.inspection._report import Diagnosis
from skdann.inspection._shift import DomainShiftDisplay
from skdann.inspection._training import TrainingCurveDisplay

__all__ = [
    "AccuracyEstimate",
    "Diagnosis",
    "DomainEmbeddingDisplay",
    "DomainShiftDisplay",
    "LambdaPathDisplay",
    "NetworkSummary",
    "RowReliability",
    "TrainingCurveDisplay",
    "summarize_networks",
]
