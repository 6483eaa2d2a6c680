"""A pipeline whose transformers see the target domain too."""

from __future__ import annotations

from typing import Any

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.pipeline import make_pipeline as _make_pipeline

from skdann._compat import with_callbacks
from skdann._input.arguments import explain_arguments
from skdann._input.matching import check_order
from skdann._saving.onnx import save_onnx
from skdann._training.progress import watch_steps

FIT_PARAMS = ("X_target", "sample_weight", "sample_domain")


class DomainPipeline(Pipeline):
    """scikit-learn Pipeline that sends `X_target` through its transformers in `fit`.

    With metadata routing enabled it is a plain ``Pipeline(transform_input=["X_target"])``. Without,
    `fit` does the same itself: transformers are fitted on the source rows, `X_target` is
    transformed by them, and `X_target`, `sample_weight` and `sample_domain` go to the last step.

    Parameters
    ----------
    steps, transform_input, memory, verbose
        As in :class:`sklearn.pipeline.Pipeline`.
    """

    steps: list[tuple[str, Any]]

    @explain_arguments
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
            ``X_target`` (transformed on its way), ``sample_weight`` and ``sample_domain`` for the
            last step, and ``step__param`` for any step, as they are.

        Returns
        -------
        DomainPipeline
            The fitted pipeline itself.
        """
        for param in self.transform_input or ():
            parts = params.get(param)
            for rows in parts if isinstance(parts, tuple) else (parts,):
                check_order(param, rows, X)
        if get_config()["enable_metadata_routing"] or not self.transform_input:
            return super().fit(X, y, **params)
        self._validate_steps()
        name, last = self.steps[-1]
        of_head, of_last = self._split_params(params)
        # scikit-learn's own fit of the transformers: cached, cloned and timed as it does
        head = Pipeline(
            [*self.steps[:-1], (name, "passthrough")], memory=self.memory, verbose=self.verbose
        )
        with watch_steps(self, X, y) as watch_step:
            with watch_step("fit-transformers", head, X, y):
                X = head.fit_transform(X, y, **of_head)
            self.steps = [*head.steps[:-1], (name, last)]
            for param in self.transform_input:
                if params.get(param) is not None:
                    of_last[param] = _transform_each(head, params[param])
            if last is not None and last != "passthrough":
                with watch_step("fit-final-estimator", last, X, y):
                    last.fit(X, y, **of_last)
        return self

    def _split_params(self, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Part the parameters of `fit` into those of the transformers and of the last step."""
        of_head: dict[str, Any] = {}
        of_last: dict[str, Any] = {}
        for name, value in params.items():
            step, separator, param = name.partition("__")
            if not separator:
                step, param = self.steps[-1][0], name
            if step not in self.named_steps or not (separator or name in FIT_PARAMS):
                raise TypeError(
                    f"fit got the parameter {name!r}; it takes {', '.join(FIT_PARAMS)} for the "
                    f"last step, and others as stepname__parameter, of {list(self.named_steps)}."
                )
            if step != self.steps[-1][0]:
                of_head[name] = value
            elif param in of_last:
                raise TypeError(f"fit got {param} twice, by {name!r} and by another name.")
            else:
                of_last[param] = value
        return of_head, of_last

    def fit_transform(self, X, y=None, **params):
        """Fit as :meth:`fit` does, then transform the source rows.

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
        """Write transformers and classifier as one ONNX graph.

        As :meth:`skdann.DANNClassifier.to_onnx`; the transformers are converted by skl2onnx, in
        float32, which knows most of scikit-learn's, fitted on arrays of numbers.

        Parameters
        ----------
        path : str or path-like
            Where to. An existing file is replaced in one go.

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
    """Make a pipeline that scales, imputes and encodes the target domain with the source.

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
    sklearn.pipeline.make_pipeline : Without the target; with ``transform_input=["X_target"]`` and
        metadata routing enabled it does the same.

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
