"""Helpers of the Displays: a palette for the colour-blind, axes, and matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

# Okabe and Ito, "Color Universal Design", 2008; without black, and without yellow, which is too
# pale on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#808080"


def require_matplotlib(what: str) -> Any:
    """Import pyplot, or raise an error that names the extra to install."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(f"{what} needs matplotlib; pip install 'skdann[plots]'.") from error
    return pyplot


def colours_of(n_classes: int) -> list[Any]:
    """One colour per class: from the palette if it has enough, otherwise from viridis."""
    if n_classes <= len(COLOURS):
        return list(COLOURS[:n_classes])
    viridis = require_matplotlib("a palette").get_cmap("viridis")
    return [viridis(share) for share in np.linspace(0, 0.95, n_classes)]


def axes_for(ax: Any, n_axes: int, what: str, **layout: Any) -> tuple[np.ndarray, Any]:
    """Return the given axes, or axes of a new figure, and the figure.

    Raises
    ------
    ValueError
        If the number of axes is not `n_axes`.
    """
    pyplot = require_matplotlib(what)
    if ax is None:
        figure, axes = pyplot.subplots(layout="constrained", squeeze=False, **layout)
        return axes.ravel(), figure
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != n_axes:
        raise ValueError(f"ax holds {len(axes)} axes, but {what} plots on {n_axes}; pass {n_axes}.")
    return axes, axes[0].figure
