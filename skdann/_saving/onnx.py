"""Fitted classifiers as ONNX graphs, to predict where there is no Python.

The graph takes float32 rows ``X`` of shape (n_samples, n_features) and gives ``probabilities`` of
shape (n_samples, n_classes), those of ``predict_proba`` for target rows. The class labels stand in
its metadata as JSON, "classes". Steps of a pipeline before the classifier are put in front by
skl2onnx. Needs the extra ``skdann[onnx]``.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skdann.datasets._files import write_whole

OPSET = 18
ML_OPSET = 3


def save_onnx(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted classifier, or a pipeline that ends in one, as an ONNX graph."""
    check_is_fitted(estimator)
    try:
        make = _pipeline_graph if hasattr(estimator, "steps") else _classifier_graph
        content = make(estimator).SerializeToString()
    except ImportError as error:
        raise ImportError(
            f"to_onnx needs packages that are not there ({error}); install them with: "
            "pip install 'skdann[onnx]'."
        ) from error
    write_whole(path, content)


class _Probabilities(nn.Module):
    """Weighted mean of the members' class probabilities."""

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        members = getattr(estimator, "members_", [estimator])
        self.weights = getattr(estimator, "weights_", [1.0])
        self.modules_ = nn.ModuleList(copy.deepcopy(own.module_).cpu() for own in members)
        shifts = [own._label_shift for own in members]
        self.offsets = [0.0 if own is None else torch.tensor(own.offset).float() for own in shifts]

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.weights, self.modules_, self.offsets, strict=True)
        return sum(
            (float(w) * (net(x) + b).softmax(-1) for w, net, b in parts),
            torch.zeros((), dtype=torch.float32),
        )


def _classifier_graph(estimator: Any) -> Any:
    import onnx

    trial = torch.zeros(2, estimator.n_features_in_, dtype=torch.float32)
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                _Probabilities(estimator).eval(),
                (trial,),
                input_names=["X"],
                output_names=["probabilities"],
                dynamic_shapes=({0: torch.export.Dim("n_samples")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except ImportError:
            raise
        except Exception as error:
            raise ValueError(
                f"The networks cannot be written as ONNX ({_last(error)}); of your own modules, "
                "torch.onnx.export takes those without branches that depend on values."
            ) from error
    graph = program.model_proto
    onnx.helper.set_model_props(graph, {"classes": json.dumps(estimator.classes_.tolist())})
    return graph


def _pipeline_graph(pipeline: Any) -> Any:
    import onnx.compose
    import onnx.version_converter
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    last = _classifier_graph(pipeline[-1])
    head, names = pipeline[:-1], [name for name, _ in pipeline.steps[:-1]]
    if not any(step not in (None, "passthrough") for _, step in head.steps):
        return last
    with _quiet():
        try:
            first = convert_sklearn(
                head,
                initial_types=[("X", FloatTensorType([None, pipeline.n_features_in_]))],
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
            first = onnx.version_converter.convert_version(first, OPSET)
            first.ir_version = last.ir_version
            merged = onnx.compose.merge_models(
                first,
                onnx.compose.add_prefix(last, "dann_", rename_outputs=False),
                io_map=[(first.graph.output[0].name, "dann_X")],
            )
        except Exception as error:
            raise ValueError(
                f"The steps {names} cannot be written as ONNX ({_last(error)}); skl2onnx takes "
                "most transformers of scikit-learn, fitted on arrays of numbers. Call to_onnx of "
                "the last step, and transform the rows before."
            ) from error
    _name_output(merged.graph, "probabilities")
    onnx.helper.set_model_props(merged, {prop.key: prop.value for prop in last.metadata_props})
    return merged


def _name_output(graph: Any, name: str) -> None:
    """Name the one output of a graph; older versions of onnx put the prefix before it too."""
    for node in graph.node:
        for index, output in enumerate(node.output):
            if output == graph.output[0].name:
                node.output[index] = name
    graph.output[0].name = name


def _last(error: BaseException) -> str:
    """Say what was behind an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporters say of themselves: deprecations, packages they could use."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")

    def refuse(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(refuse)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.removeFilter(refuse)
