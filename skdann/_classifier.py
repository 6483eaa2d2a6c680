"""`DANNClassifier`: domain-adversarial training as a scikit-learn classifier and transformer."""

from __future__ import annotations

import copy
import functools
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skdann._base import BaseDomainClassifier
from skdann._compat import Interval, StrOptions, with_callbacks
from skdann._input.arguments import explain_arguments
from skdann._input.domains import DomainData, check_domain_vector, check_domains
from skdann._input.parameters import OPTIMIZERS
from skdann._input.rows import check_rows_to_predict
from skdann._input.seeding import draw_seed
from skdann._input.surroundings import neutral_surroundings
from skdann._saving import pickled_state, restore_net
from skdann._saving.checkpoint import Checkpoint
from skdann._training.fitting import (
    adjust_for_label_shift,
    net_callbacks,
    new_net,
    prepare,
    set_fitted,
    train,
)
from skdann._training.label_shift import KINDS, with_label_shift
from skdann._training.net import DANNNet, FitData
from skdann._training.objective import ADVERSARIES
from skdann._training.params import NETWORKS, DataShape, check_params, training_params
from skdann._training.progress import as_fit_rows, watch_fit
from skdann._training.schedules import LAMBDA_SCHEDULES, LR_SCHEDULES
from skdann.nn._module import ACTIVATIONS, is_sizes


