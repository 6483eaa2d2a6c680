"""Gradient-boosted trees as bytes, stored by skops, which executes no code on loading."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

TREE = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"


def unfitted_trees() -> Any:
    """Return trees that are not fitted."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    return HistGradientBoostingClassifier()


def dump_trees(model: Any) -> Tensor:
    """Return the content of a skops file as a tensor of bytes."""
    import skops.io  # loads slowly

    content = skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED)
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())


def load_trees(content: Tensor, classes: np.ndarray, n_features: int) -> Any:
    """Load trees from bytes; raise unless they fit the classes and the columns.

    skops does not check the indices in the nodes of a tree, so this does.
    """
    import skops.io

    model = skops.io.loads(content.numpy().tobytes(), trusted=[TREE])
    if type(model) is not type(unfitted_trees()):
        raise ValueError(f"it holds a {type(model).__name__}, not trees")
    if not np.array_equal(model.classes_, classes) or model.n_features_in_ != n_features:
        raise ValueError("the trees have other classes or columns than the networks")
    for trees in model._predictors:
        for tree in trees:
            _check_nodes(tree.nodes, n_features)
    return model


def _check_nodes(nodes: np.ndarray, n_features: int) -> None:
    """Raise unless every path through a tree ends in a leaf of it."""
    inner = nodes["is_leaf"] == 0
    parents, children = np.flatnonzero(inner), nodes[inner]
    is_ordered = all((children[side] > parents).all() for side in ("left", "right"))
    is_inside = all((children[side] < len(nodes)).all() for side in ("left", "right"))
    is_column = ((children["feature_idx"] >= 0) & (children["feature_idx"] < n_features)).all()
    if not (len(nodes) and is_ordered and is_inside and is_column) or nodes["is_categorical"].any():
        raise ValueError("a tree has nodes that point outside it")
