"""Base class of the estimators that train one set of networks: fitting and inference."""

from __future__ import annotations

import copy
import functools
from abc import abstractmethod
from collections.abc import Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skdann._base import BaseDomainEstimator
from skdann._compat import Interval, StrOptions, with_callbacks
from skdann._input.arguments import explain_arguments
from skdann._input.domains import DomainData, check_domains
from skdann._input.optimizers import OPTIMIZERS
from skdann._input.pooling import find_placeholders, is_pooled
from skdann._input.rows import check_rows_to_predict
from skdann._input.seeding import draw_seed
from skdann._input.surroundings import neutral_surroundings
from skdann._saving import pickled_state, restore_net
from skdann._saving.checkpoint import Checkpoint
from skdann._training.continuing import check_continued
from skdann._training.distributed import gather_rows
from skdann._training.divergence import warn_if_unlearned
from skdann._training.fitting import (
    measure_columns,
    net_callbacks,
    new_net,
    prepare,
    set_fitted,
    train,
)
from skdann._training.interrupt import end_interrupted
from skdann._training.net import DANNNet, FitData
from skdann._training.objective import ADVERSARIES
from skdann._training.params import (
    NETWORKS,
    DataShape,
    count_draws,
    network_params,
    training_params,
)
from skdann._training.progress import as_fit_rows, watch_fit
from skdann._training.recognition import measure_domains
from skdann._training.schedules import LAMBDA_SCHEDULES, LR_SCHEDULES
from skdann.nn._module import ACTIVATIONS, is_sizes


