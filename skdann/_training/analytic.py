r"""Losses and gradients of the plain networks, written out.

For layers :math:`z = x W + b` the chain rule is short: with :math:`g = \partial L / \partial z`,

.. math:: \partial L / \partial W = x^\top g, \quad \partial L / \partial b = \sum g, \quad
    \partial L / \partial x = g W^\top ,

and for cross-entropies over logits g is the predicted minus the wanted probabilities, times the
rows' weights. In small networks autograd's bookkeeping costs as much as these products; here they
are all there is. Everything else, from normalisation to modules of the user's own, goes through
autograd in `_steps`, with which this agrees to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skdann._training.batches import Batch
from skdann._training.losses import domain_gradient, label_gradient
from skdann.nn import DANNModule, MemberDropout, MemberLinear, Rows, RowsSequential

_aten = torch.ops.aten

# gradient of an activation from that of its output: (gradient, input, output)
SLOPES: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    nn.ELU: lambda g, x, y: _aten.elu_backward(g, 1.0, 1.0, 1.0, False, x),
    nn.GELU: lambda g, x, y: _aten.gelu_backward(g, x),
    nn.LeakyReLU: lambda g, x, y: _aten.leaky_relu_backward(g, x, 0.01, False),
    nn.ReLU: lambda g, x, y: _aten.threshold_backward(g, y, 0.0),
    nn.Sigmoid: lambda g, x, y: _aten.sigmoid_backward(g, y),
    nn.SiLU: lambda g, x, y: _aten.silu_backward(g, x),
    nn.Tanh: lambda g, x, y: _aten.tanh_backward(g, y),
}


class _Linear:
    """A linear layer; its gradients are written where the optimiser looks for them."""

    def __init__(self, layer: MemberLinear) -> None:
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Any, rows: Rows) -> Tensor:
        self.x = x
        return self.rest(x)

    def rest(self, x: Any) -> Tensor:
        if isinstance(x, list):
            own = [part @ weight.numpy() for part, weight in zip(x, self.weight, strict=True)]
            return torch.from_numpy(np.stack(own)).add_(self.bias)
        return torch.baddbmm(self.bias, x, self.weight)

    def backward(self, grad: Tensor) -> Tensor:
        return torch.bmm(grad, self.weight.mT)

    def write_gradients(self, grad: Tensor) -> None:
        weight, bias = self.weight, self.bias
        if isinstance(self.x, list):
            own = [part.T @ g.numpy() for part, g in zip(self.x, grad, strict=True)]
            weight.grad = torch.from_numpy(own[0][None] if len(own) == 1 else np.stack(own))
        else:
            weight.grad = torch.bmm(self.x.mT, grad, out=weight.grad)
        bias.grad = torch.sum(grad, 1, keepdim=True, out=bias.grad)


class _Activation:
    """An activation."""

    def __init__(self, layer: nn.Module) -> None:
        self.rest, self.slope = layer.forward, SLOPES[type(layer)]

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        self.x, self.y = x, self.rest(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        return self.slope(grad, self.x, self.y)


class _ReLU(_Activation):
    """ReLU of what a linear layer made, in place: its gradient needs the output alone."""

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        self.y = torch.relu_(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        return _aten.threshold_backward.grad_input(grad, self.y, 0.0, grad_input=grad)


class _Dropout:
    """Dropout, by the masks of the layer itself."""

    def __init__(self, layer: MemberDropout) -> None:
        self.layer = layer

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        self.mask = self.layer.draw_mask(x, rows)
        return x * self.mask

    def rest(self, x: Tensor) -> Tensor:
        return x

    def backward(self, grad: Tensor) -> Tensor:
        return grad.mul_(self.mask)


class _Chain:
    """Layers in a row: forward keeps what backward needs, rest is what they say untrained."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = layers

    def forward(self, x: Any, rows: Rows) -> Tensor:
        for layer in self.layers:
            x = layer.forward(x, rows)
        return x

    def rest(self, x: Any) -> Tensor:
        for layer in self.layers:
            x = layer.rest(x)
        return x

    def backward(self, grad: Tensor, *, needs_input: bool = True) -> Tensor:
        """Write the gradients of all weights; return that of the input where it is wanted."""
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if isinstance(layer, _Linear):
                layer.write_gradients(grad)
            if index or needs_input:
                grad = layer.backward(grad)
        return grad


def _chain_of(network: nn.Module | None) -> _Chain | None:
    """Return the rules for a network's layers, or None if autograd must see to one of them."""
    if type(network) is not RowsSequential:
        return None
    layers: list[Any] = []
    for layer in network:
        if type(layer) is MemberLinear:
            layers.append(_Linear(layer))
        elif type(layer) is MemberDropout:
            layers.append(_Dropout(layer))
        elif type(layer) is nn.ReLU and layers and isinstance(layers[-1], _Linear):
            layers.append(_ReLU(layer))
        elif type(layer) in SLOPES:
            layers.append(_Activation(layer))
        else:
            return None
    return _Chain(layers)


