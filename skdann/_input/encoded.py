"""Rows that are encoded already, so that no method encodes them again."""

from __future__ import annotations

from typing import Any

import numpy as np


class EncodedRows(np.ndarray):
    """Array of encoded rows; slices, samples and mixtures of its rows stay encoded.

    Attributes
    ----------
    encoding : MixedColumns
        The encoding, for raw rows that are compared with these.
    """

    encoding: Any

    def __array_finalize__(self, source: Any) -> None:
        """Pass the encoding on to slices and results."""
        self.encoding = getattr(source, "encoding", None)


def mark_encoded(values: np.ndarray, columns: Any) -> EncodedRows:
    """Return a view of encoded rows that carries their encoding."""
    view = values.view(EncodedRows)
    view.encoding = columns
    return view


def is_encoded(X: Any) -> bool:
    """Whether rows are encoded already."""
    return isinstance(X, EncodedRows) and X.ndim == 2
