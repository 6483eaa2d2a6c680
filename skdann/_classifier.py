"""`DANNClassifier`: domain-adversarial training as a scikit-learn classifier and transformer."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skdann._base import BaseDomainClassifier
from skdann._compat import Interval, StrOptions
from skdann._input.arguments import explain_arguments
from skdann._input.domains import DomainData
from skdann._input.labels import check_classes
from skdann._input.pooling import warn_if_a_class
from skdann._input.surroundings import neutral_surroundings
from skdann._network import BaseDANN
from skdann._training.fitting import adjust_for_label_shift
from skdann._training.label_shift import KINDS, with_label_shift
from skdann._training.params import check_params
from skdann._training.pseudo_labels import KINDS as PSEUDO_LABELS
from skdann.inspection._accuracy import AccuracyEstimate


class DANNClassifier(BaseDomainClassifier, BaseDANN):
    r"""Domain-adversarial neural network for unsupervised domain adaptation.

    The source domain has labels; predictions are wanted for an unlabelled target domain. A feature
    extractor G_f feeds a label predictor G_y, trained on the source labels, and, through a gradient
    reversal layer, a domain classifier G_d, trained on both domains. G_f therefore learns features
    that predict the label but not the domain [1]_.

    Six parameters matter first: `lambda_max` (how strongly to adapt), `standardize` (scaling of the
    columns), `max_epochs`, `feature_extractor` (sizes of the network), `pseudo_labels` and
    `random_state`. The defaults of the others suit most tables.

    Parameters
    ----------
    feature_extractor : tuple of int, module, class or factory, default=(128, 64)
        Sizes of the hidden layers of G_f; the last size is the number of features, and an empty
        tuple uses the columns themselves as features. Alternatively, a torch module that maps
        ``(n_rows, n_features_in)`` to ``(n_rows, n_features_out)``: an instance, which is copied,
        or a class or function that is called with ``n_features_in`` or without arguments.
    label_predictor : tuple of int, module, class or factory, default=()
        Sizes of the hidden layers of G_y; or a torch module that returns one logit per class. A
        class or function is called with ``(n_features_out, n_classes)`` or without arguments.
    domain_classifier : tuple of int, module, class or factory, default=(64,)
        Sizes of the hidden layers of G_d; or a torch module that returns, for two domains, one
        logit (positive: target) or two logits, and one logit per domain for more than two.
    activation : str, default="relu"
        Activation function of networks given by sizes: "elu", "gelu", "leaky_relu", "relu",
        "sigmoid", "silu" or "tanh".
    dropout : float, default=0.2
        Dropout probability of the hidden layers of networks given by sizes, in [0, 1).
    normalization : {None, "batch", "layer", "domain_batch"}, default=None
        Normalization of the hidden layers of networks given by sizes. "domain_batch" is batch
        normalization with separate statistics for each domain [2]_; it applies to G_f and G_y, as
        in G_d it would hide the difference that G_d has to find.
    standardize : {None, "source", "domain"}, default="source"
        Scaling of the columns before G_f, custom modules included. "source" scales all rows by the
        mean and standard deviation of the source rows; sparse rows stay as they are. "domain"
        scales the rows of each domain by their own, which removes shifts of location and scale at
        once; columns of two values, such as indicators, are scaled as by "source". None leaves the
        columns unscaled. The statistics are computed in the first call of `fit` or `partial_fit`.
    lambda_max : float, default=0.3
        Final value of the coefficient lambda, which weights the reversed gradient: the higher, the
        more G_f works against G_d. 0 trains on the source alone.
    lambda_schedule : {"dann", "linear", "constant"} or callable, default="dann"
        Factor on `lambda_max` at training progress p: "dann" is 2 / (1 + exp(-10 p)) - 1 [1]_,
        "linear" is p, "constant" is 1; a callable maps p in [0, 1] to a factor in [0, 1].
    domain_loss_weight : float, default=1.0
        Weight of the domain loss, in the training of G_d and of G_f alike.
    label_smoothing, domain_label_smoothing : float, default=0.0
        Label smoothing of the label loss and of the domain loss, in [0, 1).
    conditioning : {None, "cdan"}, default=None
        Input of G_d. None passes it the features, "cdan" the outer product of features and class
        probabilities [3]_.
    adversarial : {"grl", "alternating", "non_saturating", "coral"}, default="grl"
        Training of G_f against the difference of the domains. "grl" trains all three networks in
        one backward pass; "alternating" takes `domain_steps` steps of G_d, then one step of G_f
        and G_y, on each batch. "non_saturating" alternates too, and trains G_f with inverted domain
        labels, which gives larger gradients where G_d is certain [6]_. "coral" matches the
        covariances of the features and has no G_d [7]_: `domain_classifier`, `domain_steps` and
        `domain_label_smoothing` are not used, and no domain accuracy is recorded.
    pseudo_labels : {None, "train", "balance"}, default=None
        Use of predictions for the target rows during training, which are refreshed after each third
        of the epochs. "train" also trains on the surest half of the target rows of each predicted
        class, with that class as label [8]_ [9]_. "balance" draws the rows of both domains so that
        all classes have equal shares: otherwise, alignment would force different class shares to
        match [10]_. It cannot be combined with `class_weight` or `label_shift`. See Notes.
    domain_steps : int, default=1
        Number of steps of G_d on each batch with ``adversarial="alternating"`` and
        "non_saturating". The others do not use it.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the label loss, by label, as in scikit-learn.
    label_shift : {"correct", "reweight"} or None, default=None
        Treatment of class shares that differ between the domains: "correct" adjusts the predicted
        probabilities of target rows, "reweight" weights the source rows in both losses [4]_. See
        Notes.
    target_priors : dict or None, default=None
        Known share of each class in the target, by label, for `label_shift`. Classes that the
        source lacks, as a fold may, are left out with a warning. None estimates the shares, which
        is valid only if nothing else differs between the domains.
    optimizer : {"adam", "adamw", "rmsprop", "sgd"} or class, default="adam"
        Optimizer; "sgd" has momentum 0.9. A torch optimizer class, or a `functools.partial` of one,
        is called with the parameters and `lr` (and `weight_decay`, if that is not 0).
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"constant", "dann", "cosine"} or callable, default="constant"
        Factor on `lr` at training progress p: "constant" is 1, "dann" is (1 + 10 p)^-0.75 [1]_,
        "cosine" is (1 + cos(pi p)) / 2; a callable maps p in [0, 1] to a factor in [0, 1].
    weight_decay : float, default=0.0
        Weight decay (L2 penalty) of the optimizer.
    batch_size : int, default=64
        Maximum number of source rows per step; as many target rows are added.
    max_epochs : int or "auto", default="auto"
        Number of passes over the source rows. "auto" makes at least 30 passes and 400 steps: more
        passes for less than about 850 rows. In `partial_fit` it is 30.
    early_stopping : bool, default=False
        Whether to hold out source rows, stop when their cross-entropy has not improved for
        `patience` epochs, and restore the weights of the best epoch. Epochs are compared only once
        lambda has reached 0.9 of its final value, and rows have pseudo-labels if requested.
    validation_fraction : float, default=0.1
        Share of the source rows held out for early stopping, in (0, 1).
    patience : int, default=10
        Number of epochs without improvement before early stopping.
    warm_start : bool, default=False
        Whether `fit` continues from the previous weights; schedules restart.
    checkpoint : str, path-like or None, default=None
        File that `fit` writes during training and removes at the end. If the process is killed,
        calling `fit` again with the same parameters and rows resumes from it, with bit-identical
        results. Requires a `random_state`.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks, passed to the skorch net unchanged. The datasets that they get hold source rows,
        with class indices (positions in `classes_`) as labels; validation data are the rows that
        `early_stopping` holds out.
    device : str, default="cpu"
        Torch device.
    distributed : bool, default=False
        Whether several processes train together, each with a part of the rows and of every batch.
        `fit` then gives in all of them what it would give in one process with all rows, up to
        rounding. Requires an integer `random_state`, networks given by sizes, and
        :func:`torch.distributed.init_process_group`; see :doc:`/guide/distributed`.
    random_state : int, RandomState instance or None, default=None
        Controls all randomness. Pass an int for bit-identical results. None draws fresh entropy;
        global random state is never read or changed.
    verbose : int or None, default=None
        Verbosity: 0 shows nothing, 1 a progress bar with the losses, the domain accuracy and
        lambda; 2 prints a line per epoch. None shows the bar in a terminal or a notebook while a
        fit takes more than three seconds, and nothing elsewhere.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    domains_ : ndarray of shape (n_domains,)
        Domain identifiers, source domains first: 0, 1, ... for sources and -1, -2, ... for targets,
        or the values in `sample_domain`.
    n_features_in_ : int
        Number of columns of the table that was passed.
    columns_ : list of tuple
        One entry per column: name, kind, how it is encoded, and in how many columns. It prints as
        a table, and ``pandas.DataFrame`` takes it.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if the input had string column names.
    module_ : skdann.nn.DANNModule
        The three networks.
    net_ : skorch.NeuralNet
        The net that trained the networks.
    history_ : list of dict
        One entry per epoch: "epoch", "train_loss", "label_loss", "domain_loss", "domain_accuracy",
        "lambda", "lr", "dur" (seconds), and with early stopping "valid_loss", "valid_accuracy".
    n_epochs_ : int
        Number of epochs trained.
    target_priors_ : ndarray of shape (n_classes,)
        Shares of the classes in the target, as passed or as estimated in `fit` or the first call
        of `partial_fit`; several targets are pooled. With ``pseudo_labels="balance"``, the shares
        that the network predicts. Set only with one of these two parameters.

    Warns
    -----
    SourceOnlyWarning
        If there are no target rows.
    DomainColumnWarning
        If a column of a frame tells the domains apart by itself.

    See Also
    --------
    skdann.make_pipeline : Pipeline that sends the target through its transformers.
    DANNClassifierCV : Selects lambda and the scaling without target labels.

    Notes
    -----
    Cross-validation in scikit-learn splits every array-like fit parameter that has as many rows as
    ``X``. In a search or in ``cross_validate``, pass the target as a tuple,
    ``X_target=(X_target,)``: a tuple is never split.

    With scikit-learn 1.9 or newer, scikit-learn's callbacks follow a fit epoch by epoch, as in
    ``clf.set_callbacks(sklearn.callback.ProgressBar())``, also inside a pipeline or a search.

    A target of more than 400,000 rows, and more than four times as many as training can draw (the
    number of source rows times that of epochs), is replaced by a random sample: as many rows as
    training can draw, at least 100,000, beside all labelled rows. The other rows of a memory map,
    or of a dataset of dask or pyarrow, are not held in memory.

    The prediction of a row does not depend on the other rows passed with it, except in the last
    bits if the width of a layer is odd.

    With :math:`\pi_k` the share of class k in the target and :math:`s_k` its share in the source,
    ``label_shift="correct"`` predicts

    .. math:: p'(k | x) \propto \frac{\pi_k}{s_k} \, p(k | x)

    for target rows [5]_, where :math:`s_k` includes sample and class weights. ``"reweight"``
    weights source rows of class k by :math:`\pi_k / s_k` in both losses [4]_, or in the domain
    loss alone with ``class_weight="balanced"``, as in that paper. Unknown shares are estimated as
    in :func:`skdann.metrics.estimate_target_priors` with ``method="bbse"``, from the out-of-fold
    predictions of a linear classifier. On real tables, known shares improve both methods and
    estimated shares make both worse (see the guide); hence the default None.

    With labels of n target rows (`y_target`), each batch holds some of them too, at most one for
    four source rows. The label loss is then

    .. math:: (1 - \omega) \operatorname{mean}_{(x, y) \in S} -\log p_y(x)
        + \omega \operatorname{mean}_{(x, y) \in L} -\log p_y(x), \qquad \omega = \frac{n}{n + 20},

    over the source rows S and the labelled target rows L of the batch. G_d sees the target as
    without labels.

    Pseudo-labels are predictions of the network being trained. They are computed when one third of
    the epochs is done and again at two thirds; in `partial_fit` for each chunk after the first
    third. Of a target with more rows than 4,000 and than the source, a sample is used. Let
    :math:`p_k(x)` be the predicted probability of class k of K, and :math:`q_k` its mean over the
    rows of a target, at least 0.02.

    With ``pseudo_labels="train"``, the n rows predicted as class k are sorted by :math:`p_k(x)`,
    and the first :math:`\lceil n / 2 \rceil` are drawn for training [9]_. The label loss is

    .. math:: \frac{1}{2} \operatorname{mean}_{(x, y) \in S} -\log p_y(x)
        + \frac{1}{2} \operatorname{mean}_{x \in T} -\log p_{\hat y}(x)

    over the source rows S and the target rows T of a batch, where :math:`\hat y` is the
    pseudo-label [8]_. With ``lambda_max=0`` this is self-training without alignment.

    With ``pseudo_labels="balance"``, target rows are drawn with probability proportional to
    :math:`w(x)`, and source rows of class k to :math:`1 / s_k`, with :math:`s_k` at least 0.02:

    .. math:: w(x) = \min\Big(\frac{1}{K} \sum_k \frac{p_k(x)}{q_k}, \; 5\Big) .

    ``standardize`` then uses the statistics of the rows drawn, and the schedule of lambda begins
    with the first pseudo-labels. A network trained on equal shares predicts rare classes too often.
    For target rows, its probabilities are therefore multiplied by its mean prediction
    :math:`\pi_k` for the target, and scaled to sum to 1, one step of the EM algorithm in [5]_.

    References
    ----------
    .. [1] Ganin, Ustinova, Ajakan, Germain, Larochelle, Laviolette, Marchand, Lempitsky,
       "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016.
    .. [2] Li, Wang, Shi, Liu, Hou, "Revisiting Batch Normalization For Practical Domain
       Adaptation", ICLR workshop, 2017.
    .. [3] Long, Cao, Wang, Jordan, "Conditional Adversarial Domain Adaptation", NeurIPS 2018.
    .. [4] Tachet des Combes, Zhao, Wang, Gordon, "Domain Adaptation with Conditional Distribution
       Matching and Generalized Label Shift", NeurIPS 2020.
    .. [5] Saerens, Latinne, Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
       Probabilities", Neural Computation 14(1), 2002.
    .. [6] Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio, "Generative
       Adversarial Nets", NeurIPS 2014.
    .. [7] Sun, Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV
       workshops, 2016.
    .. [8] Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep
       Neural Networks", ICML workshop, 2013.
    .. [9] Zou, Yu, Vijaya Kumar, Wang, "Unsupervised Domain Adaptation for Semantic Segmentation
       via Class-Balanced Self-Training", ECCV 2018.
    .. [10] Garg, Erickson, Sharpnack, Smola, Balakrishnan, Lipton, "RLSbench: Domain Adaptation
       Under Relaxed Label Shift", ICML 2023.

    Examples
    --------
    >>> from skdann import DANNClassifier
    >>> from skdann.datasets import make_inter_twinning_moons
    >>> X_source, y_source, X_target, y_target = make_inter_twinning_moons(random_state=0)
    >>> clf = DANNClassifier(random_state=0).fit(X_source, y_source, X_target)
    >>> clf.predict(X_target).shape
    (300,)
    >>> clf.domains_
    array([ 0, -1])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDANN._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "conditioning": [None, StrOptions({"cdan"})],
        "pseudo_labels": [None, StrOptions(set(PSEUDO_LABELS))],
        "class_weight": [None, dict, StrOptions({"balanced"})],
        "label_shift": [None, StrOptions(set(KINDS))],
        "target_priors": [None, dict],
    }

    def __init__(
        self,
        *,
        feature_extractor=(128, 64),
        label_predictor=(),
        domain_classifier=(64,),
        activation="relu",
        dropout=0.2,
        normalization=None,
        standardize="source",
        lambda_max=0.3,
        lambda_schedule="dann",
        domain_loss_weight=1.0,
        label_smoothing=0.0,
        domain_label_smoothing=0.0,
        conditioning=None,
        adversarial="grl",
        pseudo_labels=None,
        domain_steps=1,
        class_weight=None,
        label_shift=None,
        target_priors=None,
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
        self.label_smoothing = label_smoothing
        self.domain_label_smoothing = domain_label_smoothing
        self.conditioning = conditioning
        self.adversarial = adversarial
        self.pseudo_labels = pseudo_labels
        self.domain_steps = domain_steps
        self.class_weight = class_weight
        self.label_shift = label_shift
        self.target_priors = target_priors
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

    # -- training -------------------------------------------------------------------------------

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
            Rows of the source domain. Columns of frames may be numbers, booleans, categories,
            strings, dates and durations, with missing values; columns that are not numbers are
            encoded, and missing numbers imputed, on the rows of both domains.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Rows of the target domain, or a tuple with one array per target domain. In
            cross-validation, pass a tuple even for one target: ``(X_target,)``. Columns of data
            frames are matched by name. Where there are far more rows than training can draw, a
            random sample is used, with a warning, see Notes.
        y_target : array-like of shape (n_target,), tuple of these, or None, default=None
            Labels of some rows of `X_target`, if there are any: NaN, None or masked where a row is
            unlabelled. A tuple, as `X_target`, for several targets, with None for one without
            labels. G_y is trained on these rows beside the source, see Notes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the source rows, in both losses. Rows with weight 0 are dropped.
        sample_domain : array-like of int of shape (n_samples,) or None, default=None
            Domain of each row of `X_source`: >= 0 names a source domain, < 0 marks an unlabelled
            target row, whose label is ignored.

        Returns
        -------
        DANNClassifier
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is invalid, before any training.
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
        self,
        X_source,
        y_source,
        X_target=None,
        *,
        classes=None,
        sample_weight=None,
        sample_domain=None,
    ):
        """Train one epoch on a chunk of data.

        The schedules count each call as one of `max_epochs` epochs and keep their final value after
        that. No rows are held out; `early_stopping` is ignored.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled target rows; required in every call if passed in the first.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes in any chunk. Required in the first call, optional afterwards.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`fit`.

        Returns
        -------
        DANNClassifier
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fit`, or if `classes` is missing in the first call or differs later.
        DivergenceError
            As in :meth:`fit`.
        """
        check_params(self, holds_out=False)
        is_first = not hasattr(self, "net_")
        if is_first and classes is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit, because a chunk may lack "
                "some classes; pass e.g. classes=np.unique(all_labels)."
            )
        if not is_first:
            given = self.classes_ if classes is None else check_classes(classes)
            if not np.array_equal(given, self.classes_):
                raise ValueError(
                    f"classes={given.tolist()} differ from the classes of the first call, "
                    f"{self.classes_.tolist()}; omit classes, or fit a new estimator."
                )
            classes = self.classes_
        return self._partial_fit(
            X_source,
            y_source,
            X_target,
            classes=classes,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
        )

    def _adjust_labels(self, data: DomainData, y: Any, seed: int, continued: str) -> DomainData:
        if continued == "partial_fit":
            return with_label_shift(data, self._label_shift)
        return adjust_for_label_shift(self, data, seed)

    def _compare_labels(self, data: DomainData) -> tuple[str, Any, Any]:
        return "classes", self.classes_.tolist(), data.classes.tolist()

    def _check_placeholders(self, placeholders: Sequence[Any], data: DomainData) -> None:
        """Warn if a meta-estimator counts such a label as a class."""
        warn_if_a_class(placeholders, data.classes, self)

    # -- inference ------------------------------------------------------------------------------

    def _class_scores(self, X: Any, sample_domain: Any) -> np.ndarray:
        return self._score_rows(*self._read(X, sample_domain))

    def _score_rows(self, rows: Any, domain: np.ndarray | None) -> np.ndarray:
        """Return class logits, corrected for label shift in target rows if requested."""
        logits = self.net_.infer_rows(rows, domain, "labels").astype(np.float64)
        if self._label_shift is None:
            return logits
        n_sources = len(self.domains_) - self.net_.n_targets
        is_target = True if domain is None else (domain >= n_sources)[:, None]
        return np.where(is_target, logits + self._label_shift.offset, logits)

    def _class_log_proba(self, X: Any, sample_domain: Any) -> np.ndarray:
        return log_softmax(self._class_scores(X, sample_domain), axis=1)

    @neutral_surroundings()
    def predict_proba(self, X, *, sample_domain=None):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return softmax(self._class_scores(X, sample_domain), axis=1)

    @neutral_surroundings()
    def estimate_accuracy(self, X_source, y_source, X_target) -> AccuracyEstimate:
        """Estimate the accuracy on the target, without target labels.

        Trains a :class:`DANNClassifierCV` with the parameters of this classifier, whose families it
        compares with one another and with this classifier: see
        :meth:`DANNClassifierCV.estimate_accuracy`. That takes several times as long as `fit`.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Labelled source rows, as passed to `fit`.
        y_source : array-like of shape (n_source,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Unlabelled rows of the target.

        Returns
        -------
        AccuracyEstimate
            "accuracy", "balanced_accuracy", "interval" (of the accuracy, at 90 %) and "reason".

        Raises
        ------
        ValueError
            If rows, columns or labels do not match the fit.
        """
        from skdann._cv import DANNClassifierCV  # is built on this class

        check_is_fitted(self)
        own = (
            "lambda_max",
            "standardize",
            "pseudo_labels",
            "warm_start",
            "checkpoint",
            "distributed",
        )
        default = DANNClassifier()
        base = clone(self).set_params(**{name: getattr(default, name) for name in own})
        search = DANNClassifierCV(base, random_state=self.random_state)
        search.fit(X_source, y_source, X_target)
        if not np.array_equal(search.classes_, self.classes_):
            raise ValueError(
                f"y_source holds the classes {search.classes_.tolist()}, but fit saw "
                f"{self.classes_.tolist()}; pass the rows and labels of fit."
            )
        return search._estimate_accuracy(self, X_source, y_source, X_target)
