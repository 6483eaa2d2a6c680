"""Pipeline that sends the target domain through its transformers."""

from __future__ import annotations

from typing import Any

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.pipeline import make_pipeline as _make_pipeline

from skdann._compat import with_callbacks
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

    Attributes
    ----------
    named_steps : Bunch
        Steps by name.
    classes_ : ndarray of shape (n_classes,)
        Class labels of the last step.
    n_features_in_ : int
        Number of columns of the input, from the first step.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names of the input, from the first step.

    See Also
    --------
    skdann.make_pipeline : Creates one from estimators, with ``transform_input=["X_target"]``.

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

    @with_callbacks
    def fit(self, X, y=None, **params):
        """Fit the transformers on the source rows, then the last step on both domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        **params : dict
            ``X_target`` (transformed by the transformers), ``sample_weight`` and ``sample_domain``
            for the last step, and ``step__param`` for any step, passed unchanged.

        Returns
        -------
        DomainPipeline
            The fitted pipeline itself.
        """
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            return super().fit(X, y, **params)
        self._validate_steps()
        name, last = self.steps[-1]
        head_params, last_params = self._split_params(params)
        # fitted by scikit-learn's Pipeline, hence cached, cloned and timed in the same way
        head = Pipeline(
            [*self.steps[:-1], (name, "passthrough")], memory=self.memory, verbose=self.verbose
        )
        with watch_steps(self, X, y) as watch_step:
            with watch_step("fit-transformers", head, X, y):
                X = head.fit_transform(X, y, **head_params)
            self.steps = [*head.steps[:-1], (name, last)]
            for param in self.transform_input:
                if params.get(param) is not None:
                    last_params[param] = _transform_each(head, params[param])
            if last is not None and last != "passthrough":
                with watch_step("fit-final-estimator", last, X, y):
                    last.fit(X, y, **last_params)
        return self

    def _split_params(self, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split the parameters of `fit` into those of the transformers and of the last step."""
        head_params: dict[str, Any] = {}
        last_params: dict[str, Any] = {}
        for name, value in params.items():
            step, separator, param = name.partition("__")
            if not separator:
                step, param = self.steps[-1][0], name
            if step not in self.named_steps or not (separator or name in FIT_PARAMS):
                raise TypeError(
                    f"fit got an unexpected parameter {name!r}; pass {', '.join(FIT_PARAMS)} for "
                    "the last step, and others as stepname__parameter with a step of "
                    f"{list(self.named_steps)}."
                )
            if step != self.steps[-1][0]:
                head_params[name] = value
            elif param in last_params:
                raise TypeError(
                    f"fit got {param!r} twice, once as {self.steps[-1][0]}__{param}; pass it once."
                )
            else:
                last_params[param] = value
        return head_params, last_params

    def fit_transform(self, X, y=None, **params):
        """Fit as in :meth:`fit`, then transform the source rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        **params : dict
            As in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Transformed source rows.
        """
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            return super().fit_transform(X, y, **params)
        return self.fit(X, y, **params).transform(X)

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


def _transform_each(head: Pipeline, rows: Any) -> Any:
    if isinstance(rows, tuple):
        return tuple(head.transform(part) for part in rows)
    return head.transform(rows)


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
