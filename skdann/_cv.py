"""`DANNClassifierCV`: adapts in several ways and mixes them, without target labels."""

from __future__ import annotations

import copy
import dataclasses
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax
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
from skdann._input.pooling import (
    find_placeholders,
    is_pooled,
    warn_if_a_class,
)
from skdann._input.rows import check_rows_to_predict
from skdann._input.seeding import draw_seed
from skdann._input.surroundings import neutral_surroundings
from skdann._saving.checkpoint import numbered_checkpoints
from skdann._selection.candidates import (
    Candidate,
    Plan,
    check_path,
    count_networks,
    make_folds,
    make_plan,
    train_candidates,
)
from skdann._selection.evidence import score_held_out
from skdann._selection.families import TREES, find_aggregate, find_families
from skdann._selection.jobs import meanwhile
from skdann._selection.outcome import Outcome, select, set_selected
from skdann._selection.reports import FamilyReports
from skdann._selection.rule import Ranking, make_rule
from skdann._selection.source_model import (
    aligned_proba,
    check_baseline,
    fit_given,
    fit_trees,
)
from skdann._training.distributed import agreed, gather_rows
from skdann._training.divergence import warn_if_unlearned
from skdann._training.fitting import Fold
from skdann._training.params import check_constraints, check_own_params, count_draws, count_epochs
from skdann._training.progress import as_fit_rows, watch_fit
from skdann._training.recognition import measure_domains, measure_source
from skdann.inspection._report import Diagnosis

N_FOLDS = 5


