"""Networks that are passed as modules, classes or factories: built, then tried on a few rows."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import torch
from torch import Tensor, nn

N_TRIAL = 8  # rows

# names of layers that reverse the gradient, in lower case
REVERSES = re.compile(r"^grl|grad\w*rev|rev\w*grad")


def build_custom(
    spec: Any, name: str, widths: tuple[int, ...], allowed: tuple[int, ...] | None
) -> tuple[nn.Module, int]:
    """Build a custom network and check its outputs.

    Parameters
    ----------
    spec : module, class or factory
        As in :class:`skdann.DANNClassifier`. A module is copied.
    name : str
        Name of the parameter in error messages.
    widths : tuple of int
        Widths of input and output, or of the input alone, for a class or factory that takes them.
    allowed : tuple of int or None
        Allowed widths of the output. None allows any, and flattens features of several dimensions.

    Returns
    -------
    network : torch.nn.Module
        The network; with a layer that flattens its output, if that is needed.
    width : int
        Width of its output.

    Raises
    ------
    ValueError, TypeError
        If the network cannot be built, fails on its input, or has an output of another shape, of
        another dtype, or of probabilities, or contains a gradient reversal layer.
    """
    network = _construct(spec, name, *widths)
    _check_reversal(network, name)
    if torch.get_default_dtype() != torch.float32:  # set by the calling script
        network = network.float()
    with torch.no_grad():
        output = _try_rows(network, name, torch.zeros(2, widths[0], dtype=torch.float32))
    if allowed is None and getattr(output, "ndim", 0) > 2:
        network = nn.Sequential(network, nn.Flatten())
        output = output.flatten(1)
    _check_output(output, name, allowed)
    if allowed is not None:
        _check_logits(network, name, widths[0])
    return network, int(output.shape[1])


def _construct(spec: Any, name: str, *widths: int) -> nn.Module:
    """Copy a custom module, or call its class or factory, with the widths if required."""
    if isinstance(spec, nn.Module):
        return copy.deepcopy(spec)
    widths = widths if _takes_widths(spec) else ()
    try:
        network = spec(*widths)
    except Exception as error:
        raise ValueError(
            f"{name} could not be built by calling {spec!r} with {widths}: {error}; pass a tuple "
            "of hidden layer sizes, a torch module, or a callable that takes the widths "
            "(n_in) or (n_in, n_out), or no arguments."
        ) from error
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{name} returned a {type(network).__name__!r} when called; it must return a "
            "torch.nn.Module."
        )
    return network


def _takes_widths(spec: Any) -> bool:
    """Whether a class or factory has required parameters."""
    try:
        parameters = inspect.signature(spec).parameters.values()
    except ValueError:  # a builtin without a signature
        return True
    return any(
        parameter.kind is parameter.VAR_POSITIONAL
        or (parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD)
        for parameter in parameters
    )


def _try_rows(network: nn.Module, name: str, rows: Tensor) -> Any:
    """Return the output of a network for a few rows, in evaluation mode."""
    parameter = next(network.parameters(), None)
    rows = rows if parameter is None else rows.to(parameter.device)
    was_training = network.training
    try:
        return network.eval()(rows)
    except Exception as error:
        n_rows, n_in = rows.shape
        raise ValueError(
            f"{name} failed on {n_rows} rows of {n_in} columns: {error}; its first layer must take "
            f"{n_in} float32 columns."
        ) from error
    finally:
        network.train(was_training)


def _check_output(output: Any, name: str, allowed: tuple[int, ...] | None) -> None:
    """Raise unless the output for two rows has an allowed shape, in float32."""
    shape = tuple(getattr(output, "shape", ()))
    if len(shape) != 2 or shape[0] != 2 or (allowed is not None and shape[1] not in allowed):
        widths = "n_features" if allowed is None else " or ".join(map(str, allowed))
        raise ValueError(
            f"{name} returned an output of shape {shape} for two rows; it must be (2, {widths}), "
            "so change the width of its last layer or pass a tuple of sizes."
        )
    if output.dtype != torch.float32:
        raise ValueError(
            f"{name} returned {output.dtype} for float32 rows; it must return float32, so create "
            "tensors with the dtype of its input, not with torch's default dtype."
        )


def _check_reversal(network: nn.Module, name: str) -> None:
    """Raise if a layer is named as one that reverses the gradient."""
    for part in network.modules():
        kind = type(part).__name__
        if REVERSES.search(kind.lower()):
            raise ValueError(
                f"{name} contains a {kind}, but fit reverses the gradient by itself, and a second "
                "reversal undoes it; remove the layer from the module."
            )


def _check_logits(network: nn.Module, name: str, n_in: int) -> None:
    """Raise if a network returns probabilities, from which a loss learns hardly anything."""
    with torch.no_grad():
        output = _output_for(network, _trial_rows(n_in))
    last = list(network.modules())[-1] if isinstance(network, nn.Sequential) else None
    is_distribution = (
        output is not None
        and output.shape[1] > 1
        and bool((output >= 0).all())
        and torch.allclose(output.sum(1), torch.ones_like(output[:, 0]))
    )
    if is_distribution or isinstance(last, nn.Sigmoid | nn.Softmax):
        raise ValueError(
            f"{name} returns probabilities; it must return logits, so remove the softmax or "
            "sigmoid after its last layer."
        )


def _trial_rows(n_in: int) -> Tensor:
    """Return different rows of numbers between 0 and 1, which truncate to code 0 of a category."""
    numbers = torch.linspace(-9.0, 9.0, N_TRIAL * n_in, dtype=torch.float32)
    return (0.5 + 0.4 * numbers.sin()).view(N_TRIAL, n_in)


def _output_for(network: nn.Module, rows: Tensor) -> Tensor | None:
    """Return the output for trial rows, flattened; None if the network takes only other rows."""
    try:
        output: Tensor = _try_rows(network, "", rows.clone()).flatten(1)  # in-place layers exist
        return output
    except ValueError:
        return None
