"""Export of fitted estimators as ONNX graphs, for predictions without Python.

The graph maps float32 rows ``X`` of shape (n_samples, n_features) to ``probabilities`` of shape
(n_samples, n_classes), the ``predict_proba`` of target rows, or to ``predictions`` of the shape of
``predict`` for numbers. The class labels are in its metadata as JSON, "classes". In a pipeline,
skl2onnx converts the steps before the estimator. Requires ``skdann[onnx]``.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skdann.datasets._files import write_whole

OPSET = 18
ML_OPSET = 3


def save_onnx(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator, or a pipeline that ends in one, as an ONNX graph."""
    check_is_fitted(estimator)
    try:
        export = _pipeline_graph if hasattr(estimator, "steps") else _estimator_graph
        content = export(estimator).SerializeToString()
    except ImportError as error:
        raise ImportError(
            f"to_onnx requires packages that are not installed ({error}); install them with: "
            "pip install 'skdann[onnx]'."
        ) from error
    write_whole(path, content)


class _Outputs(nn.Module):
    """Outputs of networks for rows of numbers, of which some may be missing."""

    def __init__(self, estimator: Any) -> None:
        super().__init__()
        fill = getattr(estimator._columns, "fill", None)
        self.fill = None if fill is None else torch.from_numpy(fill).float()

    def impute(self, x: Tensor) -> Tensor:
        """Replace missing numbers as the fit did."""
        return x if self.fill is None else torch.where(torch.isnan(x), self.fill, x)


class _Probabilities(_Outputs):
    """Weighted mean of the members' class probabilities."""

    name = "probabilities"

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        members = getattr(estimator, "members_", [estimator])
        self.weights = getattr(estimator, "weights_", [1.0])
        self.modules_ = nn.ModuleList(copy.deepcopy(member.module_).cpu() for member in members)
        shifts = [member._label_shift for member in members]
        self.offsets = [
            0.0 if shift is None else torch.tensor(shift.offset).float() for shift in shifts
        ]

    def forward(self, x: Tensor) -> Tensor:
        x = self.impute(x)
        parts = zip(self.weights, self.modules_, self.offsets, strict=True)
        return sum(
            (float(w) * (net(x) + b).softmax(-1) for w, net, b in parts),
            torch.zeros((), dtype=torch.float32),
        )


class _Predictions(_Outputs):
    """Numbers on the scale of the labels."""

    name = "predictions"

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator)
        self.module = copy.deepcopy(estimator.module_).cpu()
        scale = estimator._label_scale
        self.location, self.scale = (
            torch.from_numpy(each).float() for each in (scale.location, scale.scale)
        )
        self.is_vector = scale.is_vector

    def forward(self, x: Tensor) -> Tensor:
        y = self.module(self.impute(x)) * self.scale + self.location
        return y.squeeze(-1) if self.is_vector else y


def _output_module(estimator: Any) -> Any:
    """Return the module that computes what the graph gives."""
    return _Probabilities(estimator) if hasattr(estimator, "classes_") else _Predictions(estimator)


def _check_networks(members: Sequence[Any]) -> None:
    """Raise if a member is not a network."""
    for member in members:
        if not hasattr(member, "module_"):
            raise ValueError(
                f"to_onnx exports networks, but {type(member).__name__} is part of the mixture; "
                "fit with families=('alignment', 'self_training', 'balanced')."
            )


def _estimator_graph(estimator: Any) -> Any:
    import onnx

    _check_networks(getattr(estimator, "members_", [estimator]))
    _check_numeric(estimator)
    module = _output_module(estimator)
    example = torch.zeros(2, estimator.n_features_in_, dtype=torch.float32)
    with _silence_exporters():
        try:
            program: Any = torch.onnx.export(
                module.eval(),
                (example,),
                input_names=["X"],
                output_names=[module.name],
                dynamic_shapes=({0: torch.export.Dim("n_samples")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except ImportError:
            raise
        except Exception as error:
            raise ValueError(
                f"The networks cannot be exported to ONNX ({_root_cause(error)}); a custom module "
                "must not branch on values, see torch.onnx.export."
            ) from error
    graph = program.model_proto
    if hasattr(estimator, "classes_"):
        onnx.helper.set_model_props(graph, {"classes": json.dumps(estimator.classes_.tolist())})
    return graph


def _check_numeric(estimator: Any) -> None:
    """Raise if columns of the fit are encoded, which the graph cannot do."""
    others = [each for each in estimator.columns_ if each.kind != "number"]
    if others:
        named = ", ".join(f"{each.name!r} ({each.kind})" for each in others[:5])
        raise ValueError(
            f"to_onnx writes networks that take numbers, but {type(estimator).__name__} was fitted "
            f"on a table with {len(others)} columns of other kinds: {named}. Encode these columns "
            "in a pipeline, e.g. skdann.make_pipeline(ColumnTransformer(...), DANNClassifier()), "
            "or save the estimator and load it in Python."
        )


def _pipeline_graph(pipeline: Any) -> Any:
    import onnx.compose
    import onnx.version_converter
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    last = _estimator_graph(pipeline[-1])
    head, names = pipeline[:-1], [name for name, _ in pipeline.steps[:-1]]
    if not any(step not in (None, "passthrough") for _, step in head.steps):
        return last
    with _silence_exporters():
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
                f"The steps {names} cannot be exported to ONNX ({_root_cause(error)}); skl2onnx "
                "supports most transformers of scikit-learn, fitted on numeric arrays. Otherwise "
                "call to_onnx of the last step, and transform the rows before prediction."
            ) from error
    _name_output(merged.graph, last.graph.output[0].name)
    onnx.helper.set_model_props(merged, {prop.key: prop.value for prop in last.metadata_props})
    return merged


def _name_output(graph: Any, name: str) -> None:
    """Rename the output of a graph; older versions of onnx add the prefix to it, too."""
    for node in graph.node:
        for index, output in enumerate(node.output):
            if output == graph.output[0].name:
                node.output[index] = name
    graph.output[0].name = name


def _root_cause(error: BaseException) -> str:
    """Return the root cause of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


@contextlib.contextmanager
def _silence_exporters() -> Iterator[None]:
    """Suppress warnings and log messages of the exporters about their internals."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")

    def reject(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(reject)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.removeFilter(reject)
