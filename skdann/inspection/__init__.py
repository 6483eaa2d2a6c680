"""Pictures and tables of a fitted estimator: how it trained, what it learnt, what was shifted.

The Displays follow scikit-learn: ``from_estimator`` computes, stores plain arrays and draws;
``plot`` draws again from what is stored. They take our estimators, alone or as the last step of a
fitted Pipeline, whose transformers the rows then go through. Drawing needs matplotlib
(``pip install skdann[plots]``), which is imported only then.
"""

from skdann.inspection._embedding import DomainEmbeddingDisplay
from skdann.inspection._lambda_path import LambdaPathDisplay
from skdann.inspection._networks import NetworkSummary, summarize_networks
from skdann.inspection._report import Diagnosis
from skdann.inspection._shift import DomainShiftDisplay
from skdann.inspection._training import TrainingCurveDisplay

__all__ = [
    "Diagnosis",
    "DomainEmbeddingDisplay",
    "DomainShiftDisplay",
    "LambdaPathDisplay",
    "NetworkSummary",
    "TrainingCurveDisplay",
    "summarize_networks",
]
