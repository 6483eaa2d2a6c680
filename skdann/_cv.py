"""`DANNClassifierCV`: selects how much to adapt, without target labels."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skdann._base import BaseDomainClassifier
from skdann._classifier import DANNClassifier
from skdann._compat import Interval, StrOptions, with_callbacks
from skdann._input.arguments import explain_arguments
from skdann._input.domains import DomainData, check_domains
from skdann._input.labels import class_weights
from skdann._input.messages import warn_user
from skdann._input.parameters import check_can_resume
from skdann._input.pooling import find_placeholders, is_pooled, warn_if_a_class
from skdann._input.rows import check_rows_to_predict
from skdann._input.seeding import draw_seed
from skdann._input.surroundings import neutral_surroundings
from skdann._saving.checkpoint import numbered_checkpoints
from skdann._selection.candidates import (
    Candidate,
    Setting,
    check_path,
    count_networks,
    make_folds,
    make_settings,
    train_candidates,
)
from skdann._selection.outcome import Outcome, select, set_selected
from skdann._selection.rule import Ranking, make_rule
from skdann._training.divergence import warn_if_unlearned
from skdann._training.fitting import Fold
from skdann._training.params import check_constraints, check_params
from skdann._training.progress import as_fit_rows, watch_fit
from skdann._training.recognition import measure_domains

N_FOLDS = 5


class DANNClassifierCV(BaseDomainClassifier):
    r"""Domain-adversarial classifier that selects how much to adapt, without target labels.

    As LassoCV does for Lasso, it trains a path of lambdas, with each scaling and several seeds, as
    members of one network. Held-out source rows and the predictions for the target select the
    candidates, and decide whether to adapt at all. Lambda 0, the source-only baseline, is always a
    candidate and is kept if the evidence for the others is weak.

    Parameters
    ----------
    estimator : DANNClassifier or None, default=None
        Classifier with all parameters except lambda, scaling and seed, which `lambdas`,
        `standardize` and `random_state` replace; None uses ``DANNClassifier()``. With a
        `checkpoint`, each trained network writes a separate file, "path.0", "path.1", ...
    lambdas : sequence of float, default=(0.1, 0.3, 1.0)
        Candidates for ``lambda_max``; 0 is added if it is missing.
    standardize : sequence of {None, "source", "domain"}, default=("source", "domain")
        Candidates for the scaling of the columns, each combined with every lambda; the first is the
        scaling of the source-only baseline. Sparse input uses the first one only.
    n_seeds : int, default=3
        Number of members per candidate. Each member holds out a different fifth of the source rows,
        on which it is evaluated; the members' probabilities are averaged.
    scoring : callable or None, default=None
        Scorer from :mod:`skdann.model_selection`, or any ``scorer(estimator, X, y)``, called for
        each member with its held-out source rows; a candidate's score is the mean over its members.
        None uses the default rule, see Notes.
    margin : float or None, default=None
        Required lead of a candidate's score over the score of the source-only baseline. A higher
        margin is safer, but adaptation helps less often. None is 0.05 for the default rule, whose
        scores are at most 2, and with `scoring` the scorer's attribute `margin`, or 0.
    aggregate : {"passing", "best"}, default="passing"
        Candidates that are averaged: every candidate whose score exceeds the baseline's by the
        margin, or the best candidate alone, a model up to seven times smaller and faster. If no
        candidate does, the baseline is selected.
    random_state : int, RandomState instance or None, default=None
        Controls the seeds of the members and the folds. Pass an int for bit-identical results.
    verbose : int, default=0
        Verbosity: 1 shows a progress bar over the epochs of all networks, 2 prints a line per
        epoch.

    Attributes
    ----------
    adapted_ : bool
        Whether a candidate other than the source-only baseline is selected.
    lambda_ : float
        ``lambda_max`` of the best-scoring selected candidate.
    standardize_ : {None, "source", "domain"}
        Scaling of the best-scoring selected candidate.
    best_index_ : int
        Index of the best-scoring selected candidate in `scores_` and `candidates_`.
    margin_ : float
        Required lead over the baseline's score: `margin`, or the default of the rule.
    reason_ : str
        Reason for the selection, in one line.
    shift_ : {"none", "label", "other", ""}
        Difference between the domains according to the default rule: "none" if they hardly differ,
        "label" if they differ in their class shares and hardly otherwise, "other" if they differ
        once the class shares are matched; "" with `scoring` or without target rows.
    scores_ : list of dict
        One entry per candidate, ready for a DataFrame: "lambda_max", "standardize", "score", the
        figures that the score consists of, "weight" (share in the predictions), and "error" if its
        training failed.
    candidates_ : list of list of DANNClassifier
        Members of each candidate, in the order of `scores_`. With ``aggregate="best"``, only the
        members of the selected candidate stay fitted.
    members_ : list of DANNClassifier
        Members of the selected candidates, which predict.
    weights_ : ndarray of shape (n_members,)
        Weights of `members_` in the predictions; they sum to one.
    classes_, domains_, n_features_in_, feature_names_in_, columns_, target_priors_
        As in :class:`DANNClassifier`.

    Warns
    -----
    SourceOnlyWarning
        If there are no target rows.
    FitFailedWarning
        If the training of a candidate other than the baseline diverges; it cannot be selected.

    See Also
    --------
    DANNClassifier : Classifier with a given lambda.
    skdann.model_selection : Scorers that need no target labels.

    Notes
    -----
    By default, the score of a candidate is the sum of two figures. The first is the information in
    its predictions for the target [2]_, as a share of the maximum. The second is the balanced
    accuracy of reverse validation [1]_: a logistic regression learns those predictions and is
    scored on the source. Candidates whose score exceeds the baseline's by more than `margin` are
    selected, provided that the domains still differ (linear domain AUC of 0.6 or more) after the
    source classes are weighted to the estimated class shares of the target. No rule is safe on
    every table: see the figures in the guide.

    A member equals, up to rounding, a :class:`DANNClassifier` with its parameters that is fitted on
    the rows of its fold. Custom modules, callbacks and early stopping are supported, but then
    members are trained one at a time. With ``label_shift`` in `estimator`, the class shares of the
    target are estimated once, from all source rows; "correct" changes the predictions, but not the
    probabilities that the rule compares.

    scikit-learn's callbacks (version 1.9 or newer) are set on this estimator and are notified of
    each network and epoch. Callbacks set on `estimator` are not called.

    References
    ----------
    .. [1] Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016.
    .. [2] Musgrave, Belongie, Lim, "Three New Validators and a Large-Scale Benchmark Ranking for
       Unsupervised Domain Adaptation", arXiv:2208.07360, 2022.

    Examples
    --------
    >>> from skdann import DANNClassifier, DANNClassifierCV
    >>> from skdann.datasets import make_inter_twinning_moons
    >>> X_source, y_source, X_target, _ = make_inter_twinning_moons(random_state=0)
    >>> clf = DANNClassifierCV(DANNClassifier(max_epochs=5), n_seeds=2, random_state=0)
    >>> clf.fit(X_source, y_source, X_target).predict(X_target).shape
    (300,)
    >>> len(clf.scores_)
    8
    """

    __metadata_request__fit: ClassVar = {"X_source": UNUSED, "y_source": UNUSED, "X_target": True}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [DANNClassifier, None],
        "lambdas": ["array-like"],
        "standardize": [tuple, list],
        "n_seeds": [Interval(Integral, 1, None, closed="left")],
        "scoring": [None, callable],
        "margin": [None, Interval(Real, 0, None, closed="left")],
        "aggregate": [StrOptions({"passing", "best"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _member_class: ClassVar = DANNClassifier

    def __init__(
        self,
        estimator=None,
        *,
        lambdas=(0.1, 0.3, 1.0),
        standardize=("source", "domain"),
        n_seeds=3,
        scoring=None,
        margin=None,
        aggregate="passing",
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.lambdas = lambdas
        self.standardize = standardize
        self.n_seeds = n_seeds
        self.scoring = scoring
        self.margin = margin
        self.aggregate = aggregate
        self.random_state = random_state
        self.verbose = verbose

    @explain_arguments
    @neutral_surroundings()
    def fit(self, X_source, y_source, X_target=None, *, sample_weight=None, sample_domain=None):
        """Train all candidates on source and target rows, and select among them.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain, as in :meth:`DANNClassifier.fit`.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled rows of the target domain. None trains the source-only baseline alone.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`DANNClassifier.fit`.

        Returns
        -------
        DANNClassifierCV
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is invalid, before any training.
        DivergenceError
            If the source-only baseline diverges (a ValueError). After any error the estimator is
            unchanged.
        """
        check_constraints(self)
        check_path(self.lambdas, self.standardize)
        base = DANNClassifier() if self.estimator is None else clone(self.estimator)
        check_can_resume(base.checkpoint, self.random_state)
        checkpoint = base.checkpoint
        check_constraints(base)  # before parameters are replaced
        _warn_if_replaced(base, self.lambdas, self.standardize)
        base.set_params(verbose=self.verbose or base.verbose, warm_start=False, checkpoint=None)
        check_params(base)
        data = check_domains(
            X_source,
            y_source,
            X_target,
            sample_weight=sample_weight,
            sample_domain=sample_domain,
            estimator=type(self).__name__,
        )
        if data.n_source < 2:
            raise ValueError(
                f"X_source has {data.n_source} row, but {type(self).__name__} needs 2 or more, "
                "because it evaluates its candidates on held-out rows."
            )
        settings = make_settings(self.lambdas, self.standardize, data)
        rows = as_fit_rows(X_source, y_source, sample_weight, sample_domain)
        placeholders = find_placeholders(y_source, sample_domain, data.classes)
        warn_if_a_class(placeholders, data.classes, self)
        self._fit_path(base, settings, data, rows, checkpoint)
        self._is_pooled, self._placeholders = is_pooled(sample_domain), placeholders
        return self

    def set_params(self, **params):
        """Set parameters, those of `estimator` with the prefix ``estimator__``.

        Parameters
        ----------
        **params : dict
            Parameters. With ``estimator=None`` those of `estimator` replace defaults of
            ``DANNClassifier()``.

        Returns
        -------
        DANNClassifierCV
            The estimator itself.
        """
        is_nested = any(name.startswith("estimator__") for name in params)
        if is_nested and params.get("estimator", self.estimator) is None:
            params = {**params, "estimator": DANNClassifier()}
        return super().set_params(**params)

    @with_callbacks
    def _fit_path(
        self,
        base: DANNClassifier,
        settings: list[Setting],
        data: DomainData,
        rows: dict[str, Any],
        checkpoint: Any,
    ):
        """Train all candidates and select; fitted attributes are set only if all succeeds."""
        seeds, fold_seed = self._seeds()
        folds = make_folds(data, self.n_seeds, N_FOLDS, fold_seed)
        n_networks = count_networks(base, settings, self.n_seeds)
        watched = watch_fit(
            self, base.max_epochs, n_networks=n_networks, verbose=base.verbose, rows=rows
        )
        with numbered_checkpoints(checkpoint) as next_checkpoint, watched as listeners:
            candidates = train_candidates(
                base, data.without_names(), folds, settings, seeds, listeners, next_checkpoint
            )
            weights = class_weights(base.class_weight, data.y, data.classes, data.weight)
            warn_if_unlearned(candidates[0].members[0].history_, data, weights)
            outcome = self._select(candidates, folds, data, fold_seed)
            self._set_columns(data)
            members = [c.members for c in candidates]
            if self.aggregate == "best":  # only the selected members stay fitted
                selected = outcome.weights > 0
                pairs = zip(members, selected, strict=True)
                members = [m if is_kept else [clone(one) for one in m] for m, is_kept in pairs]
            set_selected(self, members, outcome)
            self._domain_statistics = measure_domains(data, self.members_)
            return self

    def _select(
        self, candidates: list[Candidate], folds: list[Fold], data: DomainData, seed: int
    ) -> Outcome:
        """Rank the candidates by the default rule or by `scoring`, and select."""
        if len(candidates) == 1:
            objection = (
                "the source-only baseline is the only candidate"
                if data.n_targets
                else "there are no target rows to adapt to"
            )
            ranking = Ranking([{"score": 0.0}], objection)
        else:
            ranking = make_rule(self.scoring, seed).rank(candidates, folds, data)
        return select(candidates, ranking, self.margin_, self.aggregate)

    @property
    def margin_(self) -> float:
        """Required lead of a candidate's score over the source-only baseline's."""
        return make_rule(self.scoring).margin if self.margin is None else float(self.margin)

    def _seeds(self) -> tuple[list[int], int]:
        """Draw one seed per member, the same for every candidate, and one for the folds."""
        *seeds, fold_seed = np.random.SeedSequence(draw_seed(self.random_state)).generate_state(
            self.n_seeds + 1
        )
        return [int(seed) for seed in seeds], int(fold_seed)

    def _set_columns(self, data: DomainData) -> None:
        self.__dict__.pop("feature_names_in_", None)
        self._other_names = data.other_names
        if data.feature_names is not None:
            self.feature_names_in_ = data.feature_names
        self.n_features_in_, self._columns = data.n_raw, data.columns
        self.classes_, self.domains_ = data.classes, data.domains

    @property
    def target_priors_(self):
        """Shares of the classes in the target, with `label_shift` in `estimator`."""
        return self.members_[0].target_priors_

    @neutral_surroundings()
    def predict_proba(self, X, *, sample_domain=None):
        """Predict class probabilities, the weighted mean over the selected members.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`DANNClassifier.predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        X = check_rows_to_predict(self, X)
        sample_domain = self._resolve_domain(X, sample_domain)
        return sum(
            weight * member.predict_proba(X, sample_domain=sample_domain)
            for member, weight in zip(self.members_, self.weights_, strict=True)
        )

    def _class_scores(self, X: Any, sample_domain: Any) -> np.ndarray:
        return self.predict_proba(X, sample_domain=sample_domain)

    def _class_log_proba(self, X: Any, sample_domain: Any) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, sample_domain=sample_domain))

    def _diagnosed(self) -> tuple[Any, dict[str, Any]]:
        """Return the first member of the best selected candidate, with column names."""
        member = copy.copy(self.candidates_[self.best_index_][0])
        if hasattr(self, "feature_names_in_"):
            member.feature_names_in_ = self.feature_names_in_
        member._other_names = getattr(self, "_other_names", None)
        member.n_features_in_, member._columns = self.n_features_in_, self._columns
        return member, {"reason": self.reason_, "shift": self.shift_}


def _warn_if_replaced(estimator: DANNClassifier, lambdas: Any, scalings: Any) -> None:
    """Warn of parameters of the inner estimator that the path replaces by others."""
    default = DANNClassifier()
    for name, candidates, remedy in (
        ("lambda_max", [0.0, *lambdas], "tries those in lambdas; add it there"),
        ("standardize", scalings, "tries those in its standardize; add it there"),
        ("warm_start", (), "trains new networks in each fit"),
    ):
        value = getattr(estimator, name)
        if value != getattr(default, name) and value not in candidates:
            warn_user(f"{name}={value!r} of the estimator is not used: DANNClassifierCV {remedy}.")
