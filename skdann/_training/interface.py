"""The net as skorch's callbacks see it: a classifier or regressor of source rows.

skorch's scoring callbacks call scorers of scikit-learn with the net. Labels are class indices, the
positions in `classes_` of the estimator, or numbers scaled to mean 0 and variance 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import RegressorTags
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.history import History
from torch import Tensor

from skdann._training.history import EpochHistory


class SourceRows(NamedTuple):
    """Labelled source rows that callbacks may score.

    Attributes
    ----------
    dataset : skorch.dataset.Dataset
        Rows and class indices, or numbers.
    domain : ndarray of int of shape (n_rows,)
        Domain index of each row.
    """

    dataset: Dataset
    domain: np.ndarray

    @classmethod
    def of(cls, data: Any, rows: Any) -> SourceRows:
        """Return some of the source rows of checked data."""
        return cls(Dataset(data.X[rows], data.y[rows]), data.domain[rows])


class CallbackInterface(ClassifierMixin, NeuralNet):
    """Methods and attributes of a net that skorch's callbacks use."""

    # during training, the rows that callbacks get: those trained on, and those held out
    known_rows: tuple[SourceRows | None, SourceRows | None] = (None, None)
    label_loss: Any  # label part of the objective

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if not self.label_loss.is_classification:
            tags.estimator_type = "regressor"
            tags.classifier_tags, tags.regressor_tags = None, RegressorTags()
        return tags

    @property
    def history(self) -> EpochHistory:
        """History with one row per epoch; one that skorch loads from a file is converted."""
        return self.history_

    @history.setter
    def history(self, rows: History) -> None:
        self.history_ = EpochHistory(rows)

    def set_params(self, **params: Any) -> CallbackInterface:
        """Set parameters of callbacks or of the optimizer; refuse others, as networks are built."""
        refused = [name for name in params if name.split("__")[0] in ("module", "criterion")]
        if refused:
            raise ValueError(
                f"A callback sets {', '.join(refused)}, but the networks are built already, from "
                "the columns and the parameters of the estimator; remove the callback (such as "
                "InputShapeSetter, which is not needed)."
            )
        super().set_params(**params)
        return self

    def notify(self, method_name: str, **arguments: Any) -> None:
        """Notify callbacks; at the begin and end of training they get the source rows."""
        source = self.known_rows[0]
        if "X" in arguments and source is not None:
            arguments |= {"X": source.dataset.X, "y": source.dataset.y}
        super().notify(method_name, **arguments)

    def has_listener(self, *names: str) -> bool:
        """Whether some callback implements one of these hooks."""
        return any(
            getattr(type(callback), name) is not getattr(Callback, name)
            for _, callback in self.callbacks_
            for name in names
        )

    def predict(self, X: Any) -> np.ndarray:
        """Predict class indices, or numbers on the scale of the net."""
        outputs = self.predict_proba(X)
        return outputs.argmax(-1) if self.label_loss.is_classification else outputs


def softmax(logits: Tensor) -> Tensor:
    """Return class probabilities."""
    return logits.softmax(-1)
