r"""Outputs and gradients of plain networks in closed form.

For layers :math:`z = x W + b` the chain rule is short: with :math:`g = \partial L / \partial z`,

.. math:: \partial L / \partial W = x^\top g, \quad \partial L / \partial b = \sum g, \quad
    \partial L / \partial x = g W^\top .

In small networks the bookkeeping of autograd costs as much as these products. Everything else, from
normalization to modules passed by the user, goes through autograd in
:mod:`skdann._training.step`, with which this module agrees up to rounding: a layer whose gradient
is not known here exactly as it is configured leaves all networks to autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdann._compat import has_global_hooks
from skdann._training.batches import Batch
from skdann._training.label_losses import LabelLoss
from skdann._training.objective import Adversary
from skdann.nn import DANNModule, Rows
from skdann.nn._members import MemberDropout, MemberLinear, RowsSequential

_aten = torch.ops.aten

# for each activation, given the layer: gradient of its input from (gradient, input, output)
Slope = Callable[[Tensor, Tensor, Tensor], Tensor]
SLOPES: dict[type[nn.Module], Callable[[Any], Slope]] = {
    nn.ELU: lambda layer: lambda g, x, y: _aten.elu_backward(g, layer.alpha, 1.0, 1.0, False, x),
    nn.GELU: lambda layer: lambda g, x, y: _aten.gelu_backward(g, x, approximate=layer.approximate),
    nn.LeakyReLU: lambda layer: (
        lambda g, x, y: _aten.leaky_relu_backward(g, x, layer.negative_slope, False)
    ),
    nn.ReLU: lambda layer: lambda g, x, y: _aten.threshold_backward(g, y, 0.0),
    nn.Sigmoid: lambda layer: lambda g, x, y: _aten.sigmoid_backward(g, y),
    nn.SiLU: lambda layer: lambda g, x, y: _aten.silu_backward(g, x),
    nn.Tanh: lambda layer: lambda g, x, y: _aten.tanh_backward(g, y),
}


class _Linear:
    """A linear layer; its gradients are written where the optimizer reads them."""

    def __init__(self, layer: MemberLinear) -> None:
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Any, rows: Rows) -> Tensor:
        self.x = x
        return self.evaluate(x)

    def evaluate(self, x: Any) -> Tensor:
        if isinstance(x, list):
            parts = [part @ weight.numpy() for part, weight in zip(x, self.weight, strict=True)]
            return torch.from_numpy(np.stack(parts)).add_(self.bias)
        return torch.baddbmm(self.bias, x, self.weight)

    def backward(self, grad: Tensor) -> Tensor:
        return torch.bmm(grad, self.weight.mT)

    def write_gradients(self, grad: Tensor) -> None:
        weight, bias = self.weight, self.bias
        if isinstance(self.x, list):
            parts = [part.T @ g.numpy() for part, g in zip(self.x, grad, strict=True)]
            stacked = parts[0][None] if len(parts) == 1 else np.stack(parts)
            weight.grad = torch.from_numpy(stacked)
        else:
            weight.grad = torch.bmm(self.x.mT, grad, out=weight.grad)
        bias.grad = torch.sum(grad, 1, keepdim=True, out=bias.grad)


class _Activation:
    """An activation."""

    def __init__(self, layer: nn.Module) -> None:
        self.evaluate, self.slope = layer.forward, SLOPES[type(layer)](layer)

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        self.x, self.y = x, self.evaluate(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        return self.slope(grad, self.x, self.y)


class _ReLU(_Activation):
    """ReLU of the output of a linear layer, in place: its gradient needs the output alone."""

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        self.y = torch.relu_(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        return _aten.threshold_backward.grad_input(grad, self.y, 0.0, grad_input=grad)


class _Dropout:
    """Dropout with the masks that the layer draws."""

    def __init__(self, layer: MemberDropout) -> None:
        self.layer = layer

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        self.mask = self.layer.draw_mask(x, rows)
        return x * self.mask

    def evaluate(self, x: Tensor) -> Tensor:
        return x

    def backward(self, grad: Tensor) -> Tensor:
        return grad.mul_(self.mask)


class Chain:
    """Layers in sequence: `forward` in training, `evaluate_with` in evaluation mode."""

    def __init__(self, layers: Sequence[Any]) -> None:
        # layers before the first dropout compute the same in training and in evaluation
        is_dropout = [isinstance(layer, _Dropout) for layer in layers]
        n_same = is_dropout.index(True) if any(is_dropout) else len(layers)
        self.layers, self.same, self.others = layers, layers[:n_same], layers[n_same:]

    def forward(self, x: Any, rows: Rows) -> Tensor:
        """Compute the output, and keep what the other methods need."""
        for layer in self.same:
            x = layer.forward(x, rows)
        self.known = x
        for layer in self.others:
            x = layer.forward(x, rows)
        return x

    def evaluate_with(self, rest: Any) -> Tensor:
        """Compute the output at rest: of the rows of the last :meth:`forward`, then of others."""
        x = rest
        for layer in self.same:
            x = layer.evaluate(x)
        x = torch.cat([self.known, x], 1)
        for layer in self.others:
            x = layer.evaluate(x)
        return x

    def backward(self, grad: Tensor, *, needs_input: bool = True) -> Tensor:
        """Write the gradients of all weights; return that of the input if `needs_input`."""
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if isinstance(layer, _Linear):
                layer.write_gradients(grad)
            if index or needs_input:
                grad = layer.backward(grad)
        return grad

    @property
    def takes_sparse(self) -> bool:
        """Whether only products see the input, so that its rows may stay sparse."""
        first = self.layers[0] if self.layers else None
        return isinstance(first, _Linear) and first.weight.device.type == "cpu"


def make_chain(network: nn.Module | None) -> Chain | None:
    """Return the closed form of a network, or None if a layer needs autograd."""
    if type(network) is not RowsSequential:
        return None
    layers: list[Any] = []
    for layer in network:
        if getattr(layer, "inplace", False):
            return None
        if type(layer) is MemberLinear and _has_parameters(layer):
            layers.append(_Linear(layer))
        elif type(layer) is MemberDropout:
            layers.append(_Dropout(layer))
        elif type(layer) is nn.ReLU and layers and isinstance(layers[-1], _Linear):
            layers.append(_ReLU(layer))
        elif type(layer) in SLOPES:
            layers.append(_Activation(layer))
        else:
            return None
    return Chain(layers)


def _has_parameters(layer: MemberLinear) -> bool:
    """Whether weight and bias are parameters, not tensors computed from others, and not None."""
    return isinstance(layer.weight, nn.Parameter) and isinstance(layer.bias, nn.Parameter)


def _needs_autograd(module: nn.Module) -> bool:
    """Whether hooks, shared or frozen weights, or changed layers need the path through autograd."""
    weights = [weight for _, weight in module.named_parameters(remove_duplicate=False)]
    is_shared = len(set(map(id, weights))) < len(weights)
    return (
        has_global_hooks()
        or is_shared
        or any(map(_is_special_weight, weights))
        or any(map(_is_special_part, module.modules()))
    )


def _is_special_weight(weight: Tensor) -> bool:
    """Whether a weight is frozen or has hooks."""
    hooks = weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None)
    return bool(hooks) or not weight.requires_grad


def _is_special_part(part: nn.Module) -> bool:
    """Whether a part has hooks, is in evaluation mode, or has a method replaced on the object."""
    has_hooks = bool(
        part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
    )
    is_patched = any(callable(getattr(type(part), name, None)) for name in vars(part))
    return has_hooks or is_patched or not part.training


class AnalyticGradients:
    """Outputs and gradients of one step in closed form.

    Parameters
    ----------
    module : DANNModule
        The three networks.
    extractor, predictor, classifier : Chain
        Closed forms of G_f, G_y and G_d (None without G_d).
    adversary : Adversary
        The domain part of the objective.
    label_loss : LabelLoss
        The label part of the objective.
    """

    def __init__(
        self,
        module: DANNModule,
        extractor: Chain,
        predictor: Chain,
        classifier: Chain | None,
        adversary: Adversary,
        label_loss: LabelLoss,
    ) -> None:
        self.module, self.adversary = module, adversary
        self.extractor, self.predictor, self.classifier = extractor, predictor, classifier
        self.label_loss = label_loss
        scaler = getattr(module, "standardizer", None)
        self.has_standardizer = scaler is not None and not scaler.is_identity

    @classmethod
    def of(
        cls, module: nn.Module, adversary: Adversary, label_loss: LabelLoss
    ) -> AnalyticGradients | None:
        """Return the closed form, or None if a layer has none."""
        if type(module) is not DANNModule or module.conditioning or _needs_autograd(module):
            return None
        extractor, predictor = map(make_chain, (module.feature_extractor, module.label_predictor))
        classifier = make_chain(module.domain_classifier)
        if extractor is None or predictor is None:
            return None
        if classifier is None and module.domain_classifier is not None:
            return None
        return cls(module, extractor, predictor, classifier, adversary, label_loss)

    @property
    def takes_sparse(self) -> bool:
        """Whether rows may stay sparse."""
        return self.extractor.takes_sparse and not self.has_standardizer

    @torch.no_grad()
    def write(self, batch: Batch, lambda_: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Write the gradients of an adversarial step; return the outputs of G_y and the kept."""
        features = self.extractor.forward(self._input(batch, batch.rows), batch.rows)
        logits, label_grad = self._predict(features, batch)
        grad, kept = self.adversary.write_gradients(self.classifier, features, batch, lambda_)
        grad[:, : batch.n_labelled] += label_grad
        self.extractor.backward(grad, needs_input=False)
        return logits, kept

    @torch.no_grad()
    def write_labels_only(
        self, batch: Batch, *, has_targets: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Do the same with G_f trained on the label loss alone, and G_d on its output at rest."""
        x = self._input(batch, batch.rows if has_targets else batch.labelled)
        labelled, rest = _divide(x, batch.n_labelled)
        features = self.extractor.forward(labelled, batch.labelled)
        logits, grad = self._predict(features, batch)
        kept: tuple[Tensor, ...] = ()
        if has_targets:
            features = self.extractor.evaluate_with(rest)
            kept = self.adversary.write_gradients_at_rest(self.classifier, features, batch)
        self.extractor.backward(grad, needs_input=False)
        return logits, kept

    def _predict(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs of G_y for the labelled rows, and the gradient of their features."""
        logits = self.predictor.forward(features[:, : batch.n_labelled], batch.labelled)
        grad = self.label_loss.gradient(logits, batch.y, batch.label_weight)
        return logits, self.predictor.backward(grad)

    def _input(self, batch: Batch, rows: Rows) -> Any:
        """Return the input of G_f for these first rows, with a member dimension."""
        x, n_rows = batch.x, rows.domain.shape[-1]  # type: ignore[union-attr]
        if isinstance(x, list):
            return [part[:n_rows] for part in x]
        x = x[..., :n_rows, :]
        if self.has_standardizer and not batch.is_scaled:
            x = self.module.standardizer(x, rows)
        return x.unsqueeze(0) if x.dim() == 2 else x


def _divide(x: Any, n_first: int) -> tuple[Any, Any]:
    """Return the first rows of each member, and the rows after them."""
    if isinstance(x, list):
        return [part[:n_first] for part in x], [part[n_first:] for part in x]
    return x[:, :n_first], x[:, n_first:]
