"""Clear errors for calls of `fit` whose arguments do not fit its signature."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

_Method = TypeVar("_Method", bound=Callable[..., Any])

# names that other libraries use, or that one may expect here, and what to do instead
HINTS = {
    "X": "the source rows are X_source",
    "y": "the labels of the source rows are y_source",
    "X_source": "a pipeline takes the source rows as X",
    "y_source": "a pipeline takes the labels of the source rows as y",
    "y_target": (
        "labels of target rows are not taken: adaptation is unsupervised. Leave them out of fit, "
        "and use them to score predictions"
    ),
}
TOO_MANY = {
    3: (
        "labels of target rows are not taken, and sample_weight and sample_domain are passed by "
        "name"
    ),
    2: "pass the target rows by name, X_target=..., and other parameters too",
}


def explain_arguments(fit: _Method) -> _Method:
    """Check the arguments of a `fit` before the call, and say how to call it if they do not fit.

    The signature that :func:`inspect.signature` sees stays as it is.

    Parameters
    ----------
    fit : function
        A method of an estimator.

    Returns
    -------
    function
        The same method, which raises TypeError with a remedy.
    """
    signature = inspect.signature(fit)
    names = [name for name in signature.parameters if name != "self"]

    @functools.wraps(fit)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            called = f"{type(self).__name__}.{fit.__name__}"
            raise TypeError(_explain(called, signature, names, args, kwargs, error)) from None
        return fit(self, *args, **kwargs)

    return checked  # type: ignore[return-value]


def _explain(
    called: str,
    signature: inspect.Signature,
    names: list[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: TypeError,
) -> str:
    """Say which argument does not fit, and how to call."""
    kinds = [signature.parameters[name].kind for name in names]
    by_position = [
        name
        for name, kind in zip(names, kinds, strict=True)
        if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    call = f"call {called.rpartition('.')[2]}({', '.join(by_position)}"
    call += ", X_target=...)" if "X_target" not in names else ")"
    unknown = [name for name in kwargs if name not in names]
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds
    if unknown and not takes_any:
        name = unknown[0]
        close = difflib.get_close_matches(name, names, n=1)
        hint = HINTS.get(name) or (f"did you mean {close[0]}?" if close else "there is none such")
        return f"{called} got an unexpected argument {name!r}: {hint}; {call}."
    for name in unknown:
        if name in HINTS and name not in ("X_target",):
            return f"{called} got an unexpected argument {name!r}: {HINTS[name]}; {call}."
    if len(args) > len(by_position):
        hint = TOO_MANY.get(len(by_position), "pass the others by name")
        return (
            f"{called} takes {', '.join(by_position)} by position, but {len(args)} arguments were "
            f"passed so: {hint}; {call}."
        )
    return f"{called}: {error}; {call}."
