"""Clear errors for calls of `fit` with arguments that it does not take."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, TypeVar

from sklearn.pipeline import Pipeline

from skdann._input.containers import explain_dataset

_Method = TypeVar("_Method", bound=Callable[..., Any])

# names that other libraries use, or that one may expect here, and what to do instead
HINTS = {
    "X": "the source rows are X_source",
    "y": "the labels of the source rows are y_source",
    "X_source": "pass the source rows as X",
    "y_source": "pass the labels of the source rows as y",
    "y_target": "labels of target rows are taken by fit alone, of the estimators of skdann",
}
# beginnings of names, in lower case, and the position of the argument of `fit` that is meant
BEGINNINGS = {
    ("xs", "x_s", "x_train", "source"): 0,
    ("ys", "y_s", "y_train", "label"): 1,
    ("xt", "x_t", "x_unl", "target", "unlabel"): 2,
}
HELD_OUT = ("x_val", "y_val", "valid", "eval")
TOO_MANY = "the others are passed by name, y_target=... for labels of some target rows"


def explain_arguments(fit: _Method) -> _Method:
    """Check the arguments of a `fit` before the call, and say how to call it if they do not match.

    The signature that :func:`inspect.signature` sees stays the same.

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
        misnamed = [name for name in kwargs if name in HINTS and name not in names]
        try:
            signature.bind(self, *args, **kwargs)
            fault = "" if not misnamed else _explain_name(misnamed[0], names, self)
        except TypeError as error:
            fault = _explain(signature, names, args, kwargs, str(error), self)
        if fault:
            called = f"{type(self).__name__}.{fit.__name__}"
            call = f"{fit.__name__}({', '.join(names[:3])}, ...)"
            raise TypeError(f"{called} {fault}; call {call}.")
        return fit(self, *args, **kwargs)

    return checked  # type: ignore[return-value]


def takes(estimator: Any, name: str) -> bool:
    """Whether the `fit` of an estimator takes a parameter, or passes it to one in it that does."""
    kinds = {name: each.kind for name, each in _fit_parameters(estimator).items()}
    if name in kinds:
        return True
    parts = estimator.get_params().values() if hasattr(estimator, "get_params") else ()
    passes_on = inspect.Parameter.VAR_KEYWORD in kinds.values()
    return passes_on and any(name in _fit_parameters(part) for part in parts)


def _fit_parameters(estimator: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of `fit`; those of a pipeline are for its steps, whatever its class."""
    fit = getattr(Pipeline if isinstance(estimator, Pipeline) else estimator, "fit", None)
    return {} if fit is None or isinstance(estimator, type) else inspect.signature(fit).parameters


def _explain(
    signature: inspect.Signature,
    names: list[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    error: str,
    estimator: Any,
) -> str:
    """Say which argument does not match the signature, and why."""
    kinds = [signature.parameters[name].kind for name in names]
    n_positional = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds
    for name in kwargs:
        if name not in names and (not takes_any or name in HINTS):
            return _explain_name(name, names, estimator)
    if len(args) > n_positional:
        return (
            f"takes {', '.join(names[:n_positional])} by position but got {len(args)} arguments: "
            f"{TOO_MANY}"
        )
    datasets = filter(None, map(explain_dataset, (*args, *kwargs.values()), repeat("an argument")))
    return f"cannot be called so: {next(datasets, error)}"


def _explain_name(name: str, names: list[str], estimator: Any) -> str:
    """Say what to pass instead of an argument of this name."""
    hint = guess_argument(name, names, list(estimator.get_params(deep=False)))
    return f"got an unexpected argument {name!r}: {hint}"


def guess_argument(name: str, names: list[str], params: list[str]) -> str:
    """Guess what a wrong name means.

    Parameters
    ----------
    name : str
        Name that was passed to `fit`.
    names : list of str
        Names that `fit` takes; the first three are rows, labels and target rows.
    params : list of str
        Parameters of the estimator.

    Returns
    -------
    str
        What to pass instead.
    """
    if name in HINTS:
        return HINTS[name]
    lower = name.lower()
    if lower.startswith(HELD_OUT):
        return "fit holds out source rows itself, with early_stopping=True"
    meant = [names[place] for starts, place in BEGINNINGS.items() if lower.startswith(starts)]
    if not meant and lower.startswith(("yt", "y_t")):
        return "did you mean y_target?" if "y_target" in names else HINTS["y_target"]
    meant += difflib.get_close_matches(name, names, n=1)
    if meant:
        return f"did you mean {meant[0]}?"
    of_estimator = difflib.get_close_matches(name, params, n=1)
    if of_estimator:
        return f"it is passed to the constructor, {of_estimator[0]}=..."
    return "there is none such"
