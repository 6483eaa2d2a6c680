"""Every import that is private to another library or depends on its version.

One place to look when scikit-learn, skorch or torch move something. The rest of the package imports
public names, or these.
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
from torch import _foreach_copy_ as copy_tensors  # (to, from): as one call, also on a GPU
from torch.nn.modules.module import _has_any_global_hook as has_global_hooks

_Method = TypeVar("_Method", bound=Callable[..., Any])


class CallbackSupportMixin:
    """Gives nothing where scikit-learn is older than 1.9 and has no callbacks."""


def with_callbacks(method: _Method) -> _Method:
    """Leave the method as it is, likewise."""
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
