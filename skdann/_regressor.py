"""`DANNRegressor`: domain-adversarial training as a scikit-learn regressor and transformer."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skdann._compat import Interval, StrOptions
from skdann._input.arguments import explain_arguments
from skdann._input.domains import DomainData
from skdann._input.numeric_labels import (
    LabelScale,
    check_numbers,
    is_vector,
    plain_numbers,
    with_label_scale,
)
from skdann._input.surroundings import neutral_surroundings
from skdann._network import BaseDANN
from skdann._training.label_losses import NUMBER_LOSSES
from skdann._training.params import check_params


class DANNRegressor(RegressorMixin, BaseDANN):
    r"""Domain-adversarial neural network that predicts numbers in an unlabelled target domain.

    The networks, the adversaries and the training are those of :class:`DANNClassifier` [1]_; the
    label predictor G_y returns one number per output, and the label loss is that of a regression.
    Numbers are scaled inside, so `y` may be on any scale.

    Six parameters matter first: `lambda_max` (how strongly to adapt), `standardize` (scaling of the
    columns), `max_epochs`, `feature_extractor` (sizes of the network), `loss` and `random_state`.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "quantile"}, default="squared_error"
        Label loss: "squared_error" predicts the mean, "absolute_error" the median, and "quantile"
        the quantile `quantile` [2]_. With several outputs it is their mean.
    quantile : float, default=0.5
        Quantile to predict with ``loss="quantile"``, in (0, 1). The other losses do not use it.
    feature_extractor : tuple of int, module, class or factory, default=(128, 64)
        Hidden layers of G_f, or a torch module, as in :class:`DANNClassifier`.
    label_predictor : tuple of int, module, class or factory, default=()
        Hidden layers of G_y; or a torch module that returns one number per output. A class or
        function is called with ``(n_features_out, n_outputs)`` or without arguments.
    domain_classifier : tuple of int, module, class or factory, default=(64,)
        Hidden layers of G_d, or a torch module, as in :class:`DANNClassifier`.
    activation : str, default="relu"
        Activation function of networks given by sizes, as in :class:`DANNClassifier`.
    dropout : float, default=0.2
        Dropout probability of the hidden layers of networks given by sizes, in [0, 1).
    normalization : {None, "batch", "layer", "domain_batch"}, default=None
        Normalization of the hidden layers, as in :class:`DANNClassifier`.
    standardize : {None, "source", "domain"}, default="source"
        Scaling of the columns before G_f, as in :class:`DANNClassifier`.
    lambda_max : float, default=0.01
        Final value of the coefficient lambda, which weights the reversed gradient. 0 trains on the
        source alone. The default is far below that of :class:`DANNClassifier`; see Notes.
    lambda_schedule : {"dann", "linear", "constant"} or callable, default="dann"
        Factor on `lambda_max` at training progress p, as in :class:`DANNClassifier`.
    domain_loss_weight : float, default=1.0
        Weight of the domain loss, in the training of G_d and of G_f alike.
    domain_label_smoothing : float, default=0.0
        Label smoothing of the domain loss, in [0, 1).
    adversarial : {"grl", "alternating", "non_saturating", "coral"}, default="grl"
        Training of G_f against the difference of the domains, as in :class:`DANNClassifier`.
    domain_steps : int, default=1
        Number of steps of G_d on each batch with ``adversarial="alternating"`` and
        "non_saturating".
    optimizer : {"adam", "adamw", "rmsprop", "sgd"} or class, default="adam"
        Optimizer, as in :class:`DANNClassifier`.
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"constant", "dann", "cosine"} or callable, default="constant"
        Factor on `lr` at training progress p, as in :class:`DANNClassifier`.
    weight_decay : float, default=0.0
        Weight decay (L2 penalty) of the optimizer.
    batch_size : int, default=64
        Maximum number of source rows per step; as many target rows are added.
    max_epochs : int or "auto", default="auto"
        Number of passes over the source rows; "auto" makes at least 30 passes and 400 steps. In
        `partial_fit` it is 30.
    early_stopping : bool, default=False
        Whether to hold out source rows, stop when their label loss has not improved for `patience`
        epochs, and restore the weights of the best epoch, as in :class:`DANNClassifier`.
    validation_fraction : float, default=0.1
        Share of the source rows held out for early stopping, in (0, 1).
    patience : int, default=10
        Number of epochs without improvement before early stopping.
    warm_start : bool, default=False
        Whether `fit` continues from the previous weights; schedules restart, the scale of `y`
        stays.
    checkpoint : str, path-like or None, default=None
        File from which a killed `fit` resumes, as in :class:`DANNClassifier`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks, passed to the skorch net. The labels that they get are scaled, of shape
        (n_rows, n_outputs).
    device : str, default="cpu"
        Torch device.
    distributed : bool, default=False
        Whether several processes train together, each with a part of the rows and of every batch.
        `fit` then gives in all of them what it would give in one process with all rows, up to
        rounding. Requires an integer `random_state`, networks given by sizes, and
        :func:`torch.distributed.init_process_group`; see :doc:`/guide/distributed`.
    random_state : int, RandomState instance or None, default=None
        Controls all randomness. Pass an int for bit-identical results.
    verbose : int or None, default=None
        Verbosity: 0 shows nothing, 1 a progress bar, 2 prints a line per epoch; None shows the bar
        where a person waits, as in :class:`DANNClassifier`.

    Attributes
    ----------
    n_outputs_ : int
        Number of numbers to predict per row.
    domains_ : ndarray of shape (n_domains,)
        Domain identifiers, source domains first: 0, 1, ... for sources and -1, -2, ... for targets,
        or the values in `sample_domain`.
    n_features_in_ : int
        Number of columns of the table that was passed.
    columns_ : list of tuple
        One entry per column: name, kind, how it is encoded, and in how many columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if the input had string column names.
    module_ : skdann.nn.DANNModule
        The three networks.
    net_ : skorch.NeuralNet
        The net that trained the networks.
    history_ : list of dict
        One entry per epoch, as in :class:`DANNClassifier`. The label loss is that of `y` scaled to
        mean 0 and variance 1; with early stopping there is "valid_loss".
    n_epochs_ : int
        Number of epochs trained.

    Warns
    -----
    SourceOnlyWarning
        If there are no target rows.
    DomainColumnWarning
        If a column of a frame tells the domains apart by itself.

    See Also
    --------
    DANNClassifier : The same for classes, with a full description of the shared parameters.
    skdann.make_pipeline : Pipeline that sends the target through its transformers.

    Notes
    -----
    The networks learn :math:`(y - m) / s`, with the mean :math:`m` and standard deviation :math:`s`
    of each output in the source rows of the first call of `fit` or `partial_fit`, weighted by
    `sample_weight`. The prediction for an output that is constant in the source is this constant.

    Alignment assumes that the numbers to predict have about the same distribution in both domains.
    Where they differ, it does harm, and unlike class shares the difference cannot be estimated
    without target labels. Strong alignment therefore loses more often than it gains. On eleven
    tasks on which the default was chosen, 0.01 was best, 0.03 gained nothing over 0, and 0.1 lost
    (see the guide). A larger value helps where only the columns shift, as in the example; choose it
    on some labelled target rows. The scorers of :mod:`skdann.model_selection` need class
    probabilities, and there is no regressor that chooses by itself, as :class:`DANNClassifierCV`
    does: no score that was tried gains as much as the default.

    Labels of some target rows (`y_target`) are trained on as in :class:`DANNClassifier`.

    Not offered, because they are defined by classes: `class_weight`, `label_smoothing`,
    `label_shift`, `target_priors`, and `conditioning`, the outer product of features and class
    probabilities. `pseudo_labels` neither: a squared error has its minimum at the network's own
    predictions, so training on them changes nothing, and they come without a probability by which
    to select the surest; balanced alignment needs classes to balance.

    References
    ----------
    .. [1] Ganin, Ustinova, Ajakan, Germain, Larochelle, Laviolette, Marchand, Lempitsky,
       "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016.
    .. [2] Koenker, Bassett, "Regression Quantiles", Econometrica 46(1), 1978.

    Examples
    --------
    >>> from skdann import DANNRegressor
    >>> from skdann.datasets import make_sensor_drift
    >>> X_source, y_source, X_target, y_target = make_sensor_drift(random_state=0)
    >>> reg = DANNRegressor(random_state=0).fit(X_source, y_source, X_target)
    >>> reg.predict(X_target).shape
    (500,)
    >>> reg.domains_
    array([ 0, -1])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "loss": [StrOptions(set(NUMBER_LOSSES))],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        **BaseDANN._parameter_constraints,
    }
    _label_options: ClassVar[dict[str, Any]] = {"read_labels": check_numbers}
    _label_scale: LabelScale

    def __init__(
        self,
        *,
        loss="squared_error",
        quantile=0.5,
        feature_extractor=(128, 64),
        label_predictor=(),
        domain_classifier=(64,),
        activation="relu",
        dropout=0.2,
        normalization=None,
        standardize="source",
        lambda_max=0.01,
        lambda_schedule="dann",
        domain_loss_weight=1.0,
        domain_label_smoothing=0.0,
        adversarial="grl",
        domain_steps=1,
        optimizer="adam",
        lr=1e-3,
        lr_schedule="constant",
        weight_decay=0.0,
        batch_size=64,
        max_epochs="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        warm_start=False,
        checkpoint=None,
        callbacks=None,
        device="cpu",
        distributed=False,
        random_state=None,
        verbose=None,
    ):
        self.loss = loss
        self.quantile = quantile
        self.feature_extractor = feature_extractor
        self.label_predictor = label_predictor
        self.domain_classifier = domain_classifier
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization
        self.standardize = standardize
        self.lambda_max = lambda_max
        self.lambda_schedule = lambda_schedule
        self.domain_loss_weight = domain_loss_weight
        self.domain_label_smoothing = domain_label_smoothing
        self.adversarial = adversarial
        self.domain_steps = domain_steps
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.device = device
        self.distributed = distributed
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @explain_arguments
    @neutral_surroundings()
    def fit(
        self,
        X_source,
        y_source,
        X_target=None,
        *,
        y_target=None,
        sample_weight=None,
        sample_domain=None,
    ):
        """Train on labelled source rows and target rows, few or none of which are labelled.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain, of any kinds of columns, as in :meth:`DANNClassifier.fit`.
        y_source : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their numbers.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Rows of the target domain, or a tuple with one array per target domain. In
            cross-validation, pass a tuple even for one target: ``(X_target,)``. Where there are far
            more rows than training can draw, a random sample is used, with a warning, see Notes of
            :class:`DANNClassifier`.
        y_target : array-like of shape (n_target,) or (n_target, n_outputs), tuple of these, or None
            Numbers of some rows of `X_target`, as in :meth:`DANNClassifier.fit`; by default None.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the source rows, in both losses. Rows with weight 0 are dropped.
        sample_domain : array-like of int of shape (n_samples,) or None, default=None
            Domain of each row of `X_source`: >= 0 names a source domain, < 0 marks an unlabelled
            target row, whose label is ignored and may be NaN.

        Returns
        -------
        DANNRegressor
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is invalid, before any training: among others if `y_source`
            holds text, NaN or infinity.
        DivergenceError
            If training diverges (a ValueError). After any error the estimator is unchanged.
        """
        check_params(self)
        return self._fit(
            X_source,
            y_source,
            X_target,
            y_target=y_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
        )

    @explain_arguments
    @neutral_surroundings()
    def partial_fit(
        self, X_source, y_source, X_target=None, *, sample_weight=None, sample_domain=None
    ):
        """Train one epoch on a chunk of data.

        The scale of the labels is that of the first chunk, so this should be a random part of the
        data. The schedules count each call as one of `max_epochs` epochs and keep their final value
        after that. No rows are held out; `early_stopping` is ignored.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain.
        y_source : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their numbers.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled target rows; required in every call if passed in the first.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`fit`.

        Returns
        -------
        DANNRegressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fit`, or if the number of outputs differs from that of the first call.
        DivergenceError
            As in :meth:`fit`.
        """
        check_params(self, holds_out=False)
        return self._partial_fit(
            X_source,
            y_source,
            X_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
        )

    def _adjust_labels(self, data: DomainData, y: Any, seed: int, continued: str) -> DomainData:
        """Scale the labels; the scale of an earlier fit that has other outputs does not apply."""
        scale = LabelScale.measure(data.y, data.weight, is_vector=is_vector(y))
        if continued and self.n_outputs_ == data.n_outputs:
            scale = self._label_scale._replace(is_vector=scale.is_vector)
        return with_label_scale(data, scale)

    def _compare_labels(self, data: DomainData) -> tuple[str, Any, Any]:
        return "outputs in y", self.n_outputs_, data.n_outputs

    @neutral_surroundings()
    def predict(self, X, *, sample_domain=None):
        """Predict the numbers of each row.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            Domain of each row, as in `domains_`. It matters only with
            ``normalization="domain_batch"`` or ``standardize="domain"``. None means target, except
            for rows that a scorer, a cross-validation or a meta-estimator of scikit-learn passes,
            as in :meth:`DANNClassifier.predict`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions: the mean, the median or the quantile, by `loss`. Their number of dimensions
            is that of the labels of the fit.
        """
        outputs = self._infer(X, sample_domain, "labels")
        return self._label_scale.restore(outputs)

    def score(self, X, y, sample_weight=None, *, sample_domain=None):
        """Return the coefficient of determination R2 on labelled rows of either domain.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of one domain, or of several with `sample_domain`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers. If `fit` had pooled rows, rows without a number (NaN) are ignored; so are those
            with the one number that all its target rows had, if no source row had it.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            Domain of each row, as in :meth:`DANNClassifier.score`.

        Returns
        -------
        float
            R2, the mean over several outputs: 1 at best, 0 for the mean of `y`, less if worse.

        Raises
        ------
        ValueError
            If no labelled row remains, or `y` holds NaN that does not mark unlabelled rows of the
            fit.
        """
        check_is_fitted(self)
        is_labelled = self._find_labelled(y)
        numbers = plain_numbers(y, "y", is_kept=is_labelled)
        rows = self._rows_to_score(X, y, sample_weight, sample_domain, is_labelled)
        predicted = self.predict(rows.X, sample_domain=rows.sample_domain)
        return float(r2_score(numbers, predicted, sample_weight=rows.weight))