def _is_watched(module: nn.Module) -> bool:
    """Whether hooks or frozen weights, of callbacks for example, need autograd's path."""
    for part in module.modules():
        if (
            part._forward_hooks
            or part._forward_pre_hooks
            or part._backward_hooks
            or part._backward_pre_hooks
        ):
            return True
        for weight in part._parameters.values():
            if weight is not None and (weight._backward_hooks or not weight.requires_grad):
                return True
    return False


class ByHand:
    """Outputs and gradients of one module.

    Parameters
    ----------
    extractor, predictor, classifier : _Chain
        Rules for the layers of G_f, G_y and G_d (empty where there is no G_d).
    module : DANNModule
        For its standardizer.
    label_smoothing, domain_label_smoothing, domain_loss_weight : float
        As in :class:`skdann.DANNClassifier`.
    """

    def __init__(
        self,
        extractor: _Chain,
        predictor: _Chain,
        classifier: _Chain | None,
        module: DANNModule,
        *,
        label_smoothing: float,
        domain_label_smoothing: float,
        domain_loss_weight: float,
    ) -> None:
        self.extractor, self.predictor, self.classifier = extractor, predictor, classifier
        self.module = module
        self.label_smoothing = label_smoothing
        self.domain_label_smoothing = domain_label_smoothing
        self.domain_loss_weight = domain_loss_weight

    @classmethod
    def of(cls, module: nn.Module, **weights: float) -> ByHand | None:
        """Return the rules for `module`, or None if there is a layer without one."""
        if type(module) is not DANNModule or module.conditioning or _is_watched(module):
            return None
        extractor, predictor = map(_chain_of, (module.feature_extractor, module.label_predictor))
        classifier = _chain_of(module.domain_classifier)
        if extractor is None or predictor is None:
            return None
        if classifier is None and module.domain_classifier is not None:
            return None
        return cls(extractor, predictor, classifier, module, **weights)

    @property
    def takes_sparse(self) -> bool:
        """Whether rows may stay sparse: nothing but the first layer's products sees them."""
        layers = self.extractor.layers
        is_plain = bool(layers) and not hasattr(self.module, "standardizer")
        return is_plain and layers[0].weight.device.type == "cpu"

    @torch.no_grad()
    def write_gradients(
        self, batch: Batch, lambda_: float | Tensor, *, is_adversarial: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Write the gradients of one batch; return the logits of classes and of domains.

        Without adversary G_f sees the source rows alone, and G_d, where there is one, what G_f says
        at rest.
        """
        rows, source = batch.rows, batch.rows.of_source()
        if is_adversarial:
            features = self.extractor.forward(self._input(batch.x, rows), rows)
        else:
            features = self.extractor.forward(self._input(batch.x, source), source)
        logits = self.predictor.forward(features[:, : rows.n_source], source)
        grad = self.predictor.backward(
            label_gradient(logits, batch.y, batch.label_weight, self.label_smoothing)
        )
        domain_logits = None
        if self.classifier is not None:
            if not is_adversarial:
                features = self.extractor.rest(self._input(batch.x, rows))
            domain_logits = self.classifier.forward(features, rows)
            adversary = self._backward_domains(domain_logits, batch, needs_input=is_adversarial)
            if is_adversarial:
                adversary.mul_(-lambda_)[:, : rows.n_source] += grad
                grad = adversary
        self.extractor.backward(grad, needs_input=False)
        return logits, domain_logits

    def _backward_domains(self, logits: Tensor, batch: Batch, *, needs_input: bool) -> Tensor:
        """Write the gradients of G_d; return that of its input."""
        domain, weight = batch.rows.domain, batch.domain_weight
        grad = domain_gradient(logits, domain, weight, self.domain_label_smoothing)  # type: ignore[arg-type]
        if self.domain_loss_weight != 1.0:
            grad *= self.domain_loss_weight
        return self.classifier.backward(grad, needs_input=needs_input)  # type: ignore[union-attr]

    def _input(self, x: Any, rows: Rows) -> Any:
        """Return what G_f sees of these rows, with a member dimension."""
        n_rows = rows.domain.shape[-1]  # type: ignore[union-attr]
        if isinstance(x, list):
            return [own[:n_rows] for own in x]
        x = x[..., :n_rows, :]
        if hasattr(self.module, "standardizer"):
            x = self.module.standardizer(x, rows)
        return x.unsqueeze(0) if x.dim() == 2 else x
