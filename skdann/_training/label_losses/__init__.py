"""The label losses: how the outputs of G_y are compared with the labels.

A label loss is one class in one file of this folder and one line in `LABEL_LOSSES`; the keys of the
losses of numbers are the values of ``DANNRegressor(loss=...)``.
"""

from skdann._training.label_losses.absolute_error import AbsoluteError
from skdann._training.label_losses.base import LabelLoss, NumberLoss
from skdann._training.label_losses.cross_entropy import CrossEntropy
from skdann._training.label_losses.quantile import Quantile
from skdann._training.label_losses.squared_error import SquaredError

LABEL_LOSSES: dict[str, type[LabelLoss]] = {
    "absolute_error": AbsoluteError,
    "cross_entropy": CrossEntropy,
    "quantile": Quantile,
    "squared_error": SquaredError,
}
NUMBER_LOSSES = [name for name, each in LABEL_LOSSES.items() if issubclass(each, NumberLoss)]

__all__ = ["LABEL_LOSSES", "NUMBER_LOSSES", "LabelLoss"]
