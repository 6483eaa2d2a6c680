"""Pipeline that sends the target domain through its transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.pipeline import make_pipeline as _make_pipeline

from skdann._base import takes_target, transform_training_rows
from skdann._compat import with_callbacks
from skdann._input.arguments import explain_arguments
from skdann._input.matching import check_order
from skdann._saving.onnx import save_onnx
from skdann._training.progress import watch_steps

FIT_PARAMS = ("X_target", "sample_weight", "sample_domain")


class DomainPipeline(Pipeline):
    """Pipeline of scikit-learn that sends `X_target` through its transformers in `fit`.

    `fit` fits the transformers on the source rows, transforms `X_target` with them, and passes the
    result to the last step, together with `sample_weight` and `sample_domain`. With metadata
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
    @with_callbacks
    def fit(self, X, y=None, X_target=None, *, sample_weight=None, sample_domain=None, **params):
        """Fit the transformers on the source rows, then the last step on both domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Labels of the source rows.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled target rows. Each step gets them transformed by the previous steps.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            Passed unchanged to the last step. Earlier steps that take `X_target`, such as a
            DANNClassifier that provides the features of another classifier, also get
            `sample_domain`.
        **params : dict
            ``step__param`` for any step, passed unchanged.

        Returns
        -------
        DomainPipeline
            The fitted pipeline itself.
        """
        given = {"X_target": X_target, "sample_weight": sample_weight}
        given["sample_domain"] = sample_domain
        given = {name: value for name, value in given.items() if value is not None}
        for rows in X_target if isinstance(X_target, tuple) else (X_target,):
            check_order("X_target", rows, X)
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            return super().fit(X, y, **given, **params)
        self._validate_steps()
        step_params = self._split_params(params)
        adaptive = [index for index, (_, step) in enumerate(self.steps) if takes_target(step)]
        inner = [index for index in adaptive if index < len(self.steps) - 1]
        with watch_steps(self, X, y, len(inner) + 2) as watch_step:
            start = 0
            for index in inner:
                X = self._fit_transformers(start, index, X, y, given, step_params, watch_step)
                name, step = self.steps[index]
                passed = {n: given[n] for n in ("X_target", "sample_domain") if n in given}
                X = step.fit_transform(X, y, **passed, **step_params.get(name, {}))
                given = _transform_target(step, given)
                start = index + 1
            end = len(self.steps) - 1
            X = self._fit_transformers(start, end, X, y, given, step_params, watch_step)
            self._fit_last(X, y, given, step_params, watch_step)
        return self

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
    ) -> None:
        """Fit the last step, with the target rows if it takes them."""
        name, last = self.steps[-1]
        if last is None or last == "passthrough":
            return
        params = dict(step_params.get(name, {}))
        for param, value in given.items():
            if param in params:
                raise TypeError(f"fit got {param!r} twice, once as {name}__{param}; pass it once.")
            is_used = param != "X_target" or takes_target(last)
            if is_used or not any(takes_target(step) for _, step in self.steps[:-1]):
                params[param] = value
        with watch_step("fit-final-estimator", last, X, y):
            last.fit(X, y, **params)

    def _split_params(self, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the parameters of each step."""
        step_params: dict[str, dict[str, Any]] = {}
        for name, value in params.items():
            step, separator, param = name.partition("__")
            if step not in self.named_steps or not separator:
                raise TypeError(
                    f"fit got an unexpected parameter {name!r}; pass {', '.join(FIT_PARAMS)} for "
                    "the last step, and others as stepname__parameter with a step of "
                    f"{list(self.named_steps)}."
                )
            step_params.setdefault(step, {})[param] = value
        return step_params

    def fit_transform(
        self, X, y=None, X_target=None, *, sample_weight=None, sample_domain=None, **params
    ):
        """Fit as in :meth:`fit`, then return the transformed source rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Labels of the source rows.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled target rows.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`fit`.
        **params : dict
            ``step__param`` for any step, passed unchanged.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Transformed source rows.
        """
        given = {"X_target": X_target, "sample_weight": sample_weight}
        given["sample_domain"] = sample_domain
        given = {name: value for name, value in given.items() if value is not None}
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            return super().fit_transform(X, y, **given, **params)
        self.fit(X, y, **given, **params)
        rows = X
        for _, step in self.steps:
            if takes_target(step):
                rows = transform_training_rows(step, rows, sample_domain)
            elif step not in (None, "passthrough"):
                rows = step.transform(rows)
        return rows

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


def _transform_target(step: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the target rows transformed."""
    if "X_target" not in given:
        return given
    rows = given["X_target"]
    is_several = isinstance(rows, tuple)
    transformed = tuple(step.transform(part) for part in rows) if is_several else None
    return {**given, "X_target": transformed if is_several else step.transform(rows)}


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