class DANNClassifierCV(FamilyReports, BaseDomainClassifier):
    r"""Classifier that adapts in several ways at once, and mixes them without target labels.

    Ways to adapt fail on different tables, and no evidence without target labels tells beforehand
    which. This classifier therefore trains four families of candidates beside a source-only
    baseline, all networks as members of an ensemble, and averages their probabilities. Weights
    follow the evidence of each family, and no family is trusted alone.

    Pass the model that you use now as `baseline`, and parameters of the networks in `estimator`.

    Parameters
    ----------
    estimator : DANNClassifier or None, default=None
        Classifier with all parameters except lambda, scaling, pseudo-labels and seed, which
        `lambdas`, `standardize`, `families` and `random_state` replace; None uses
        ``DANNClassifier()``. With a `checkpoint`, each trained network writes a separate file,
        "path.0", "path.1", ...
    lambdas : sequence of float, default=(0.3,)
        Values of ``lambda_max`` in the families "alignment" and "balanced"; "alignment" also uses 0
        with every scaling but the first.
    standardize : sequence of {None, "source", "domain"}, default=("source", "domain")
        Scalings of the columns. The first is that of the source-only baseline and of
        "self_training", the last that of "balanced"; "alignment" uses all. Sparse input uses the
        first one only.
    families : sequence of str or None, default=None
        Some of "alignment", "self_training", "balanced" and "trees": families that are trained
        beside the source-only baseline, see Notes. None uses all four or, with `scoring`,
        "alignment" alone.
    baseline : scikit-learn classifier or None, default=None
        Model of the family "trees"; None uses
        :class:`~sklearn.ensemble.HistGradientBoostingClassifier`, but not for sparse input or more
        than 1,000 columns. Pass the model that you use now. It gets the rows as you pass them, and
        needs `predict_proba`. A fitted model is used as it is (but :func:`sklearn.base.clone`, and
        with it cross-validation, makes it unfitted; see
        :class:`~sklearn.frozen.FrozenEstimator`); another one is cloned and fitted on the source.
    n_seeds : int, default=3
        Number of members of each family, with different seeds and, if the family has several
        settings, with these in turn. Each member holds out a different fifth of the source rows.
        With `aggregate` "passing" or "best", every setting has `n_seeds` members.
    scoring : callable or None, default=None
        Scorer from :mod:`skdann.model_selection`, or any ``scorer(estimator, X, y)``, called for
        each member with its held-out source rows; a candidate's score is the mean over its members.
        None uses the default rule, see Notes.
    margin : float or None, default=None
        Required lead of a candidate's score over the score of the source-only baseline, with
        `aggregate` "passing" or "best". None is 0.05 for the default rule, and with `scoring` the
        scorer's attribute `margin`, or 0.
    aggregate : {"mixture", "passing", "best"} or None, default=None
        "mixture" averages all families, with weights by their scores. "passing" averages every
        setting whose score exceeds the baseline's by the margin, and "best" uses the best of them
        alone, a model several times smaller and faster to predict with. None is "mixture" or, with
        `scoring`, "passing".
    random_state : int, RandomState instance or None, default=None
        Controls the seeds of the members and the folds. Pass an int for bit-identical results.
    n_jobs : int or None, default=None
        Maximum number of networks that train at once, in processes of joblib; -1 is all
        cores, and None is 1 unless in a ``joblib.parallel_config`` context. Results are
        bit-identical. It hardly helps members that train together, see the guide.
    verbose : int or None, default=None
        Verbosity: 0 shows nothing, 1 a progress bar over the epochs of all networks; 2 prints a
        line per epoch. None is the `verbose` of `estimator`, by default a bar in a terminal or a
        notebook while a fit takes more than three seconds.

    Attributes
    ----------
    adapted_ : bool
        Whether anything but the source-only baseline predicts.
    changed_share_ : float or None
        Share of the target rows (at most 4,000) whose predicted class differs from the source-only
        baseline's. The accuracies of both on these rows cannot differ by more than this share. 0 if
        the baseline predicts alone; None if `scoring` selected others.
    reason_ : str
        What is mixed or selected and why, in one line.
    shift_ : {"none", "label", "other", ""}
        Difference between the domains according to the default rule: "none" if they hardly differ,
        "label" if they differ in their class shares and hardly otherwise, "other" if they differ
        once the class shares are matched; "" with `scoring` or without target rows.
    scores_ : list of dict
        One entry per candidate, ready for a DataFrame: "family", "lambda_max" and "standardize"
        (tuples if its members differ), "score", the figures that the score consists of (with
        `y_target` also "labels_right", a number of held-out target labels), "weight"
        (share in the predictions), and "error" if its training failed. Candidates are families or,
        with `aggregate` "passing" or "best", settings; the first is the source-only baseline.
    candidates_ : list of list of classifiers
        Members of each candidate, in the order of `scores_`: each a :class:`DANNClassifier` or, in
        the family "trees", a scikit-learn classifier. With ``aggregate="best"``, only the members
        of the selected candidate stay fitted.
    members_ : list of classifiers
        Members of the candidates with a positive weight, which predict.
    weights_ : ndarray of shape (n_members,)
        Weights of `members_` in the predictions; they sum to one.
    best_index_ : int
        Index in `scores_` of the candidate with the greatest weight.
    lambda_, standardize_
        ``lambda_max`` and scaling of this candidate; tuples if its members differ.
    held_out_ : dict
        "accuracy" and "balanced_accuracy" of the source-only baseline on the source rows that its
        members held out, and their number, "n_rows".
    margin_ : float
        Required lead over the baseline's score: `margin`, or the default of the rule.
    classes_, domains_, n_features_in_, feature_names_in_, columns_, target_priors_
        As in :class:`DANNClassifier`.

    Warns
    -----
    SourceOnlyWarning
        If there are no target rows.
    FitFailedWarning
        If the training of a candidate other than the baseline diverges; it gets no weight.

    See Also
    --------
    DANNClassifier : Classifier with a given way and strength of adaptation.
    skdann.model_selection : Scorers that need no target labels.

    Notes
    -----
    The families, and what each assumes:

    - "alignment": features match as a whole. Adversarial training and scaling by domain.
    - "self_training": the decision of the source is right where it is surest. ``lambda_max=0`` and
      ``pseudo_labels="train"``; nothing is aligned.
    - "balanced": features match class by class. ``pseudo_labels="balance"``, with ``lambda_max`` as
      in `lambdas`.
    - "trees": nothing; another kind of learner, trained on the source.

    The first pseudo-labels are the mean prediction of the source-only baseline.

    The score of a candidate is the information in its predictions for the target [2]_, as a share
    of the maximum, plus the balanced accuracy of reverse validation [1]_ on columns scaled by the
    source and on columns scaled in each domain (a logistic regression learns the predictions and is
    scored on the source), minus half the share of target rows predicted otherwise than by the
    baseline. A mixture has weights :math:`w_i \propto \exp(s_i / 0.3)` for scores :math:`s_i`.
    Evidence reads at most 4,000 rows of each domain.

    With `y_target`, all families are trained on the labels: the trees with one model for each seed,
    on as many repetitions of the labelled rows as there are source rows.
    Each seed holds out a different third of the labels (with more than three seeds, a smaller
    part). Every held-out label that a family predicts right adds 0.1 to its score, and the baseline
    is mixed like the other families, whatever the difference between the domains. A model passed as
    `baseline` gets no target labels. If there are fewer labels than three, or than seeds, all
    are trained on and none is held out.

    The source-only baseline predicts alone if the domains hardly differ (neither a linear
    classifier nor a random forest reaches a domain AUC of 0.6), or hardly once the source classes
    are weighted to the estimated class shares of the target. No rule is safe on every table: see
    the figures in the guide.

    A member without pseudo-labels equals, up to rounding, a :class:`DANNClassifier` with its
    parameters that is fitted on the rows of its fold. Custom modules, callbacks and early stopping
    are supported, but then members are trained one at a time. With ``label_shift`` in `estimator`,
    the class shares of the target are estimated once, from all source rows; "correct" changes the
    predictions, but not the probabilities that the rule compares. "balanced" members use neither
    `label_shift` nor `class_weight`: their classes have equal shares.

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
    >>> from skdann.datasets import make_covariate_shift
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifierCV(DANNClassifier(max_epochs=5), random_state=0)
    >>> clf.fit(X_source, y_source, X_target).predict(X_target).shape
    (500,)
    >>> [row["family"] for row in clf.scores_]
    ['baseline', 'alignment', 'self_training', 'balanced', 'trees']
    """

    __metadata_request__fit: ClassVar = {
        "X_source": UNUSED,
        "y_source": UNUSED,
        "X_target": True,
        "y_target": True,
    }

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [DANNClassifier, None],
        "lambdas": ["array-like"],
        "standardize": [tuple, list],
        "n_seeds": [Interval(Integral, 1, None, closed="left")],
        "families": [None, tuple, list],
        "baseline": [None, object],
        "scoring": [None, callable],
        "margin": [None, Interval(Real, 0, None, closed="left")],
        "aggregate": [None, StrOptions({"mixture", "passing", "best"})],
        "random_state": ["random_state"],
        "n_jobs": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
        ],
        "verbose": ["verbose", None],
    }

    _member_class: ClassVar = DANNClassifier

    def __init__(
        self,
        estimator=None,
        *,
        lambdas=(0.3,),
        standardize=("source", "domain"),
        families=None,
        baseline=None,
        n_seeds=3,
        scoring=None,
        margin=None,
        aggregate=None,
        random_state=None,
        n_jobs=None,
        verbose=None,
    ):
        self.estimator = estimator
        self.lambdas = lambdas
        self.standardize = standardize
        self.families = families
        self.baseline = baseline
        self.n_seeds = n_seeds
        self.scoring = scoring
        self.margin = margin
        self.aggregate = aggregate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

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
        """Train all candidates on source and target rows, and mix them or select among them.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain, as in :meth:`DANNClassifier.fit`.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Rows of the target domain, of which all candidates share a random sample where there
            are far more than training can draw, as in :class:`DANNClassifier`. None trains the
            source-only baseline alone.
        y_target : array-like of shape (n_target,), tuple of these, or None, default=None
            Labels of some of them, as in :meth:`DANNClassifier.fit`.
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
        with agreed(getattr(self.estimator, "distributed", False)):
            base, families, aggregate, checkpoint = self._checked()
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
            estimator=type(self).__name__,
        )
        if data.n_source < 2:
            raise ValueError(
                f"X_source has {data.n_source} row, but {type(self).__name__} needs 2 or more, "
                "because it evaluates its candidates on held-out rows."
            )
        plan = make_plan(
            self.lambdas,
            self.standardize,
            families,
            self.n_seeds,
            data,
            is_pooled=aggregate == "mixture",
        )
        rows = as_fit_rows(X_source, y_source, sample_weight, sample_domain)
        placeholders = find_placeholders(y_source, sample_domain, data.classes)
        warn_if_a_class(placeholders, data.classes, self)
        model = None
        if self.baseline is not None:
            weights = {"sample_weight": sample_weight, "sample_domain": sample_domain}
            model = fit_given(self.baseline, data, X_source, y_source, X_target, **weights)
        self._fit_path(base, plan, model, data, rows, checkpoint)
        self._is_pooled, self._placeholders = is_pooled(sample_domain), placeholders
        return self

    def _checked(self) -> tuple[DANNClassifier, tuple[str, ...], str, Any]:
        """Check the parameters; return the classifier of the members, families and so on."""
        check_constraints(self)
        check_path(self.lambdas, self.standardize)
        families, aggregate = self._families(), self._aggregate()
        check_baseline(self.baseline, families)
        base = DANNClassifier() if self.estimator is None else clone(self.estimator)
        check_can_resume(base.checkpoint, self.random_state)
        checkpoint = base.checkpoint
        check_constraints(base)  # before parameters are replaced
        _warn_if_replaced(base, self.lambdas, self.standardize)
        verbose = base.verbose if self.verbose is None else self.verbose
        base.set_params(verbose=verbose, warm_start=False, checkpoint=None)
        if base.distributed:
            self._check_one_job()
            base.set_params(random_state=self.random_state)
        check_own_params(base)
        return base, families, aggregate, checkpoint

    def _check_one_job(self) -> None:
        """Raise if a search over processes would start others."""
        if self.n_jobs is not None:
            raise ValueError(
                f"n_jobs={self.n_jobs!r} starts processes of its own; with distributed=True in "
                "the estimator set n_jobs=None."
            )

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

    def _count_draws(self, n_rows: int) -> int:
        check_constraints(self)
        return count_draws(DANNClassifier() if self.estimator is None else self.estimator, n_rows)

    def _families(self) -> tuple[str, ...]:
        return find_families(self.families, has_scorer=self.scoring is not None)

    def _aggregate(self) -> str:
        return find_aggregate(self.aggregate, has_scorer=self.scoring is not None)

    def _source_models(
        self,
        given: Candidate | None,
        base: DANNClassifier,
        data: DomainData,
        folds: list[Fold],
        seed: int,
    ) -> list[Candidate]:
        """Return the candidate of the family "trees": the model given, or trees if they fit."""
        if given is not None:
            return [given]
        if TREES not in self._families() or not data.n_targets or self.baseline is not None:
            return []
        trees = fit_trees(data, base.class_weight, seed, folds)
        return [] if trees is None else [trees]

    @with_callbacks
    def _fit_path(
        self,
        base: DANNClassifier,
        plan: Plan,
        given: Candidate | None,
        data: DomainData,
        rows: dict[str, Any],
        checkpoint: Any,
    ):
        """Train all candidates and select; fitted attributes are set only if all succeeds."""
        seeds, fold_seed = self._seeds()
        folds = make_folds(data, self.n_seeds, N_FOLDS, fold_seed)
        n_networks = count_networks(base, plan)
        n_epochs = count_epochs(base, len(folds[0].train))
        watched = watch_fit(self, n_epochs, n_networks=n_networks, verbose=base.verbose, rows=rows)
        trees = meanwhile(
            self._source_models, given, base, data, folds, seeds[0], n_jobs=self.n_jobs
        )
        with (
            trees as fitted_trees,
            numbered_checkpoints(checkpoint) as next_checkpoint,
            watched as listeners,
        ):
            candidates = train_candidates(
                base,
                data.without_names(),
                folds,
                plan,
                seeds,
                listeners,
                next_checkpoint,
                n_jobs=self.n_jobs,
            )
            weights = class_weights(base.class_weight, data.y, data.classes, data.weight)
            first = candidates[0].members[0]
            warn_if_unlearned(first.history_, data, weights, scales_columns=first._scales_columns())
            candidates += fitted_trees()
            outcome = self._select(candidates, folds, data, fold_seed)
            held_out = score_held_out(candidates[0].members, folds, data)
            self._set_columns(data)
            self.held_out_, self._source_moments = held_out, measure_source(data)
            members = [c.members for c in candidates]
            if self.aggregate == "best":  # only the selected members stay fitted
                selected = outcome.weights > 0
                pairs = zip(members, selected, strict=True)
                members = [m if is_kept else [clone(one) for one in m] for m, is_kept in pairs]
            set_selected(self, members, outcome)
            nets = [member for member in self.members_ if isinstance(member, DANNClassifier)]
            self._domain_statistics = measure_domains(data, nets)
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
        return select(candidates, ranking, self.margin_, self._aggregate())

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
        members = [*self.candidates_[0], *self.members_]
        fitted = (each for each in members if hasattr(each, "net_") and not _is_balanced(each))
        return next(fitted, members[0]).target_priors_

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
        rows = check_rows_to_predict(self, X)
        domain = self._domain_index(self._resolve_domain(rows, sample_domain), rows.shape[0])
        return sum(
            weight * self._member_proba(member, X, rows, domain)
            for member, weight in zip(self.members_, self.weights_, strict=True)
        )

    def _member_proba(self, member: Any, X: Any, rows: Any, domain: Any) -> np.ndarray:
        """Return the class probabilities by one member; a model of the user gets `X` as it is."""
        if isinstance(member, DANNClassifier):
            return softmax(member._score_rows(rows, domain), axis=1)
        if self.baseline is None:
            X = np.asarray(rows.toarray() if sp.issparse(rows) else rows, dtype=np.float32)
        return aligned_proba(member, X, self.classes_)

    def _class_scores(self, X: Any, sample_domain: Any) -> np.ndarray:
        return self.predict_proba(X, sample_domain=sample_domain)

    def _class_log_proba(self, X: Any, sample_domain: Any) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, sample_domain=sample_domain))

    def _diagnose(
        self, X_source: Any, X_target: Any, y_source: Any, names: Any = None
    ) -> Diagnosis:
        """Add the accuracy to expect to the report."""
        report = super()._diagnose(X_source, X_target, y_source, names)
        if not (self.held_out_ or y_source is not None):
            return report
        expected = self._estimate_accuracy(self, X_source, y_source, X_target)
        return dataclasses.replace(report, expected=expected)

    def _diagnosed(self) -> tuple[Any, dict[str, Any]]:
        """Return the first network of the candidate with the greatest weight, then score."""
        rank = [(-row["weight"], -row["score"]) for row in self.scores_]
        order = sorted(range(len(rank)), key=rank.__getitem__)
        networks = (m[0] for m in map(self.candidates_.__getitem__, order) if hasattr(m[0], "net_"))
        member = copy.copy(next(networks, None))
        if member is None:
            raise ValueError(
                "diagnose reports on a network, but aggregate='best' selected the trees and keeps "
                "no network; fit with another aggregate."
            )
        if hasattr(self, "feature_names_in_"):
            member.feature_names_in_ = self.feature_names_in_
        member._other_names = getattr(self, "_other_names", None)
        member.n_features_in_, member._columns = self.n_features_in_, self._columns
        changed = np.nan if self.changed_share_ is None else self.changed_share_
        fields = {"reason": self.reason_, "shift": self.shift_, "changed": changed}
        return member, {**fields, "predictor": self}


def _is_balanced(member: DANNClassifier) -> bool:
    """Whether a network estimates class shares to undo its own balancing of the classes."""
    return bool(member.pseudo_labels == "balance")


def _warn_if_replaced(estimator: DANNClassifier, lambdas: Any, scalings: Any) -> None:
    """Warn of parameters of the inner estimator that the path replaces by others."""
    default = DANNClassifier()
    for name, candidates, remedy in (
        ("lambda_max", [0.0, *lambdas], "tries those in lambdas; add it there"),
        ("standardize", scalings, "tries those in its standardize; add it there"),
        ("pseudo_labels", (), "trains families with and without them; choose by its families"),
        ("warm_start", (), "trains new networks in each fit"),
    ):
        value = getattr(estimator, name)
        if value != getattr(default, name) and value not in candidates:
            warn_user(f"{name}={value!r} of the estimator is not used: DANNClassifierCV {remedy}.")
