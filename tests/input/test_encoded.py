"""The mark of rows that are encoded already."""

from __future__ import annotations

import numpy as np

from skdann._input.encoded import is_encoded, mark_encoded

ENCODING = object()


def test_slices_samples_and_mixtures_stay_encoded() -> None:
    rows = mark_encoded(np.arange(6.0).reshape(3, 2), ENCODING)
    for part in (rows[1:], rows[[0, 2]], rows[rows[:, 0] > 1], 0.5 * rows[:2] + 0.5 * rows[1:]):
        assert is_encoded(part)
        assert part.encoding is ENCODING
    assert not is_encoded(np.asarray(rows))
    assert not is_encoded(rows[0])
