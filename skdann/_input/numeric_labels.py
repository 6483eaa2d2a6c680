r"""Checks of labels that are numbers, and the scale on which a network learns them.

A network learns :math:`(y - m) / s`, with the weighted mean :math:`m` and standard deviation
:math:`s` of each output in the source rows; predictions are scaled back. An output that is constant
in the source has :math:`s = 0` on the way back, so its prediction is the constant.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from skdann._input.containers import shape_of, unwrap
from skdann._input.labels import is_missing
from skdann._input.messages import naming

NO_NUMBERS = "Use DANNClassifier for classes."


class LabelScale(NamedTuple):
    """Location and scale of each output.

    Attributes
    ----------
    location, scale : ndarray of shape (n_outputs,)
        Mean and standard deviation in the source rows; a scale of 0 for a constant output.
    is_vector : bool
        Whether the labels were passed as a vector, as predictions then are.
    """

    location: np.ndarray
    scale: np.ndarray
    is_vector: bool

    @classmethod
    def measure(cls, y: np.ndarray, weight: np.ndarray | None, *, is_vector: bool) -> LabelScale:
        """Measure the scale of labels (n_rows, n_outputs)."""
        first, largest = y[0], np.abs(y).max(axis=0)
        unit = np.where(largest > 0, largest, 1.0)  # squares of huge numbers would overflow
        mean = np.average(y / unit, axis=0, weights=weight)
        variance = np.average((y / unit - mean) ** 2, axis=0, weights=weight)
        is_constant = (y == first).all(axis=0)
        scale = np.where(is_constant, 0.0, np.sqrt(variance) * unit)
        return cls(np.where(is_constant, first, mean * unit), scale, is_vector)

    def apply(self, y: np.ndarray) -> np.ndarray:
        """Return labels as the network learns them, in float32."""
        scale = np.where(self.scale > 0, self.scale, 1.0)
        with np.errstate(over="ignore"):  # numbers far from those of the fit: diverges later
            return ((y - self.location) / scale).astype(np.float32)

    def restore(self, outputs: np.ndarray) -> np.ndarray:
        """Return predictions on the scale of the labels, with their number of dimensions."""
        y = outputs.astype(np.float64) * self.scale + self.location
        return y[:, 0] if self.is_vector else y


def with_label_scale(data: Any, scale: LabelScale) -> Any:
    """Return checked rows with scaled labels."""
    y_labelled = None if data.labelled is None else scale.apply(data.y_labelled)
    return dataclasses.replace(
        data, y=scale.apply(data.y), y_labelled=y_labelled, label_scale=scale
    )


def is_vector(y: Any) -> bool:
    """Whether labels are a vector, not a table with one column per output."""
    return len(shape_of(unwrap(y, "y"))) == 1


def plain_numbers(y: Any, name: str = "y", *, is_kept: np.ndarray | None = None) -> np.ndarray:
    """Return labels as finite numbers.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Numbers in any container.
    name : str, default="y"
        Name of the argument in error messages.
    is_kept : ndarray of bool of shape (n_samples,) or None, default=None
        Rows whose labels count; the others may hold anything.

    Returns
    -------
    ndarray of shape (n_kept, n_outputs), float64

    Raises
    ------
    ValueError, TypeError
        If the labels are not finite numbers, or not one or more per row.
    """
    plain = unwrap(y, name)
    shape = shape_of(plain)
    if len(shape) not in (1, 2) or 0 in shape[1:] or sp.issparse(plain):
        kind = "is sparse" if sp.issparse(plain) else f"has shape {shape}"
        raise ValueError(
            f"{name} must be (n_samples,) or (n_samples, n_outputs), one or more numbers per row, "
            f"but {kind}; the order of arguments is fit(X_source, y_source, X_target)."
        )
    with naming(name, "must hold one or more numbers per row"):
        values = np.asarray(plain)
    if is_kept is not None and len(values) != len(is_kept):
        raise ValueError(
            f"{name} has {len(values)} labels but X_source has {len(is_kept)} rows; label the "
            "source rows only, target rows need none."
        )
    values = values if is_kept is None else values[is_kept]
    values = values.reshape(len(values), -1)
    _check_kind(values, name)
    with naming(name, "must hold numbers"):
        numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"Input {name} contains NaN or infinity; drop these rows from the source, or mark "
            "unlabelled rows as target rows with a negative sample_domain."
        )
    return numbers


def check_numbers(
    y_source: Any, is_kept: np.ndarray, _: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows kept, and no classes."""
    return plain_numbers(y_source, "y_source", is_kept=is_kept), np.zeros(0)


def _check_kind(values: np.ndarray, name: str) -> None:
    """Raise unless an array holds numbers, or objects that are numbers or missing."""
    kind = values.dtype.kind
    if kind == "O":
        texts = [each for each in values.ravel() if isinstance(each, str | bytes)]
        if texts:
            raise ValueError(
                f"{name} must hold numbers, but holds text such as {texts[0]!r}; convert it, e.g. "
                f"with {name}.astype(float). {NO_NUMBERS}"
            )
        if any(map(is_missing, values.ravel())):
            raise ValueError(
                f"Input {name} contains NaN or None; drop these rows from the source, or mark "
                "unlabelled rows as target rows with a negative sample_domain."
            )
    elif kind not in "biuf":
        example = values.ravel()[:1].tolist()
        raise ValueError(
            f"{name} must hold numbers, but has dtype {values.dtype} (such as {example}); convert "
            f"it, e.g. with {name}.astype(float). {NO_NUMBERS}"
        )
