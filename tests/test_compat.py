"""Names of other libraries that depend on a version: each does what the package relies on."""

from __future__ import annotations

import ast
from numbers import Real
from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_array_equal
from sklearn.utils.fixes import parse_version

import skdann
from skdann import _compat


def test_every_name_is_used_by_the_package():
    used = {
        alias.name
        for file in Path(skdann.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "skdann._compat"
        for alias in node.names
    }
    assert used == set(_compat.__all__)
    assert _compat.__all__ == sorted(_compat.__all__, key=lambda name: (name.islower(), name))


def test_tensors_are_copied_in_place():
    to, source = [torch.zeros(2), torch.zeros(3)], [torch.ones(2), torch.arange(3.0)]
    _compat.copy_tensors(to, source)
    assert [part.tolist() for part in to] == [[1.0, 1.0], [0.0, 1.0, 2.0]]


def test_global_hooks_are_seen():
    assert not _compat.has_global_hooks()
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *args: None)
    try:
        assert _compat.has_global_hooks()
    finally:
        handle.remove()
    assert not _compat.has_global_hooks()


def test_rows_of_any_container_are_indexed():
    assert _compat.safe_indexing(["a", "b", "c"], [2, 0]) == ["c", "a"]
    assert_array_equal(_compat.safe_indexing(np.arange(6).reshape(3, 2), [2, 0]), [[4, 5], [0, 1]])


@pytest.mark.parametrize(
    ("weight", "expected"), [(None, [1.0] * 3), (2.0, [2.0] * 3), ([1, 2, 3], [1.0, 2.0, 3.0])]
)
def test_weights_become_one_float_a_row(weight, expected):
    checked = _compat.check_sample_weight(weight, np.zeros((3, 1)), dtype=np.float64)
    assert checked.dtype == np.float64
    assert checked.tolist() == expected


def test_parameters_are_checked_against_constraints():
    constraints = {
        "a": [_compat.Interval(Real, 0, 1, closed="left")],
        "b": [_compat.StrOptions({"x"})],
    }
    _compat.validate_parameter_constraints(constraints, {"a": 0.5, "b": "x"}, caller_name="f")
    with pytest.raises(ValueError, match="'a' parameter of f must be a float in the range"):
        _compat.validate_parameter_constraints(constraints, {"a": 1.0, "b": "x"}, caller_name="f")


def test_callbacks_are_those_of_scikit_learn_or_nothing():
    has_callbacks = parse_version(sklearn.__version__) >= parse_version("1.9.dev0")
    assert hasattr(_compat.CallbackSupportMixin, "set_callbacks") == has_callbacks
    if not has_callbacks:
        assert _compat.with_callbacks(len) is len