class BaseDANN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseDomainEstimator):
    """Base class of the estimators with one set of networks.

    A subclass says how labels are checked and adjusted, and what it predicts.
    """

    # X_source and y_source are positional, not metadata; target rows are requested by default.
    __metadata_request__fit: ClassVar = {
        "X_source": UNUSED,
        "y_source": UNUSED,
        "X_target": True,
        "y_target": True,
    }
    __metadata_request__partial_fit: ClassVar = {
        "X_source": UNUSED,
        "y_source": UNUSED,
        "X_target": True,
    }

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{name: [tuple, list, callable] for name in NETWORKS},
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "normalization": [None, StrOptions({"batch", "layer", "domain_batch"})],
        "standardize": [None, StrOptions({"source", "domain"})],
        "lambda_max": [Interval(Real, 0, None, closed="left")],
        "lambda_schedule": [StrOptions(set(LAMBDA_SCHEDULES)), callable],
        "domain_loss_weight": [Interval(Real, 0, None, closed="left")],
        "domain_label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "adversarial": [StrOptions(set(ADVERSARIES))],
        "domain_steps": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, 1e30, closed="right")],
        "lr_schedule": [StrOptions(set(LR_SCHEDULES)), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [None, str, PathLike],
        "callbacks": [None, list, tuple],
        "device": [str],
        "distributed": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose", None],
    }

    _label_options: ClassVar[dict[str, Any]] = {}  # how check_domains reads the labels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    # -- training -------------------------------------------------------------------------------

    @abstractmethod
    def _adjust_labels(self, data: DomainData, y: Any, seed: int, continued: str) -> DomainData:
        """Return checked rows with labels or weights as they are trained on.

        `y` are the labels as passed, `continued` how an earlier fit is continued: "", "warm_start"
        or "partial_fit".
        """

    @abstractmethod
    def _compare_labels(self, data: DomainData) -> tuple[str, Any, Any]:
        """Return what must not change when a fit is continued: its name, as fitted, as given."""

    def _fit(
        self,
        X_source: Any,
        y_source: Any,
        X_target: Any,
        *,
        y_target: Any,
        sample_weight: Any,
        sample_domain: Any,
    ) -> Any:
        """Train on checked parameters, from the start or with warm start."""
        is_continued = self.warm_start and hasattr(self, "net_")
        X_source, y_source, X_target, y_target, sample_weight, sample_domain = gather_rows(
            self,
            X_source=X_source,
            y_source=y_source,
            X_target=X_target,
            y_target=y_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
        )
        X_source, y_source, sample_weight, sample_domain = self._sample_pooled(
            X_source, y_source, sample_weight, sample_domain
        )
        X_target, y_target = self._sample_targets(X_source, X_target, y_target)
        data = check_domains(
            X_source,
            y_source,
            X_target,
            y_target=y_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
            scales_columns=self._scales_columns(),
            columns=self._columns if is_continued else None,
            estimator=type(self).__name__,
            **self._label_options,
        )
        seed = self.net_.seeds[0] if is_continued else draw_seed(self.random_state)
        data = self._adjust_labels(data, y_source, seed, "warm_start" if is_continued else "")
        fit_data = prepare(self, data, seed if self.early_stopping else None)
        if is_continued:
            net = self._continued_net(data, "warm_start=True", self.early_stopping)
            net.configure(training_params(self, n_rows=len(fit_data.train)))
            net.n_epochs_done_ = 0
        else:
            net = new_net(
                self,
                DataShape.of(data),
                (seed,),
                stops_early=self.early_stopping,
                n_rows=len(fit_data.train),
            )
            measure_columns(net, fit_data)
        rows = as_fit_rows(X_source, y_source, sample_weight, sample_domain)
        known: dict[str, Any] = {
            "_is_pooled": is_pooled(sample_domain),
            "_placeholders": find_placeholders(y_source, sample_domain, data.classes),
            "_domain_statistics": (
                self._domain_statistics if is_continued else measure_domains(data, [self])
            ),
        }
        self._check_placeholders(known["_placeholders"], data)
        self._train_watched(net, fit_data, net.max_epochs, known, rows, self._checkpoint())
        if not net.is_interrupted_:
            warn_if_unlearned(
                self.history_,
                data,
                fit_data.class_weight,
                scales_columns=self._scales_columns(),
                label_loss=None if data.has_classes else net.label_loss,
            )
        return self

    def _check_placeholders(self, placeholders: Sequence[Any], data: DomainData) -> None:
        """Warn if labels that only mark unlabelled rows may do harm; by default they do none."""
        return

    def _partial_fit(
        self,
        X_source: Any,
        y_source: Any,
        X_target: Any,
        *,
        sample_weight: Any,
        sample_domain: Any,
        **options: Any,
    ) -> Any:
        """Train one epoch on a chunk; further `options` are those of the labels."""
        is_first = not hasattr(self, "net_")
        X_source, y_source, X_target, sample_weight, sample_domain = gather_rows(
            self,
            X_source=X_source,
            y_source=y_source,
            X_target=X_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
        )
        data = check_domains(
            X_source,
            y_source,
            X_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
            domains=None if is_first else self.domains_,
            least_target=2 if is_first else 1,
            scales_columns=not is_first or self._scales_columns(),
            columns=None if is_first else self._columns,
            is_chunk=True,
            estimator=type(self).__name__,
            **self._label_options,
            **options,
        )
        seed = draw_seed(self.random_state) if is_first else self.net_.seeds[0]
        data = self._adjust_labels(data, y_source, seed, "" if is_first else "partial_fit")
        fit_data = prepare(self, data)
        if is_first:
            net = new_net(self, DataShape.of(data), (seed,))
            measure_columns(net, fit_data)
        else:
            net = self._continued_net(data, "partial_fit", stops_early=False)
        placeholders = set(find_placeholders(y_source, sample_domain, data.classes))
        known = {
            "_is_pooled": self._is_pooled or is_pooled(sample_domain),
            "_placeholders": sorted(placeholders.union(self._placeholders), key=str),
            "_domain_statistics": (
                measure_domains(data, [self]) if is_first else self._domain_statistics
            ),
        }
        return self._train_watched(net, fit_data, 1, known)

    @explain_arguments
    def fit_transform(
        self,
        X,
        y=None,
        X_target=None,
        *,
        y_target=None,
        sample_weight=None,
        sample_domain=None,
    ):
        """Fit as in :meth:`fit`, then return the features of the rows of `X`.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain, the `X_source` of :meth:`fit`.
        y : array-like of shape (n_samples,)
            Labels of the source rows, the `y_source` of :meth:`fit`.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Rows of the target domain.
        y_target : array-like of shape (n_target,), tuple of these, or None, default=None
            Labels of some of them, as in :meth:`fit`.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            Features of `X`, treated as the source rows that they are, or as `sample_domain` names
            them. For target rows call :meth:`transform`.
        """
        weights = {"sample_weight": sample_weight, "sample_domain": sample_domain}
        self.fit(X, y, X_target, y_target=y_target, **weights)
        if sample_domain is None:
            sample_domain = self.domains_[0]
        return self.transform(X, sample_domain=sample_domain)

    def _continued_net(self, data: DomainData, what: str, stops_early: bool) -> DANNNet:
        """Return a copy of the fitted net to continue with, after checking the data against it."""
        names = getattr(self, "feature_names_in_", None)
        other_names = getattr(self, "_other_names", None)
        for kind, expected, given in (
            ("features", self.n_features_in_, data.n_raw),
            ("feature names", None if names is None else names.tolist(), _as_list(data)),
            ("column names", other_names, data.other_names),
            self._compare_labels(data),
            ("domains", self.domains_.tolist(), data.domains.tolist()),
        ):
            is_unnamed = kind.endswith("names") and (expected is None or given is None)
            if expected != given and not is_unnamed:
                raise ValueError(
                    f"X has {given} {kind}, but {type(self).__name__} is expecting {expected} "
                    f"{kind} as input, because {what} continues an earlier fit; pass the same "
                    f"{kind} in the same order, or fit a new estimator."
                )
        check_continued(self, self.net_, what)
        net = copy.deepcopy(self.net_)
        net.networks = network_params(self)
        net.configure(training_params(self))
        net.callbacks, net.verbose = net_callbacks(self, stops_early), int(self.verbose or 0)
        for group in net.optimizer_.param_groups:
            group["lr"] = self.lr
        net._initialize_callbacks()
        return net

    def _scales_columns(self) -> bool:
        """Whether columns are scaled by `standardize`, or possibly by a custom module."""
        return self.standardize is not None or not is_sizes(self.feature_extractor)

    @with_callbacks
    def _train_watched(
        self,
        net: DANNNet,
        fit_data: FitData,
        n_epochs: int,
        known: dict[str, Any],
        rows: dict[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
    ):
        """Train the net with a progress bar and, if `rows` are given, scikit-learn's callbacks.

        Fitted attributes are set only if training succeeds, with those that are `known` before it.
        """
        snapshot = functools.partial(self._fitted_so_far, fit_data.data, known)
        with watch_fit(
            self, n_epochs, verbose=self.verbose, rows=rows, snapshot=snapshot
        ) as listeners:
            n_before = len(net.history)
            train(net, fit_data, n_epochs, listeners, checkpoint)
            if net.is_interrupted_:
                n_whole = 0 if self.distributed else len(net.history) - n_before
                end_interrupted(self, n_whole, n_epochs)
            vars(set_fitted(self, net, fit_data.data)).update(known)
            if checkpoint and not net.is_interrupted_:
                checkpoint.remove()
            return self

    def _checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of `fit`, or None without the `checkpoint` parameter."""
        if self.checkpoint is None:
            return None
        return Checkpoint(self.checkpoint, self.get_params(deep=False))

    def _fitted_so_far(
        self, data: DomainData, known: dict[str, Any], net: DANNNet
    ) -> dict[str, Any]:
        """Return the attributes of this estimator as if training had ended now."""
        left_out = {id(net.callbacks_): [], id(net.known_rows): (None, None)}
        copied = copy.deepcopy(net, {**left_out, id(net.callbacks): net.callbacks})
        return {**vars(set_fitted(copy.copy(self), copied, data)), **known}

    # -- inference ------------------------------------------------------------------------------

    def _infer(self, X: Any, sample_domain: Any, what: str) -> np.ndarray:
        """Return features, outputs of G_y or domain logits, after checks."""
        rows, domain = self._read(X, sample_domain)
        return self.net_.infer_rows(rows, domain, what)

    def _read(self, X: Any, sample_domain: Any) -> tuple[Any, np.ndarray | None]:
        """Return checked rows and the index of the domain of each; None means target."""
        check_is_fitted(self)
        X = check_rows_to_predict(self, X)
        return X, self._domain_index(self._resolve_domain(X, sample_domain), X.shape[0])

    @neutral_surroundings()
    def transform(self, X, *, sample_domain=None):
        """Return the domain-invariant features, the output of the feature extractor.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain, or of any domain if its rows are not treated separately; see
            `sample_domain`.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            Features.
        """
        return self._infer(X, sample_domain, "features")

    @neutral_surroundings()
    def predict_domain_proba(self, X, *, sample_domain=None):
        """Predict the probability of each domain from the features.

        After successful adaptation the domain classifier cannot tell the domains apart.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of any domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_domains)
            Probabilities, in the order of `domains_`. All domains have equal prior weight,
            whatever their number of rows.

        Raises
        ------
        ValueError
            If the estimator was fitted without a domain classifier.
        """
        check_is_fitted(self)
        if self.module_.domain_classifier is None:
            remedy = (
                f"adversarial={self.adversarial!r} trains none; fit with adversarial='grl'."
                if self.net_.n_targets
                else "the estimator was fitted on the source alone; pass X_target to fit."
            )
            raise ValueError(f"There is no domain classifier: {remedy}")
        logits = self._infer(X, sample_domain, "domains").astype(np.float64)
        if logits.shape[1] == 1:
            is_target = expit(logits)
            return np.hstack([1.0 - is_target, is_target])
        return softmax(logits, axis=1)

    def _count_draws(self, n_rows: int) -> int:
        return count_draws(self, n_rows)

    def _diagnosed(self) -> tuple[Any, dict[str, Any]]:
        return self, {}

    # -- saving ---------------------------------------------------------------------------------

    def __getstate__(self):
        return pickled_state(self, super().__getstate__())

    @neutral_surroundings()
    def __setstate__(self, state):
        state = dict(state)
        content = state.pop("net_") if isinstance(state.get("net_"), bytes) else None
        super().__setstate__(state)
        if content is not None:
            restore_net(self, content)


def _as_list(data: DomainData) -> list[str] | None:
    return None if data.feature_names is None else data.feature_names.tolist()
