"""Pipeline that sends the target domain through its transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.pipeline import make_pipeline as _make_pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skdann._base import BaseDomainEstimator
from skdann._compat import safe_indexing, with_callbacks
from skdann._input.arguments import explain_arguments, guess_argument, takes
from skdann._input.containers import column_names, load, without_mask
from skdann._input.large_targets import sample_targets
from skdann._input.matching import check_order
from skdann._input.messages import naming_step
from skdann._input.pooling import keep_source_rows, mark_unlabelled
from skdann._saving.onnx import save_onnx
from skdann._training.progress import watch_steps

FIT_PARAMS = ("X_target", "y_target", "sample_weight", "sample_domain")
MIDDLE_PARAMS = ("X_target", "y_target", "sample_domain")  # also of steps in the middle that adapt


class DomainPipeline(Pipeline):
    """Pipeline of scikit-learn that sends `X_target` through its transformers in `fit`.

    `fit` fits the transformers on the source rows, transforms `X_target` with them, and passes the
    result to the last step, with `y_target`, `sample_weight` and `sample_domain`. With metadata
    routing enabled it behaves as ``sklearn.pipeline.Pipeline`` with the same parameters.

    Parameters
    ----------
    steps : list of (str, estimator)
        Names and estimators: transformers, then the classifier.
    transform_input : list of str or None, default=None
        Parameters of `fit` that the transformers transform before the last step gets them, usually
        ``["X_target"]``. None transforms none, as in scikit-learn.
    memory : str, joblib.Memory or None, default=None
        Cache of fitted transformers, as in scikit-learn.
    verbose : bool, default=False
        Whether to print the time of each step.

    See Also
    --------
    skdann.make_pipeline : Creates one from estimators, with ``transform_input=["X_target"]``.

    Notes
    -----
    The attributes are those of ``sklearn.pipeline.Pipeline``: `named_steps`, `n_features_in_` and
    `feature_names_in_` of the first step, `classes_` of the last step. Slices, such as
    ``pipe[1:]``, keep `transform_input`.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdann import DANNClassifier, DomainPipeline
    >>> from skdann.datasets import make_inter_twinning_moons
    >>> X_source, y_source, X_target, y_target = make_inter_twinning_moons(random_state=0)
    >>> clf = DANNClassifier(max_epochs=5, random_state=0)
    >>> steps = [("scale", StandardScaler()), ("classify", clf)]
    >>> pipe = DomainPipeline(steps, transform_input=["X_target"])
    >>> pipe.fit(X_source, y_source, X_target=X_target).predict(X_target).shape
    (300,)
    """

    steps: list[tuple[str, Any]]

    @explain_arguments
    def fit(
        self,
        X,
        y=None,
        X_target=None,
        *,
        y_target=None,
        sample_weight=None,
        sample_domain=None,
        **params,
    ):
        """Fit the transformers on the source rows, then the last step on both domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Labels of the source rows.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Target rows. Each step gets them transformed by the previous steps.
        y_target : array-like of shape (n_target,), tuple of these, or None, default=None
            Labels of some target rows, as in :meth:`DANNClassifier.fit`; passed unchanged.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            Passed unchanged to the last step. An earlier step that takes `X_target`, such as a
            DANNClassifier that provides the features of another classifier, also gets
            `sample_domain`; if the last step does not take it, that step is fitted on the source
            rows alone.
        **params : dict
            ``step__param`` for any step, passed unchanged.

        Returns
        -------
        DomainPipeline
            The fitted pipeline itself.
        """
        given = self._check_given(X, X_target, y_target, sample_weight, sample_domain)
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            self._check_routed(given)
            return super().fit(X, y, **given, **params)
        self._fit_steps(X, y, given, params, transforms=False)
        return self

    def _check_given(
        self, X: Any, X_target: Any, y_target: Any, sample_weight: Any, sample_domain: Any
    ) -> dict[str, Any]:
        """Return the parameters of `fit` that were passed, with a sample of a large target."""
        self._check_distributed()
        without_mask(X, "X")  # transformers of scikit-learn would read under the mask
        X_target, y_target = self._sample_targets(X, X_target, y_target)
        for rows in X_target if isinstance(X_target, tuple) else (X_target,):
            without_mask(rows, "X_target")
            check_order("X_target", rows, X)
        values = (X_target, y_target, sample_weight, sample_domain)
        given = zip(FIT_PARAMS, values, strict=True)
        return {name: value for name, value in given if value is not None}

    def _check_distributed(self) -> None:
        """Raise if processes would each fit the transformers on their own rows."""
        steps = [(name, step) for name, step in self.steps if step not in (None, "passthrough")]
        for name, step in steps:
            inner = getattr(step, "estimator", step)
            if getattr(inner, "distributed", False) and len(steps) > 1:
                raise ValueError(
                    f"{name} has distributed=True, but each process would fit the other steps on "
                    "its own rows alone; transform the rows first, by transformers fitted on rows "
                    "of all processes, or leave scaling and encoding to the estimator."
                )

    def _sample_targets(self, X: Any, X_target: Any, y_target: Any) -> tuple[Any, Any]:
        """Sample target rows before they are transformed, as the adaptive steps would."""
        steps = [step for _, step in self.steps if isinstance(step, BaseDomainEstimator)]
        if not steps:
            return X_target, y_target

        def count_draws(n_rows: int) -> int:
            return max(step._count_draws(n_rows) for step in steps)

        return sample_targets(X, X_target, y_target, count_draws, steps[-1].random_state)

    def _check_routed(self, given: dict[str, Any]) -> None:
        """Raise if a step behind a DANNClassifier would be trained on unlabelled target rows."""
        domain = np.asarray(given.get("sample_domain", 0))
        last = self.steps[-1][1]
        if self._has_adaptive_step() and not takes(last, "sample_domain") and (domain < 0).any():
            raise ValueError(
                f"sample_domain marks target rows, on which {type(last).__name__}, the last step, "
                "would be trained too; pass these rows as X_target, or disable metadata routing, "
                "without which the last step is fitted on the source rows alone."
            )

    def _has_adaptive_step(self) -> bool:
        """Whether a step before the last one takes target rows."""
        return any(takes(step, "X_target") for _, step in self.steps[:-1])

    @with_callbacks
    def _fit_steps(
        self, X: Any, y: Any, given: dict[str, Any], params: dict[str, Any], *, transforms: bool
    ) -> Any:
        """Fit all steps; return the rows transformed by all of them if `transforms`."""
        self._validate_steps()
        step_params = self._split_params(params)
        end = len(self.steps) - 1
        inner = [index for index in range(end) if takes(self.steps[index][1], "X_target")]
        with watch_steps(self, X, y, len(inner) + 2) as watch_step:
            start = 0
            for index in inner:
                X = self._fit_transformers(start, index, X, y, given, step_params, watch_step)
                name, step = self.steps[index]
                passed = {n: v for n, v in given.items() if n in MIDDLE_PARAMS and takes(step, n)}
                with naming_step(name):
                    X = _fit_transform(step, X, y, {**passed, **step_params.get(name, {})})
                given = _transform_target(step, given)
                start = index + 1
            X = self._fit_transformers(start, end, X, y, given, step_params, watch_step)
            return self._fit_last(X, y, given, step_params, watch_step, transforms=transforms)

    def _fit_transformers(
        self,
        start: int,
        end: int,
        X: Any,
        y: Any,
        given: dict[str, Any],
        step_params: dict[str, dict[str, Any]],
        watch_step: Callable[..., Any],
    ) -> Any:
        """Fit steps by scikit-learn's Pipeline (cached, cloned, timed); transform both domains."""
        steps = [*self.steps[start:end], (self.steps[end][0], "passthrough")]
        head = Pipeline(steps, memory=self.memory, verbose=self.verbose)
        params = {
            f"{name}__{param}": value
            for name, _ in steps[:-1]
            for param, value in step_params.get(name, {}).items()
        }
        with watch_step("fit-transformers", head, X, y):
            X = head.fit_transform(X, y, **params)
        self.steps = [*self.steps[:start], *head.steps[:-1], *self.steps[end:]]
        given.update(_transform_target(head, given))
        return X

    def _fit_last(
        self,
        X: Any,
        y: Any,
        given: dict[str, Any],
        step_params: dict[str, dict[str, Any]],
        watch_step: Callable[..., Any],
        *,
        transforms: bool,
    ) -> Any:
        """Fit the last step, on the source rows alone if it takes no domains behind one that does.

        Return the rows that it transforms if `transforms`.
        """
        name, last = self.steps[-1]
        if last is None or last == "passthrough":
            return X
        is_behind = self._has_adaptive_step()
        rows, used = X, given
        if is_behind and not takes(last, "sample_domain"):
            rows, y, used = keep_source_rows(X, y, given)
        elif "X_target" in given and not is_behind and not takes(last, "X_target"):
            raise TypeError(
                f"X_target was passed, but no step of the pipeline takes it (the last one is "
                f"{type(last).__name__}); leave it out, or add a DANNClassifier."
            )
        params = dict(step_params.get(name, {}))
        for param, value in used.items():
            if param in params:
                raise TypeError(f"fit got {param!r} twice, once as {name}__{param}; pass it once.")
            if not is_behind or param == "sample_weight" or takes(last, param):
                params[param] = value
        with watch_step("fit-final-estimator", last, rows, y), naming_step(name):
            if transforms and rows is X:
                return _fit_transform(last, X, y, params)
            last.fit(rows, y, **params)
        return last.transform(X) if transforms else X

    def _split_params(self, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the parameters of each step."""
        step_params: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            step, separator, param = name.partition("__")
            if step not in self.named_steps or not separator:
                last = self.steps[-1][1]
                params_of_last = [*last.get_params(False)] if hasattr(last, "get_params") else []
                hint = guess_argument(name, ["X", "y", *FIT_PARAMS], params_of_last)
                raise TypeError(
                    f"fit got an unexpected parameter {name!r}: {hint}; pass "
                    f"{', '.join(FIT_PARAMS)} for the last step, and others as "
                    f"stepname__parameter with a step of {list(self.named_steps)}."
                )
            step_params.setdefault(step, {})[param] = value
        return step_params

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
        **params,
    ):
        """Fit as in :meth:`fit`, then return the transformed source rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Labels of the source rows.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Target rows.
        y_target, sample_weight, sample_domain : array-like or None, default=None
            As in :meth:`fit`.
        **params : dict
            ``step__param`` for any step, passed unchanged.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Transformed source rows.
        """
        given = self._check_given(X, X_target, y_target, sample_weight, sample_domain)
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            self._check_routed(given)
            return super().fit_transform(X, y, **given, **params)
        return self._fit_steps(X, y, given, params, transforms=True)

    @available_if(lambda self: hasattr(self.steps[-1][1], "score"))
    def score(self, X, y=None, sample_weight=None, **params):
        """Transform the rows, then score them by the last step.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of one domain, or pooled rows.
        y : array-like of shape (n_samples,), default=None
            Labels. Rows with a label that only marks unlabelled target rows in `fit` on pooled rows
            are ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, for the last step.
        **params : dict
            Parameters of `score`, as in scikit-learn.

        Returns
        -------
        float
            Score of the last step.
        """
        placeholders = [each for _, step in self.steps[:-1] for each in _placeholders_of(step)]
        is_ours = isinstance(self.steps[-1][1], BaseDomainEstimator)
        if y is not None and placeholders and not is_ours:
            check_consistent_length(X, y, sample_weight)
            kept = np.flatnonzero(~mark_unlabelled(y, placeholders))
            X, y = safe_indexing(X, kept), safe_indexing(y, kept)
            sample_weight = None if sample_weight is None else safe_indexing(sample_weight, kept)
        return super().score(X, y, sample_weight, **params)

    @available_if(lambda self: hasattr(self.steps[-1][1], "diagnose"))
    def diagnose(self, X_source, X_target, *, y_source=None):
        """Transform the rows, then report on the last step whether adaptation is likely to help.

        Parameters
        ----------
        X_source : array-like of shape (n_source, n_features)
            Source rows, as passed to `fit`.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Unlabelled target rows.
        y_source : array-like of shape (n_source,) or None, default=None
            Labels of the source rows, for the estimate of the target's class shares.

        Returns
        -------
        Diagnosis
            As :meth:`skdann.DANNClassifier.diagnose` returns it. Columns have the names of the raw
            table where the transformers tell which column each of theirs comes from.
        """
        rows, targets = self._transform_domains(X_source, X_target)
        names = _raw_names(self[:-1], X_source) if len(self.steps) > 1 else None
        return self.steps[-1][1]._diagnose(rows, targets, y_source, names)

    @available_if(lambda self: hasattr(self.steps[-1][1], "query"))
    def query(self, X_target, n, *, y_target=None):
        """Transform the rows, then choose those whose labels would tell most.

        Parameters
        ----------
        X_target : array-like of shape (n_target, n_features)
            Rows of the target.
        n : int
            Number of rows to choose.
        y_target : array-like of shape (n_target,) or None, default=None
            Labels that are known already, NaN or None for the others.

        Returns
        -------
        ndarray of int of shape (n,)
            Indices of rows of `X_target`, as :meth:`skdann.DANNClassifierCV.query` returns them.
        """
        for _, step in self.steps[:-1]:
            if step is not None and step != "passthrough":
                X_target = _transform_as_target(step, X_target)
        return self.steps[-1][1].query(X_target, n, y_target=y_target)

    @available_if(lambda self: hasattr(self.steps[-1][1], "estimate_accuracy"))
    def estimate_accuracy(self, X_source, y_source, X_target):
        """Transform the rows, then estimate the accuracy of the last step on the target.

        Parameters
        ----------
        X_source : array-like of shape (n_source, n_features)
            Labelled source rows, as passed to `fit`.
        y_source : array-like of shape (n_source,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Unlabelled target rows.

        Returns
        -------
        AccuracyEstimate
            As :meth:`skdann.DANNClassifierCV.estimate_accuracy` returns it.
        """
        rows, targets = self._transform_domains(X_source, X_target)
        return self.steps[-1][1].estimate_accuracy(rows, y_source, targets)

    def _transform_domains(self, X_source: Any, X_target: Any) -> tuple[Any, Any]:
        """Return the rows of both domains as the last step gets them."""
        check_is_fitted(self)
        given = {"X_target": X_target}
        for _, step in self.steps[:-1]:
            if step is None or step == "passthrough":
                continue
            is_ours = isinstance(step, BaseDomainEstimator)
            domain = {"sample_domain": step.domains_[0]} if is_ours else {}
            X_source, given = step.transform(X_source, **domain), _transform_target(step, given)
        return X_source, given["X_target"]

    def __getitem__(self, ind):
        """Return a step, or a slice with the same `transform_input`."""
        part = super().__getitem__(ind)
        if isinstance(ind, slice):
            part.transform_input = self.transform_input
        return part

    def _validate_steps(self):
        """Validate the steps; raise if one is a sampler."""
        for name, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                raise TypeError(
                    f"The step {name!r} ({type(step).__name__}) is a sampler, which would resample "
                    "the source but not the target; weight the classes instead, with "
                    "DANNClassifier(class_weight='balanced'), or resample the source before fit."
                )
        super()._validate_steps()

    def to_onnx(self, path):
        """Write the transformers and the classifier as one ONNX graph.

        The graph is the one of :meth:`skdann.DANNClassifier.to_onnx`, preceded by the transformers.
        skl2onnx converts these, in float32; it supports most transformers of scikit-learn, fitted
        on numeric arrays.

        Parameters
        ----------
        path : str or path-like
            Where to write. An existing file is replaced atomically.

        Raises
        ------
        ValueError
            If a step cannot be converted.
        """
        save_onnx(self, path)


def _fit_transform(step: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    if hasattr(step, "fit_transform"):
        return step.fit_transform(X, y, **params)
    return step.fit(X, y, **params).transform(X)


def _transform_target(step: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the target rows transformed."""
    if "X_target" not in given:
        return given
    rows = given["X_target"]
    if not isinstance(rows, tuple):
        return {**given, "X_target": _transform_as_target(step, rows)}
    if len(rows) == 1:
        return {**given, "X_target": (_transform_as_target(step, rows[0]),)}
    return {**given, "X_target": tuple(step.transform(part) for part in rows)}


def _transform_as_target(step: Any, rows: Any) -> Any:
    """Transform the rows of the only target."""
    if isinstance(step, BaseDomainEstimator):
        return step.transform(rows, sample_domain=step.domains_[-1])
    return step.transform(rows)


def _raw_names(head: Pipeline, X: Any) -> list[str] | None:
    """Return the raw column of each transformed column, or its own name; None without names.

    Transformers of scikit-learn name a column after the one that it comes from: "age",
    "scale__age", or "encode__sex_female".
    """
    raw = column_names(load(X))
    try:
        names = [str(name) for name in head.get_feature_names_out()]
    except (AttributeError, ValueError):  # a transformer without names
        return None
    known = sorted(map(str, raw if raw is not None else []), key=len, reverse=True)
    return [_raw_name(name, known) for name in names]


def _raw_name(name: str, known: Sequence[str]) -> str:
    """Return the longest known name that a transformed name stands for, else the name."""
    for part in (name, name.partition("__")[2]):
        for each in known:
            if part == each or part.startswith(f"{each}_"):
                return each
    return name


def _placeholders_of(step: Any) -> Iterable[Any]:
    return getattr(step, "_placeholders", ())


def make_pipeline(*steps: Any, memory: Any = None, verbose: bool = False) -> DomainPipeline:
    """Create a pipeline that scales, imputes and encodes the target domain like the source.

    Parameters
    ----------
    *steps : estimators
        Transformers, then the classifier.
    memory : str, joblib.Memory or None, default=None
        Cache of fitted transformers, as in scikit-learn.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    DomainPipeline
        A scikit-learn Pipeline with ``transform_input=["X_target"]``, whose `fit` takes `X_target`
        with or without metadata routing.

    See Also
    --------
    DomainPipeline : The class of the pipeline.
    sklearn.pipeline.make_pipeline : Pipeline without a target domain; with
        ``transform_input=["X_target"]`` and metadata routing enabled it does the same.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdann import DANNClassifier, make_pipeline
    >>> from skdann.datasets import make_inter_twinning_moons
    >>> X_source, y_source, X_target, y_target = make_inter_twinning_moons(random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), DANNClassifier(max_epochs=5, random_state=0))
    >>> pipe.fit(X_source, y_source, X_target=X_target).predict(X_target).shape
    (300,)
    """
    steps_ = _make_pipeline(*steps).steps
    return DomainPipeline(steps_, transform_input=["X_target"], memory=memory, verbose=verbose)
