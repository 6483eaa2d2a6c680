"""A table of the three networks: layers, output shapes, numbers of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from skdann._input.surroundings import neutral_surroundings
from skdann.inspection._fitted import find_network
from skdann.inspection._report import html_table

NETWORKS = {
    "feature_extractor": "Feature extractor G_f",
    "label_predictor": "Label predictor G_y",
    "domain_classifier": "Domain classifier G_d",
}


_Row = tuple[str, str, str]


class Layer(NamedTuple):
    """One layer of a network.

    Attributes
    ----------
    network : str
        "feature_extractor", "label_predictor" or "domain_classifier".
    layer : str
        The layer as torch prints it.
    output : tuple of int
        Shape of the output for one row; empty if the layer is never called.
    n_parameters : int
        Number of trainable parameters.
    """

    network: str
    layer: str
    output: tuple[int, ...]
    n_parameters: int


@dataclass(frozen=True, repr=False)
class NetworkSummary:
    """Layers of the three networks, which print as a table, in notebooks as HTML.

    Parameters
    ----------
    n_features_in : int
        Number of input columns.
    layers : tuple of Layer
        Layers in the order of the networks. ``pandas.DataFrame(summary.layers)`` makes a table.

    See Also
    --------
    summarize_networks : Summarizes a fitted estimator.

    Examples
    --------
    >>> from skdann import DANNClassifier
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.inspection import summarize_networks
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(feature_extractor=(16,), domain_classifier=(8,), max_epochs=2)
    >>> summarize_networks(clf.fit(X_source, y_source, X_target)).n_parameters
    227
    """

    n_features_in: int
    layers: tuple[Layer, ...]

    @property
    def n_parameters(self) -> int:
        """Total number of trainable parameters."""
        return sum(layer.n_parameters for layer in self.layers)

    def _tables(self) -> list[tuple[_Row, list[_Row]]]:
        """Header and rows of each network."""
        tables: list[tuple[_Row, list[_Row]]] = []
        for name, title in NETWORKS.items():
            layers = [layer for layer in self.layers if layer.network == name]
            if layers:
                total = sum(layer.n_parameters for layer in layers)
                rows = [(x.layer, _shape(x.output), f"{x.n_parameters:,}") for x in layers]
                tables.append(((title, "output", f"{total:,}"), rows))
        return tables

    def _title(self) -> str:
        return f"{self.n_features_in:,} columns, {self.n_parameters:,} parameters"

    def __repr__(self) -> str:
        tables = self._tables()
        cells = [row for head, rows in tables for row in (head, *rows)]
        first, second, third = (max(len(row[i]) for row in cells) + 2 for i in range(3))
        third = max(third, len("parameters") + 2)
        lines = [self._title()]
        for head, rows in tables:
            lines += ["", f"{head[0]:{first + 2}}{head[1]:>{second}}{'parameters':>{third}}"]
            lines += [f"  {a:{first}}{b:>{second}}{c:>{third}}" for a, b, c in rows]
            lines.append(f"  {'total':{first}}{'':>{second}}{head[2]:>{third}}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{escape(self._title())}</strong></p>"]
        for head, rows in self._tables():
            rows = [*rows, ("total", "", head[2])]
            parts.append(html_table((head[0], "output", "parameters"), rows))
        return "\n".join(["<div>", *parts, "</div>"])


@neutral_surroundings()
def summarize_networks(estimator: Any) -> NetworkSummary:
    """Summarize the three networks of a fitted estimator.

    Parameters
    ----------
    estimator : DANNClassifier, DANNRegressor, DANNClassifierCV, or Pipeline that ends in one
        Fitted. For a DANNClassifierCV, a member of the best selected candidate is used.

    Returns
    -------
    NetworkSummary
        The summary, which prints as a table.

    Raises
    ------
    TypeError
        If the estimator has no networks.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> from skdann import DANNClassifier
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.inspection import summarize_networks
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(feature_extractor=(16,), domain_classifier=(8,), dropout=0.0)
    >>> summarize_networks(clf.set_params(max_epochs=2).fit(X_source, y_source, X_target))
    2 columns, 227 parameters
    <BLANKLINE>
    Feature extractor G_f                        output  parameters
      Linear(in_features=2, out_features=16)         16          48
      ReLU()                                         16           0
      total                                                      48
    <BLANKLINE>
    Label predictor G_y                          output  parameters
      Linear(in_features=16, out_features=2)          2          34
      total                                                      34
    <BLANKLINE>
    Domain classifier G_d                        output  parameters
      Linear(in_features=16, out_features=8)          8         136
      ReLU()                                          8           0
      Linear(in_features=8, out_features=1)           1           9
      total                                                     145
    """
    clf = find_network(estimator).last
    shapes = _output_shapes(clf)
    layers = [
        Layer(name, _title(layer), shapes.get(id(layer), ()), _n_direct_parameters(layer))
        for name in NETWORKS
        if getattr(clf.module_, name) is not None
        for layer in _layers(getattr(clf.module_, name))
    ]
    return NetworkSummary(int(clf.net_.shape.n_features), tuple(layers))


def _layers(network: nn.Module) -> list[nn.Module]:
    """Modules without submodules, and modules with parameters beside their submodules."""
    return [
        layer
        for layer in network.modules()
        if not list(layer.children()) or list(layer.parameters(recurse=False))
    ]


def _title(layer: nn.Module) -> str:
    """Return the name and settings of a layer, or only the name if it has submodules."""
    return type(layer).__name__ if list(layer.children()) else " ".join(repr(layer).split())


def _n_direct_parameters(layer: nn.Module) -> int:
    """Count trainable parameters of a module, without those of its submodules."""
    return sum(p.numel() for p in layer.parameters(recurse=False) if p.requires_grad)


def _output_shapes(clf: Any) -> dict[int, tuple[int, ...]]:
    """Output shape of each layer for one row, recorded on a row of zeros."""
    shapes: dict[int, tuple[int, ...]] = {}

    def record(layer: nn.Module, _: Any, output: Any) -> None:
        shapes.setdefault(id(layer), tuple(getattr(output, "shape", ()))[1:])

    hooks = [layer.register_forward_hook(record) for layer in clf.module_.modules()]
    rows = np.zeros((1, clf.net_.shape.n_features), dtype=np.float32)
    try:
        for what in ("labels", *(["domains"] if clf.module_.domain_classifier is not None else [])):
            list(clf.net_.infer_blocks(rows, None, what))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _shape(output: tuple[int, ...]) -> str:
    return " × ".join(map(str, output))
