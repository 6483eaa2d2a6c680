"""Imports of private names of other libraries, and of names that depend on a version.

The rest of the package imports public names, or names from here. When scikit-learn, skorch or torch
move something, only this file changes.
"""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from torch import _foreach_copy_ as copy_tensors  # (to, from) in a single kernel launch
from torch.nn.modules.module import _has_any_global_hook as has_global_hooks

_Method = TypeVar("_Method", bound=Callable[..., Any])


class CallbackSupportMixin:
    """Empty substitute for versions of scikit-learn without callbacks (before 1.9)."""


def with_callbacks(method: _Method) -> _Method:
    """Return the method unchanged, for the same versions."""
    return method


with contextlib.suppress(ImportError):
    from sklearn.callback import CallbackSupportMixin, with_callbacks  # type: ignore[no-redef]

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "copy_tensors",
    "has_global_hooks",
    "safe_indexing",
    "validate_parameter_constraints",
    "with_callbacks",
]
