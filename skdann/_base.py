"""Base class of the estimators: prediction, scoring, diagnosis, saving and export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from skdann._compat import CallbackSupportMixin, safe_indexing
from skdann._input.callers import is_validating, scored_labels
from skdann._input.column_table import ColumnTable
from skdann._input.columns import NumericColumns, TableColumns, read_description
from skdann._input.containers import unwrap
from skdann._input.labels import plain_labels
from skdann._input.large_targets import sample_pooled, sample_targets
from skdann._input.pooling import mark_unlabelled
from skdann._input.row_domains import check_domain_vector
from skdann._input.rows import check_rows_to_predict
from skdann._input.surroundings import neutral_surroundings
from skdann._saving import load, save
from skdann._saving.onnx import save_onnx
from skdann._training.recognition import DomainStatistics
from skdann.inspection._diagnosis import diagnose
from skdann.inspection._report import Diagnosis


class _ScoredRows(NamedTuple):
    """Rows to score, with their domains and weights."""

    X: Any
    sample_domain: Any
    weight: np.ndarray | None


class BaseDomainEstimator(CallbackSupportMixin, BaseEstimator):
    """Base class of all domain-adaptive estimators."""

    # requested by default, so that a search with routing scores pooled rows correctly
    __metadata_request__score: ClassVar = {"sample_domain": True}

    _domain_statistics: tuple[np.ndarray, np.ndarray] | None = None  # distinguishes domains
    _is_pooled: bool = False  # whether rows that were passed to fit as X_source are target rows
    _placeholders: Sequence[Any] = ()  # labels that only mark unlabelled rows
    _columns: TableColumns | None = None  # encoding of the columns

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    @property
    def columns_(self) -> ColumnTable:
        """Table of the columns: name, kind, how it is encoded, and in how many columns."""
        check_is_fitted(self)
        columns = self._columns or NumericColumns(None, self.n_features_in_)
        return ColumnTable(columns.table(self._raw_names()))

    def _raw_names(self) -> Any:
        """Return the column names of the fit, or None."""
        return getattr(self, "feature_names_in_", getattr(self, "_other_names", None))

    def __getstate__(self):
        state = dict(super().__getstate__())
        if state.get("_columns") is not None:  # as plain values, which skops reads
            state["_columns"] = state["_columns"].describe()
        return state

    def __setstate__(self, state):
        if isinstance(state.get("_columns"), dict):
            names = state.get("feature_names_in_", state.get("_other_names"))
            names = None if names is None else list(names)
            entry = read_description(state["_columns"], state["n_features_in_"], names)
            state = {**state, "_columns": entry}
        super().__setstate__(state)

    def _resolve_domain(self, X: Any, sample_domain: Any) -> Any:
        """Return the domain of checked rows; None means target.

        Rows without a domain that a scorer, a cross-validation or a meta-estimator passes are
        assigned to the domain that they resemble, because they may be held-out source rows.
        """
        self._check_scored_labels()
        if sample_domain is not None or self._domain_statistics is None:
            return sample_domain
        if is_validating(self):
            return self._recognize(X, is_mixture=self._is_pooled)
        DomainStatistics(*self._domain_statistics).warn_if_source(X)
        return None

    def _domain_index(self, sample_domain: Any, n_rows: int) -> np.ndarray | None:
        """Return the index of the domain of each row; None means target."""
        if sample_domain is None:
            return None
        if np.ndim(sample_domain) == 0:
            sample_domain = np.full(n_rows, sample_domain)
        domain = check_domain_vector(sample_domain, n_rows, "X")
        unknown = np.setdiff1d(domain, self.domains_)
        if len(unknown):
            raise ValueError(
                f"sample_domain contains {unknown.tolist()}, but the estimator was fitted on the "
                f"domains {self.domains_.tolist()}; omit sample_domain for target rows."
            )
        order = np.argsort(self.domains_)
        return order[np.searchsorted(self.domains_, domain, sorter=order)]

    def _check_scored_labels(self) -> None:
        """Raise if a scorer would count unlabelled rows as errors."""
        if not self._placeholders:
            return
        label = scored_labels()
        if label is not None and mark_unlabelled(label, self._placeholders).any():
            raise ValueError(
                f"y holds labels that mark unlabelled rows ({self._placeholders}), which a scorer "
                "of scikit-learn counts as errors; score by the method score "
                "(scoring=None), which ignores these rows, or pass labelled rows."
            )

    @abstractmethod
    def _count_draws(self, n_rows: int) -> int:
        """Return the maximum number of target rows that `fit` draws, given that of source rows."""

    def _sample_targets(self, X_source: Any, X_target: Any, y_target: Any) -> tuple[Any, Any]:
        """Return target rows and labels, sampled if `fit` cannot draw most of them."""
        return sample_targets(X_source, X_target, y_target, self._count_draws, self.random_state)

    def _sample_pooled(
        self, X_source: Any, y_source: Any, sample_weight: Any, sample_domain: Any
    ) -> tuple[Any, ...]:
        """Return rows, labels, weights and domains, with targets among the rows sampled alike."""
        rows = (X_source, y_source, sample_weight, sample_domain)
        return sample_pooled(*rows, self._count_draws, self.random_state)

    @abstractmethod
    def _diagnosed(self) -> tuple[Any, dict[str, Any]]:
        """Return the estimator to diagnose, and further fields of the report."""

    def _rows_to_score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        sample_domain: Any,
        is_labelled: np.ndarray | None,
    ) -> _ScoredRows:
        """Return the labelled rows, their domains and weights; None counts all as labelled."""
        if np.ndim(sample_domain):
            check_consistent_length(y, sample_domain)
        if is_labelled is not None:
            check_consistent_length(X, y, sample_weight)
            X = safe_indexing(X, np.flatnonzero(is_labelled))
        if sample_domain is None:
            if self._domain_statistics is not None:
                # placeholders mark all target rows of a mixture
                is_mixture = self._is_pooled and not self._placeholders
                sample_domain = self._recognize(check_rows_to_predict(self, X), is_mixture)
        else:
            sample_domain = self._as_known_domain(sample_domain, is_labelled)
        weight = sample_weight
        if weight is not None:
            weight = np.asarray(unwrap(weight, "sample_weight"))
            weight = weight if is_labelled is None else weight[is_labelled]
        return _ScoredRows(X, sample_domain, weight)

    def _find_labelled(self, y: Any) -> np.ndarray | None:
        """Return which rows have a label that does not mark unlabelled rows; None for all."""
        if not self._placeholders:
            return None
        is_labelled = ~mark_unlabelled(y, self._placeholders)
        if not is_labelled.any():
            raise ValueError(
                f"y has only labels that mark unlabelled rows ({self._placeholders}), so there is "
                "nothing to score; pass labelled rows."
            )
        return None if is_labelled.all() else is_labelled

    def _as_known_domain(self, sample_domain: Any, is_kept: np.ndarray | None) -> Any:
        """Return the domains of rows to score; other sources count as known where it is the same.

        A cross-validation may hold out a whole source domain.
        """
        if np.ndim(sample_domain):
            sample_domain = np.asarray(unwrap(sample_domain, "sample_domain"))
            sample_domain = sample_domain if is_kept is None else sample_domain[is_kept]
            sample_domain = check_domain_vector(sample_domain, len(sample_domain), "X")
        else:
            sample_domain = check_domain_vector([sample_domain], 1, "X")[0]
        if self._domain_statistics is not None:
            return sample_domain
        return np.where(np.asarray(sample_domain) < 0, self.domains_[-1], self.domains_[0])

    def _recognize(self, X: Any, is_mixture: bool) -> Any:
        """Return the domain of checked rows by resemblance, or of each row; None means target."""
        moments: Any = self._domain_statistics
        statistics = DomainStatistics(*moments)
        is_source = statistics.find_source(X) if is_mixture else statistics.is_source(X)
        if not np.any(is_source):
            return None
        sources, targets = (self.domains_[side] for side in (self.domains_ >= 0, self.domains_ < 0))
        n_needed = len(sources) if np.all(is_source) else max(len(sources), len(targets))
        if n_needed > 1:
            raise ValueError(
                "X looks like source rows, but the estimator treats the rows of its "
                f"{len(sources)} source domains, {sources.tolist()}, and {len(targets)} targets "
                "separately; pass sample_domain to score. In a cross-validation, enable metadata "
                "routing, call set_fit_request(sample_domain=True), and keep the default scoring."
            )
        return sources[0] if np.all(is_source) else np.where(is_source, sources[0], targets[0])

    @neutral_surroundings()
    def diagnose(self, X_source, X_target, *, y_source=None) -> Diagnosis:
        """Report whether adaptation is likely to help, without target labels.

        The report has the domain AUC of the columns and of the features, the columns that shift
        most, the class shares, the effective sample size of the importance weights, how training
        ended, how many predictions adaptation changed and the accuracy to expect on the target
        (both of :class:`skdann.DANNClassifierCV`), and a verdict with a next step. It uses at most
        2,000 rows of each domain, drawn by `random_state`.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Source rows, as passed to :meth:`predict`: after the pipeline's transformers. They are
            treated as rows of the first source domain.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Unlabelled target rows, in the order of the fit; several targets are judged as one.
        y_source : array-like of shape (n_source,) or None, default=None
            Labels of the source rows, for the estimate of the target's class shares. None uses the
            predicted labels instead, which is less accurate. A regressor, whose report has no class
            shares, does not use it.

        Returns
        -------
        Diagnosis
            Prints as a report; its attributes hold the figures, `findings` the sentences.

        Raises
        ------
        ValueError
            If rows, columns or labels do not match the fit.

        Notes
        -----
        The target's class shares are estimated by black-box shift estimation
        (:func:`skdann.metrics.estimate_target_priors`) with a linear classifier out of fold, not
        with this network, whose predictions adversarial training bends towards the source's
        shares. The intervals are those of 200 bootstrap draws. The estimate assumes that label
        shift is the only shift, and is left out if the domains differ otherwise: then the AUC of
        "columns, class shares matched" stays high.

        With :class:`skdann.DANNClassifierCV`, features and training are those of a member of the
        best selected candidate, predictions are those of the mixture, and the verdict is the one
        that its `reason_` rests on.

        Examples
        --------
        >>> from skdann import DANNClassifier
        >>> from skdann.datasets import make_label_shift
        >>> X_source, y_source, X_target, _ = make_label_shift(random_state=0)
        >>> clf = DANNClassifier(max_epochs=5, random_state=0).fit(X_source, y_source, X_target)
        >>> report = clf.diagnose(X_source, X_target, y_source=y_source)
        >>> list(report.findings)
        ['label_shift']
        """
        return self._diagnose(X_source, X_target, y_source)

    def _diagnose(
        self, X_source: Any, X_target: Any, y_source: Any, names: Any = None
    ) -> Diagnosis:
        """Report as :meth:`diagnose` does, with other names of the columns."""
        check_is_fitted(self)
        estimator, fields = self._diagnosed()
        return diagnose(
            estimator,
            X_source,
            X_target,
            y_source=y_source,
            random_state=estimator.random_state,
            names=names,
            **fields,
        )

    @neutral_surroundings()
    def save(self, path):
        """Save the fitted estimator in one safetensors file, without pickle.

        The file holds the weights, the state of the optimizer and of the random generators, and,
        as JSON, parameters, classes, names and history. An existing file is replaced atomically: if
        the disk is full or the process is killed, the old one stays whole.

        Parameters
        ----------
        path : str or path-like
            Where to write. No extension is added.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        OSError
            If the file cannot be written.
        ValueError
            If a module that you passed keeps state that is not a tensor.

        Notes
        -----
        Not saved: ``set_output`` and metadata requests; values that callbacks recorded in
        `history_` and that are not numbers, strings, or lists, tuples or dicts of these; the
        state of a custom optimizer, if it is not in tensors. A kill during `save` may leave a
        hidden ``.name.*.tmp`` beside the file.

        Examples
        --------
        >>> import os, tempfile
        >>> from skdann import DANNClassifier
        >>> from skdann.datasets import make_inter_twinning_moons
        >>> X_source, y_source, X_target, _ = make_inter_twinning_moons(random_state=0)
        >>> clf = DANNClassifier(max_epochs=2, random_state=0).fit(X_source, y_source, X_target)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "moons.skdann")
        ...     clf.save(path)
        ...     loaded = DANNClassifier.load(path)
        >>> bool((loaded.predict_proba(X_target) == clf.predict_proba(X_target)).all())
        True
        """
        save(self, path)

    @classmethod
    @neutral_surroundings()
    def load(cls, path, *, device="cpu", **params):
        """Load an estimator that :meth:`save` wrote; the file runs no code.

        Predictions equal those of the saved estimator bit for bit on the same device. So does
        training that continues with ``partial_fit`` or ``warm_start``.

        Parameters
        ----------
        path : str or path-like
            The file.
        device : str, default="cpu"
            Where to put the networks, wherever they were.
        **params
            Parameters that JSON cannot hold and that must be passed again: torch modules (an
            instance, class or factory of the same layers; the weights come from the file),
            schedules, optimizers, callbacks, a RandomState, ``scoring``. Those of the `estimator`
            of a DANNClassifierCV have the prefix ``estimator__``. Any other parameter replaces the
            saved one.

        Returns
        -------
        DANNClassifier, DANNRegressor or DANNClassifierCV
            The fitted estimator, of the class that the method is called on.

        Raises
        ------
        ValueError
            If the file is damaged, of another format, class or shape, or if a parameter is missing;
            the text says which.
        TypeError
            If `params` names an unknown parameter.
        OSError
            If the file cannot be read.
        """
        return load(cls, path, device, params)

    @neutral_surroundings()
    def to_onnx(self, path):
        """Write the fitted networks as an ONNX graph, to predict where there is no Python.

        The graph takes float32 rows "X" (n_samples, n_features), any number of them, and gives
        "probabilities" (n_samples, n_classes), those of ``predict_proba`` for target rows. The
        class labels are in its metadata as JSON, "classes". A regressor gives "predictions", of the
        shape of ``predict``. Needs ``skdann[onnx]``.

        Parameters
        ----------
        path : str or path-like
            Where to write. An existing file is replaced atomically.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If onnx or onnxscript is not installed.
        ValueError
            If a module that you passed cannot be written as ONNX.
        OSError
            If the file cannot be written.
        """
        save_onnx(self, path)


class BaseDomainClassifier(ClassifierMixin, BaseDomainEstimator):
    """Base class of the domain-adaptive classifiers."""

    @abstractmethod
    def _class_scores(self, X: Any, sample_domain: Any) -> np.ndarray:
        """Return scores (n_samples, n_classes), after checking X; the maximum is the prediction."""

    @abstractmethod
    def _class_log_proba(self, X: Any, sample_domain: Any) -> np.ndarray:
        """Return logarithms of the class probabilities."""

    @neutral_surroundings()
    def predict(self, X, *, sample_domain=None):
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            Domain of each row, as in `domains_`. It matters only with
            ``normalization="domain_batch"``, ``standardize="domain"`` or
            ``label_shift="correct"``. None means target, with one exception: rows that a scorer,
            a cross-validation or a meta-estimator of scikit-learn passes are treated as rows of
            the domain that they resemble, because they may be held-out source rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        best = self._class_scores(X, sample_domain).argmax(axis=1)
        return self.classes_[best]

    @neutral_surroundings()
    def predict_log_proba(self, X, *, sample_domain=None):
        """Predict logarithms of the class probabilities.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        return self._class_log_proba(X, sample_domain)

    def score(self, X, y, sample_weight=None, *, sample_domain=None):
        """Return the accuracy of the predictions on labelled rows of either domain.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of one domain, or of several with `sample_domain`.
        y : array-like of shape (n_samples,)
            Labels. Rows with a label that only marks unlabelled target rows in `fit` on pooled rows
            are ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            Domain of each row, as in `domains_`. None means target. Exception: if it matters, see
            :meth:`predict`, rows that resemble the source more than the target are treated as
            source rows, because cross-validation scores held-out source rows. If it does not
            matter, source domains that `fit` has not seen are allowed.

        Returns
        -------
        float
            Accuracy in [0, 1].

        Raises
        ------
        ValueError
            If no labelled row remains, or the rows resemble the source, which has several domains,
            and `sample_domain` is None.
        """
        check_is_fitted(self)
        is_labelled = self._find_labelled(y)
        label = plain_labels(y, "y", is_kept=is_labelled)
        rows = self._rows_to_score(X, y, sample_weight, sample_domain, is_labelled)
        predicted = self.predict(rows.X, sample_domain=rows.sample_domain)
        return float(accuracy_score(label, predicted, sample_weight=rows.weight))