class DANNClassifier(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseDomainClassifier):
    r"""Domain-adversarial neural network for unsupervised domain adaptation.

    Labelled rows come from a source domain; the rows that matter come from a target domain and have
    no labels. A feature extractor feeds a label predictor, trained on the source labels, and,
    through a gradient reversal layer, a domain classifier, trained on both domains: the features
    come to serve the labels while telling little of the domain [1]_.

    Parameters
    ----------
    feature_extractor : tuple of int, module, class or factory, default=(128, 64)
        G_f: sizes of its hidden layers, the last of which is the width of the features (an empty
        tuple takes the columns as they are); or a torch module of your own that maps
        ``(n_rows, n_features_in)`` to ``(n_rows, n_features_out)``: an instance (it is copied), or
        a class or function called with ``n_features_in`` or with nothing.
    label_predictor : tuple of int, module, class or factory, default=()
        G_y: sizes of its hidden layers; or a module of your own that gives one logit a class, a
        class or function being called with ``(n_features_out, n_classes)`` or with nothing.
    domain_classifier : tuple of int, module, class or factory, default=(64,)
        G_d: the same for the domain; a module of your own gives one logit (positive: target) or two
        for two domains, and one logit a domain for more.
    activation : str, default="relu"
        Of networks given by sizes: "elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu" or
        "tanh".
    dropout : float, default=0.2
        Share of hidden units dropped in training, of networks given by sizes; in [0, 1).
    normalization : {None, "batch", "layer", "domain_batch"}, default=None
        Of the hidden layers of networks given by sizes. "domain_batch" keeps the statistics of each
        domain apart [2]_ (in G_f and G_y; in G_d it would hide what is to be found).
    standardize : {None, "source", "domain"}, default=None
        Scale the columns first. "source" gives the source rows mean 0 and deviation 1, and scales
        the others alike; "domain" brings every domain to the mean and deviation of the source
        rows, which takes shifts of location and scale out of the columns at once. The statistics
        are those of the first call of `fit` or `partial_fit`.
    lambda_max : float, default=0.3
        The coefficient lambda at the end of its schedule: how hard the feature extractor works
        against the domain classifier. 0 trains on the source alone.
    lambda_schedule : {"dann", "linear", "constant"} or callable, default="dann"
        How lambda gets there with training progress p: "dann" is 2 / (1 + exp(-10 p)) - 1 [1]_,
        "linear" is p; a callable maps p in [0, 1] to a factor in [0, 1].
    domain_loss_weight : float, default=1.0
        Weight of the domain loss, for the domain classifier and the feature extractor alike.
    label_smoothing, domain_label_smoothing : float, default=0.0
        Smoothing of the two cross-entropies, in [0, 1).
    conditioning : {None, "cdan"}, default=None
        With "cdan" the domain classifier sees the outer product of features and class
        probabilities [3]_.
    adversarial : {"grl", "alternating"}, default="grl"
        "grl" trains all three networks in one backward pass; "alternating" takes `domain_steps`
        steps of the domain classifier, then one of the other two, on each batch.
    domain_steps : int, default=1
        Steps of the domain classifier on each batch where `adversarial` is "alternating".
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the label loss.
    label_shift : {"correct", "reweight"} or None, default=None
        What to do where the classes' shares differ between the domains: "correct" the predicted
        probabilities of target rows, or "reweight" the source rows in both losses [4]_. See Notes.
    target_priors : dict or None, default=None
        With `label_shift`: the share of each class in the target, by label, if it is known. None
        estimates them, which holds only where nothing but the shares differs.
    optimizer : {"adam", "adamw", "rmsprop", "sgd"} or class, default="adam"
        "sgd" has momentum 0.9. A torch optimiser class, or a partial of one, is called with the
        parameters and `lr` (and `weight_decay` where that is not 0).
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"constant", "dann", "cosine"} or callable, default="constant"
        Factor on `lr` with progress p: "dann" is (1 + 10 p)^-0.75 [1]_, "cosine" is
        (1 + cos(pi p)) / 2; a callable maps p in [0, 1] to a factor in [0, 1].
    weight_decay : float, default=0.0
        Of the optimiser.
    batch_size : int, default=64
        Most source rows in a step; as many target rows come beside them.
    max_epochs : int, default=30
        Passes over the source rows; small tables, of a few hundred rows, want more.
    early_stopping : bool, default=False
        Hold out source rows, stop when their cross-entropy has not improved for `patience` epochs,
        and keep the best epoch. Epochs are compared only once lambda has come to 0.9 of its end.
    validation_fraction : float, default=0.1
        Share of the source rows held out, in (0, 1).
    patience : int, default=10
        Epochs without improvement before stopping.
    warm_start : bool, default=False
        Go on from the weights of the last fit; the schedules start anew.
    checkpoint : str, path-like or None, default=None
        A file that `fit` keeps while it trains, and removes when it has ended. A fit that was
        killed goes on from there when it is called again with the same parameters and rows, and
        ends with the same bits; it needs a `random_state`.
    callbacks : list of skorch callbacks or None, default=None
        Passed to the net as they are.
    device : str, default="cpu"
        A torch device.
    random_state : int, RandomState instance or None, default=None
        From which all randomness comes; equal integers give equal bits. None takes fresh entropy,
        and no global random state is ever read or changed.
    verbose : int, default=0
        1 shows one progress bar, with the losses, the domain accuracy and lambda; 2 prints a line
        an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    domains_ : ndarray of shape (n_domains,)
        Names of the domains, sources first: 0, 1, ... for sources, -1, -2, ... for targets, or as
        `sample_domain` named them.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where the input had any.
    module_ : skdann.nn.DANNModule
        The three networks.
    net_ : skorch.NeuralNet
        The net that trained them.
    history_ : list of dict
        One entry an epoch: "epoch", "train_loss", "label_loss", "domain_loss", "domain_accuracy",
        "lambda", "lr", "dur" (seconds), and with early stopping "valid_loss", "valid_accuracy".
    n_epochs_ : int
        Epochs trained.
    target_priors_ : ndarray of shape (n_classes,)
        With `label_shift`: the classes' shares in the target, as known, or estimated by `fit` or
        the first call of `partial_fit`; several targets are pooled.

    Warns
    -----
    SourceOnlyWarning
        If there are no target rows.

    See Also
    --------
    skdann.make_pipeline : A pipeline whose transformers see the target too.

    Notes
    -----
    Cross-validation of scikit-learn cuts every array-like fit parameter that has as many rows as
    ``X``. Pass ``X_target=(X_target,)``, a tuple, wherever a search or ``cross_validate`` passes it
    on: a tuple is never cut.

    With scikit-learn 1.9 or newer, its callbacks follow a fit epoch by epoch, as in
    ``clf.set_callbacks(sklearn.callback.ProgressBar())``, also from a pipeline or a search.

    The prediction of a row does not depend on the rows beside it, but for the last bits where a
    layer's width is odd.

    With :math:`\pi_k` the share of class k in the target and :math:`s_k` its share in the source,
    ``label_shift="correct"`` predicts

    .. math:: p'(k | x) \propto \frac{\pi_k}{s_k} \, p(k | x)

    for target rows, :math:`s_k` counting sample and class weights [5]_; ``"reweight"`` trains with
    source rows of class k weighted by :math:`\pi_k / s_k` in both losses [4]_, or in the domain
    loss alone with ``class_weight="balanced"``, as those authors do. Shares that are not given are
    estimated as in :func:`skdann.metrics.estimate_target_priors`, by "bbse", with a linear
    classifier out of fold. On real tables known shares gain with either, and estimated ones lose
    (see the guide), so that nothing is done by default.

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

    # X_source and y_source are positions, not metadata; the target is asked for by default.
    __metadata_request__fit: ClassVar = {"X_source": UNUSED, "y_source": UNUSED, "X_target": True}
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
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "domain_label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "conditioning": [None, StrOptions({"cdan"})],
        "adversarial": [StrOptions(set(ADVERSARIES))],
        "domain_steps": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [None, dict, StrOptions({"balanced"})],
        "label_shift": [None, StrOptions(set(KINDS))],
        "target_priors": [None, dict],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions(set(LR_SCHEDULES)), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [None, str, PathLike],
        "callbacks": [None, list, tuple],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
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
        standardize=None,
        lambda_max=0.3,
        lambda_schedule="dann",
        domain_loss_weight=1.0,
        label_smoothing=0.0,
        domain_label_smoothing=0.0,
        conditioning=None,
        adversarial="grl",
        domain_steps=1,
        class_weight=None,
        label_shift=None,
        target_priors=None,
        optimizer="adam",
        lr=1e-3,
        lr_schedule="constant",
        weight_decay=0.0,
        batch_size=64,
        max_epochs=30,
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        warm_start=False,
        checkpoint=None,
        callbacks=None,
        device="cpu",
        random_state=None,
        verbose=0,
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
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    # -- training -------------------------------------------------------------------------------

    @explain_arguments
    @neutral_surroundings()
    def fit(self, X_source, y_source, X_target=None, *, sample_weight=None, sample_domain=None):
        """Train on labelled source rows and unlabelled target rows.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain. Scale them: `skdann.make_pipeline` does so for both domains.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled rows of the target domain; a tuple holds one array a target domain. In
            cross-validation pass a tuple, ``(X_target,)``, even for one target. A frame's columns
            are matched by name.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the source rows, in both losses. Rows of weight 0 are left out.
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
            If a parameter or an input is off, before any training; ValueError if training diverges.
            The estimator then stays as it was.
        """
        check_params(self)
        data = check_domains(
            X_source,
            y_source,
            X_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
            is_clone=self._is_clone,
            scales_columns=self._scales_columns(),
            estimator=type(self).__name__,
        )
        is_continued = self.warm_start and hasattr(self, "net_")
        seed = self.net_.seeds[0] if is_continued else draw_seed(self.random_state)
        data = adjust_for_label_shift(self, data, seed)
        fit_data = prepare(self, data, seed if self.early_stopping else None)
        if is_continued:
            net = self._continued_net(data, "warm_start=True", self.early_stopping)
            net.n_epochs_done_ = 0
        else:
            net = new_net(self, DataShape.of(data), (seed,), stops_early=self.early_stopping)
            net.measure_columns(fit_data)
        rows = as_fit_rows(X_source, y_source, sample_weight, sample_domain)
        return self._train_watched(net, fit_data, self.max_epochs, rows, self._checkpoint())

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

        The schedules count each call as one of `max_epochs` epochs, and stay at their end after
        that. Nothing is held out: `early_stopping` has no part in it.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled target rows, in the first call and every other.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes there will be; needed at the first call.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`fit`.

        Returns
        -------
        DANNClassifier
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            As in :meth:`fit`, or if `classes` is missing at the first call or differs later.
        """
        check_params(self)
        is_first = not hasattr(self, "net_")
        if is_first and classes is None:
            raise ValueError(
                "classes must be passed on the first call to partial_fit: a chunk need not hold "
                "every class; pass e.g. classes=np.unique(all_labels)."
            )
        if not is_first:
            given, known = classes, self.classes_
            if given is not None and not np.array_equal(np.unique(given), known):
                raise ValueError(
                    f"classes={np.unique(given).tolist()} differ from those of the first call, "
                    f"{known.tolist()}; leave them out, or fit anew."
                )
            classes = known
        data = check_domains(
            X_source,
            y_source,
            X_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
            classes=classes,
            domains=None if is_first else self.domains_,
            least_target=2 if is_first else 1,
            scales_columns=not is_first or self._scales_columns(),
            estimator=type(self).__name__,
        )
        if is_first:
            seed = draw_seed(self.random_state)
            data = adjust_for_label_shift(self, data, seed)
        else:
            data = with_label_shift(data, self._label_shift)
        fit_data = prepare(self, data)
        if is_first:
            net = new_net(self, DataShape.of(data), (seed,))
            net.measure_columns(fit_data)
        else:
            net = self._continued_net(data, "partial_fit", stops_early=False)
        return self._train_watched(net, fit_data, 1)

    def _continued_net(self, data: DomainData, what: str, stops_early: bool) -> DANNNet:
        """Copy the fitted net to train on, after checking that the data fits it."""
        names = getattr(self, "feature_names_in_", None)
        other_names = getattr(self, "_other_names", None)
        for kind, own, given in (
            ("features", self.n_features_in_, data.n_features),
            ("feature names", None if names is None else names.tolist(), _as_list(data)),
            ("column names", other_names, data.other_names),
            ("classes", self.classes_.tolist(), data.classes.tolist()),
            ("domains", self.domains_.tolist(), data.domains.tolist()),
        ):
            is_unnamed = kind.endswith("names") and (own is None or given is None)
            if own != given and not is_unnamed:
                raise ValueError(
                    f"X has {given} {kind}, but {type(self).__name__} is expecting {own} {kind} as "
                    f"input: {what} goes on with an earlier fit and cannot change them; give the "
                    "same, in the same order, or fit a new estimator."
                )
        net = copy.deepcopy(self.net_)
        net.configure(training_params(self))
        net.callbacks, net.verbose = net_callbacks(self, stops_early), int(self.verbose)
        for group in net.optimizer_.param_groups:
            group["lr"] = self.lr
        net._initialize_callbacks()
        return net

    def _scales_columns(self) -> bool:
        """Whether columns on different scales do no harm, or may be scaled by the user's module."""
        return self.standardize is not None or not is_sizes(self.feature_extractor)

    @with_callbacks
    def _train_watched(
        self,
        net: DANNNet,
        fit_data: FitData,
        n_epochs: int,
        rows: dict[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
    ):
        """Train the net, followed by the progress bar and, given `rows`, scikit-learn's callbacks.

        The results are taken over only once all went well.
        """
        snapshot = functools.partial(self._fitted_so_far, fit_data.data)
        with watch_fit(
            self, n_epochs, verbose=self.verbose, rows=rows, snapshot=snapshot
        ) as listeners:
            train(net, fit_data, n_epochs, listeners, checkpoint)
            set_fitted(self, net, fit_data.data)
            if checkpoint and not net.is_interrupted_:
                checkpoint.remove()
            return self

    def _checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint of a fit, if it keeps one."""
        if self.checkpoint is None:
            return None
        return Checkpoint(self.checkpoint, self.get_params(deep=False))

    def _fitted_so_far(self, data: DomainData, net: DANNNet) -> dict[str, Any]:
        """Return the attributes of this estimator as if training had ended now."""
        copied = copy.deepcopy(net, {id(net.callbacks_): [], id(net.callbacks): net.callbacks})
        return vars(set_fitted(copy.copy(self), copied, data))

    # -- inference ------------------------------------------------------------------------------

    def _infer(self, X: Any, sample_domain: Any, what: str) -> np.ndarray:
        """Features, class logits or domain logits of checked rows."""
        check_is_fitted(self)
        X = check_rows_to_predict(self, X)
        return self.net_.infer_rows(X, self._domain_index(sample_domain, X.shape[0]), what)

    def _class_scores(self, X: Any, sample_domain: Any) -> np.ndarray:
        """Class logits; those of target rows are corrected for label shift if requested."""
        logits = self._infer(X, sample_domain, "labels").astype(np.float64)
        if self._label_shift is None:
            return logits
        domain = self._domain_index(sample_domain, len(logits))
        n_sources = len(self.domains_) - self.net_.n_targets
        is_target = True if domain is None else (domain >= n_sources)[:, None]
        return np.where(is_target, logits + self._label_shift.offset, logits)

    def _domain_index(self, sample_domain: Any, n_rows: int) -> np.ndarray | None:
        if sample_domain is None:
            return None
        if np.ndim(sample_domain) == 0:
            sample_domain = np.full(n_rows, sample_domain)
        domain = check_domain_vector(sample_domain, n_rows, "X")
        unknown = np.setdiff1d(domain, self.domains_)
        if len(unknown):
            raise ValueError(
                f"sample_domain names {unknown.tolist()}, but the domains of the fit are "
                f"{self.domains_.tolist()}; leave it out for target rows."
            )
        order = np.argsort(self.domains_)
        return order[np.searchsorted(self.domains_, domain, sorter=order)]

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
    def transform(self, X, *, sample_domain=None):
        """Give the features in which the domains are alike.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain, or of any with ``normalization`` other than "domain_batch".
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            Output of the feature extractor.
        """
        return self._infer(X, sample_domain, "features")

    @neutral_surroundings()
    def predict_domain_proba(self, X, *, sample_domain=None):
        """Predict, from the features, the probability of each domain.

        Where adaptation worked, the domain classifier cannot tell the domains apart.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of any domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_domains)
            Probabilities, in the order of `domains_`; domains count alike, whatever their size.

        Raises
        ------
        ValueError
            If there is no domain classifier.
        """
        check_is_fitted(self)
        if self.module_.domain_classifier is None:
            remedy = (
                f"adversarial={self.adversarial!r} trains none. Fit with adversarial='grl'."
                if self.net_.n_targets
                else "the estimator was fitted on the source alone. Pass X_target to fit."
            )
            raise ValueError(f"There is no domain classifier: {remedy}")
        logits = self._infer(X, sample_domain, "domains").astype(np.float64)
        if logits.shape[1] == 1:
            is_target = expit(logits)
            return np.hstack([1.0 - is_target, is_target])
        return softmax(logits, axis=1)

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
