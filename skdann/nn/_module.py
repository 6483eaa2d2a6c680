"""The three networks of domain-adversarial training, built from sizes or custom modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from skdann.nn._custom import build_custom
from skdann.nn._members import (
    MemberDropout,
    MemberLinear,
    Rows,
    RowsSequential,
)
from skdann.nn._norms import MemberBatchNorm, MemberLayerNorm
from skdann.nn._standardizer import DomainStandardizer

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}

NetworkSpec = Sequence[int] | nn.Module | Callable[..., nn.Module]


class DANNModule(nn.Module):
    """The three networks of domain-adversarial training.

    Parameters
    ----------
    feature_extractor, label_predictor : torch.nn.Module
        G_f and G_y.
    domain_classifier : torch.nn.Module or None
        G_d; None without target rows, or if the adversary has none.
    conditioning : None or "cdan", default=None
        Input of G_d: the features, or their outer product with the class probabilities (Long et
        al., 2018).
    standardizer : DomainStandardizer or None, default=None
        Scaling of the columns before G_f.

    Notes
    -----
    Shape: input ``(n_rows, n_features)``; :meth:`forward` returns the outputs of G_y,
    ``(n_rows, n_outputs)``: one logit per class, or the numbers of a regression.

    References
    ----------
    Ganin et al., JMLR 17(59), 2016; Long et al., "Conditional Adversarial Domain Adaptation",
    NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn import DANNModule
    >>> networks = DANNModule(torch.nn.Linear(3, 8), torch.nn.Linear(8, 2), torch.nn.Linear(8, 1))
    >>> networks(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    n_features_out: int  # width of the features, known where the networks were built

    def __init__(
        self,
        feature_extractor: nn.Module,
        label_predictor: nn.Module,
        domain_classifier: nn.Module | None,
        *,
        conditioning: str | None = None,
        standardizer: DomainStandardizer | None = None,
    ) -> None:
        super().__init__()
        if standardizer is not None:
            self.standardizer = standardizer
        self.feature_extractor = feature_extractor
        self.label_predictor = label_predictor
        self.domain_classifier = domain_classifier
        self.conditioning = conditioning

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Return the outputs of G_y for `x`."""
        return self.predict_labels(self.extract_features(x, rows), rows)

    def extract_features(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Return the features of rows, the output of G_f.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features) or (n_members, n_rows, n_features)
            Input rows.
        rows : Rows or None, default=None
            Number of source rows, and domains of all rows.

        Returns
        -------
        Tensor of shape (..., n_rows, n_features_out)
            Features.
        """
        if hasattr(self, "standardizer"):
            x = self.standardizer(x, rows)
        return _call(self.feature_extractor, x, rows)

    def predict_labels(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """Return the output of G_y for features: class logits, or numbers.

        Parameters
        ----------
        features : Tensor of shape (..., n_rows, n_features_out)
            Features.
        rows : Rows or None, default=None
            Number of source rows, and domains of all rows.

        Returns
        -------
        Tensor of shape (..., n_rows, n_outputs)
            Class logits, or numbers.
        """
        return _call(self.label_predictor, features, rows)

    def condition(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """Return the input of G_d; the class probabilities in it are detached.

        Parameters
        ----------
        features : Tensor of shape (..., n_rows, n_features_out)
            Features.
        rows : Rows or None, default=None
            Number of source rows, and domains of all rows.

        Returns
        -------
        Tensor of shape (..., n_rows, n_conditioned)
            Features, or with "cdan" their outer product with the class probabilities.
        """
        if self.conditioning is None:
            return features
        # DEVIATION: in Long et al., the gradient also flows into the probabilities. Their published
        # code detaches them, and so do we: G_y is then updated by the label loss alone.
        logits = self.predict_labels(features.clone(), rows)  # G_y may work in place
        probabilities = logits.detach().softmax(-1)
        return (features.unsqueeze(-1) * probabilities.unsqueeze(-2)).flatten(-2)

    def classify_domains(self, conditioned: Tensor, rows: Rows | None = None) -> Tensor:
        """Return domain logits: one for two domains (positive: target), else one per domain.

        Parameters
        ----------
        conditioned : Tensor of shape (..., n_rows, n_conditioned)
            Output of :meth:`condition`.
        rows : Rows or None, default=None
            Number of source rows, and domains of all rows.

        Returns
        -------
        Tensor of shape (..., n_rows, 1) or (..., n_rows, n_domains)
            Domain logits.

        Raises
        ------
        ValueError
            If there is no domain classifier.
        """
        if self.domain_classifier is None:
            raise ValueError(
                "These networks have no domain classifier, because they were built for one domain "
                "or for an adversary without one; fit with target rows and adversarial='grl'."
            )
        return _call(self.domain_classifier, conditioned, rows)

    def _keep_member(self, index: int, drawn_from: Mapping[int, torch.Generator]) -> None:
        """Remove the standardizer, that of one member by now, if it has no scaling."""
        if hasattr(self, "standardizer") and self.standardizer.standardize == [None]:
            del self.standardizer

    def extra_repr(self) -> str:
        """Show the conditioning, if any."""
        return f"conditioning={self.conditioning!r}" if self.conditioning else ""


def _call(network: nn.Module, x: Tensor, rows: Rows | None) -> Tensor:
    return network(x, rows) if getattr(network, "needs_rows", False) else network(x)


class _LayerFactory(NamedTuple):
    """Builds the layers of networks given by sizes."""

    generators: Sequence[dict[str, torch.Generator]]
    activation: str
    dropout: float
    n_domains: int
    n_targets: int

    def mlp(
        self,
        name: str,
        n_in: int,
        sizes: Sequence[int],
        n_out: int | None,
        normalization: str | None,
    ) -> nn.Module:
        """Build hidden layers of these sizes and, given `n_out`, a linear output layer."""
        layers: list[nn.Module] = []
        for size in sizes:
            layers.append(self._linear(name, n_in, size))
            layers += self._normalization(size, normalization)
            layers.append(ACTIVATIONS[self.activation]())
            layers += self._dropout(name)
            n_in = size
        if n_out is not None:
            layers.append(self._linear(name, n_in, n_out))
        return RowsSequential(*layers)

    def _stream(self, name: str) -> list[torch.Generator]:
        return [member[name] for member in self.generators]

    def _linear(self, name: str, n_in: int, n_out: int) -> nn.Module:
        return MemberLinear(n_in, n_out, len(self.generators), generators=self._stream(name))

    def _normalization(self, size: int, kind: str | None) -> list[nn.Module]:
        n_members = len(self.generators)
        if kind is None:
            return []
        if kind == "layer":
            return [MemberLayerNorm(size, n_members)]
        if kind == "batch":
            return [MemberBatchNorm(size, n_members)]
        domains = {"n_domains": self.n_domains, "n_targets": self.n_targets}
        return [MemberBatchNorm(size, n_members, **domains)]

    def _dropout(self, name: str) -> list[nn.Module]:
        """Build dropout; G_d has a separate generator, so other masks do not depend on it."""
        if not self.dropout:
            return []
        sides = ("source_dropout", "target_dropout")
        if name == "domain_classifier":
            sides = ("domain_dropout", "domain_dropout")
        return [MemberDropout(self.dropout, *map(self._stream, sides))]


def is_sizes(spec: object) -> TypeGuard[Sequence[int]]:
    """Whether a network is given by hidden layer sizes rather than by a module."""
    return isinstance(spec, tuple | list)


def build_dann_module(
    *,
    feature_extractor: NetworkSpec,
    label_predictor: NetworkSpec,
    domain_classifier: NetworkSpec,
    n_features: int,
    n_outputs: int,
    n_domains: int,
    n_targets: int,
    generators: Sequence[dict[str, torch.Generator]],
    has_domain_classifier: bool = True,
    activation: str = "relu",
    dropout: float = 0.0,
    normalization: str | None = None,
    conditioning: str | None = None,
    standardize: Sequence[str | None] = (None,),
) -> DANNModule:
    """Build the three networks from sizes or custom modules.

    Parameters
    ----------
    feature_extractor, label_predictor, domain_classifier : sizes, module, class or factory
        As in :class:`skdann.DANNClassifier`.
    n_features, n_outputs, n_domains, n_targets : int
        Numbers of columns, outputs of G_y, domains, and targets among the domains.
    generators : sequence of dict
        Generators of each member, by the names in `skdann._training.randomness.STREAMS`.
    has_domain_classifier : bool, default=True
        Whether the adversary trains a domain classifier.
    activation, dropout, normalization, conditioning
        As in :class:`skdann.DANNClassifier`.
    standardize : sequence of {None, "source", "domain"}, default=(None,)
        Scaling of each member, as in :class:`skdann.DANNClassifier`.

    Returns
    -------
    DANNModule
        The networks; G_d is None if `n_targets` is 0 or the adversary has none.

    Raises
    ------
    ValueError
        If a custom module cannot be built, fails on its input, or has an output of wrong width.
    """
    factory = _LayerFactory(generators, activation, dropout, n_domains, n_targets)

    def network(
        name: str, spec: NetworkSpec, n_in: int, allowed: tuple[int, ...] | None, norm: str | None
    ) -> tuple[nn.Module, int]:
        n_out = None if allowed is None else allowed[0]
        if is_sizes(spec):
            return factory.mlp(name, n_in, spec, n_out, norm), n_out or [n_in, *spec][-1]
        widths = (n_in,) if n_out is None else (n_in, n_out)
        return build_custom(spec, name, widths, allowed)

    extractor, width = network(
        "feature_extractor", feature_extractor, n_features, None, normalization
    )
    predictor, _ = network("label_predictor", label_predictor, width, (n_outputs,), normalization)
    classifier = None
    if n_targets and has_domain_classifier:
        n_conditioned = width * n_outputs if conditioning == "cdan" else width
        allowed = (1, 2) if n_domains == 2 else (n_domains,)
        # separate statistics would hide from G_d the difference that it has to find
        norm = None if normalization == "domain_batch" else normalization
        classifier, _ = network(
            "domain_classifier", domain_classifier, n_conditioned, allowed, norm
        )
    standardizer = None
    if any(standardize):
        standardizer = DomainStandardizer(standardize, n_features, n_domains, n_targets)
    module = DANNModule(
        extractor, predictor, classifier, conditioning=conditioning, standardizer=standardizer
    )
    module.n_features_out = width
    return module
