"""`DANNClassifierCV`: a path of lambdas, chosen from without a target label."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from skdann._classifier import DANNClassifier
from skdann._compat import CallbackSupportMixin, Interval, StrOptions, with_callbacks
from skdann._input.domains import DomainData, check_domains
from skdann._saving import load_search, save_search
from skdann._saving.checkpoint import check_can_resume, numbered_checkpoints
from skdann._saving.onnx import save_onnx
from skdann._selection.candidates import Candidate, Fold, count_networks, make_folds, train_path
from skdann._selection.rule import MARGIN, Choice, Evidence, choose, serving_weights
from skdann._training.progress import as_fit_rows, watch_fit
from skdann.inspection._report import Diagnosis

N_FOLDS = 5


class DANNClassifierCV(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    r"""Domain-adversarial classifier that chooses how much to adapt, without target labels.

    What LassoCV is to Lasso: a path of lambdas is trained, with each scaling and several seeds, as
    members of one network; held-out source rows and the predictions for the target decide which
    candidates serve, and whether adapting serves at all. Lambda 0, the source-only twin, is always
    among the candidates, and stays where the evidence for another is weak.

    Parameters
    ----------
    estimator : DANNClassifier or None, default=None
        Everything but lambda, scaling and seed; None takes ``DANNClassifier()``. With a
        `checkpoint` each network trained keeps a file of its own, "path.0", "path.1", ...
    lambdas : sequence of float, default=(0.1, 0.3, 1.0)
        Candidates for ``lambda_max``; 0 is added where it is missing.
    standardize : sequence of {None, "source", "domain"}, default=(None, "domain")
        Candidates for the scaling of the columns, each with every lambda; the first is that of the
        source-only twin. Sparse input takes the first alone.
    n_seeds : int, default=3
        Members of each candidate. Each holds out another fifth of the source rows, on which it is
        judged; the members' probabilities are averaged.
    scoring : callable or None, default=None
        None chooses by the rule under Notes. A scorer of :mod:`skdann.model_selection`, or any
        ``scorer(estimator, X, y)``, is called for each member with its held-out source rows; their
        mean is the candidate's score.
    margin : float or None, default=None
        By how much the score of a candidate must exceed the twin's to be taken: the more, the
        safer, and the less often anything is gained. None is 0.05 for the default rule, whose
        scores are at most 2, and 0 with `scoring`.
    aggregate : {"passing", "best"}, default="passing"
        Whose members predict, by the mean of their probabilities: those of every candidate whose
        score exceeds the twin's by the margin, or of the best candidate alone, a model up to seven
        times smaller and faster. Where none exceeds it, the twin predicts.
    random_state : int, RandomState instance or None, default=None
        From which the seeds and the folds are drawn.
    verbose : int, default=0
        1 shows one progress bar over the epochs of all networks, 2 prints a line an epoch.

    Attributes
    ----------
    adapted_ : bool
        Whether a candidate other than the source-only twin serves.
    lambda_ : float
        Its ``lambda_max``; of several, that of the best score.
    standardize_ : {None, "source", "domain"}
        Its scaling.
    reason_ : str
        Why, in one line.
    scores_ : list of dict
        One entry a candidate: "lambda_max", "standardize", "score", "weight" (its part in the
        predictions) and the evidence; for a DataFrame.
    candidates_ : list of list of DANNClassifier
        The fitted members of every candidate, in the order of `scores_`.
    members_ : list of DANNClassifier
        The members that predict.
    weights_ : ndarray of shape (n_members,)
        Their weights, which sum to one.
    classes_, domains_, n_features_in_, feature_names_in_, target_priors_
        As in :class:`DANNClassifier`.

    See Also
    --------
    DANNClassifier : One lambda.
    skdann.model_selection : Scorers that need no target labels.

    Notes
    -----
    By default the score of a candidate is the information its predictions for the target carry
    [2]_, as a share of the most there can be, plus the balanced accuracy of reverse validation [1]_
    by a logistic regression that learns those predictions and is tried on the source. Candidates
    serve that exceed the twin by `margin`, if the domains still differ (linear domain AUC of 0.6 or
    more) once the classes of the source are weighted to the target's estimated shares. No rule is
    safe on every table: see the figures in the guide.

    A member equals, to rounding, the :class:`DANNClassifier` with its parameters fitted on the
    rows of its fold. Modules of your own, callbacks and early stopping work too, but then members
    train one by one. With ``label_shift`` in `estimator` the target's class shares are found once,
    from all source rows; "correct" corrects the predictions, not what the rule compares.

    scikit-learn's callbacks (from its version 1.9) are set on this estimator and told of each
    network and epoch; those set on `estimator` are not called.

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

    def __init__(
        self,
        estimator=None,
        *,
        lambdas=(0.1, 0.3, 1.0),
        standardize=(None, "domain"),
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X_source, y_source, X_target=None, *, sample_weight=None, sample_domain=None):
        """Train every candidate and choose, on labelled source and unlabelled target rows.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the source domain.
        y_source : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Unlabelled rows of the target domain. Without any, the source-only twin is trained.
        sample_weight, sample_domain : array-like of shape (n_samples,) or None, default=None
            As in :meth:`DANNClassifier.fit`.

        Returns
        -------
        DANNClassifierCV
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input is off, before any training; ValueError if the source-only
            twin diverges. The estimator then stays as it was.
        """
        self._validate_params()
        base = DANNClassifier() if self.estimator is None else clone(self.estimator)
        check_can_resume(base.checkpoint, self.random_state)
        checkpoint = base.checkpoint
        base._validate_params()  # before some of them are replaced
        base.set_params(verbose=self.verbose or base.verbose, warm_start=False, checkpoint=None)
        base._check_params()
        scalings, lambdas = self._checked_path()
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
                f"X_source has {data.n_source} row; {type(self).__name__} holds rows out to judge "
                "its candidates and needs 2 or more."
            )
        is_sparse = not isinstance(data.X, np.ndarray)
        settings = [
            (lambda_max, scaling)
            for scaling in (scalings[:1] if is_sparse else scalings)
            for lambda_max in lambdas
        ]
        settings = settings if data.n_targets else settings[:1]
        rows = as_fit_rows(X_source, y_source, sample_weight, sample_domain)
        return self._fit_path(base, settings, data, rows, checkpoint)

    @with_callbacks
    def _fit_path(
        self,
        base: DANNClassifier,
        settings: list[tuple[float, str | None]],
        data: DomainData,
        rows: dict[str, Any],
        checkpoint: Any,
    ):
        """Train every candidate, choose, and take over the results."""
        seeds, fold_seed = self._seeds()
        folds = make_folds(data, self.n_seeds, N_FOLDS, fold_seed)
        nameless = dataclasses.replace(data, feature_names=None)
        n_networks = count_networks(base, settings, self.n_seeds)
        watched = watch_fit(
            self, base.max_epochs, n_networks=n_networks, verbose=base.verbose, rows=rows
        )
        with numbered_checkpoints(checkpoint) as new_checkpoint, watched as listeners:
            candidates = train_path(
                base, nameless, folds, settings, seeds, listeners, new_checkpoint
            )
            if candidates[0].error:
                raise ValueError(f"The source-only twin failed: {candidates[0].error}")
            choice = self._choose(candidates, folds, data, fold_seed)
            return self._take_over(candidates, choice, data)

    def _choose(
        self, candidates: list[Candidate], folds: list[Fold], data: DomainData, seed: int
    ) -> Choice:
        """Choose by the default rule, or by `scoring`."""
        if len(candidates) == 1:
            return Choice(np.ones(1), [{"score": 0.0}], "there are no target rows to adapt to")
        if self.scoring is None:
            return choose(_evidence(candidates, folds, data), seed, self.aggregate, self._margin())
        return self._choose_by_scoring(candidates, folds, data)

    def _checked_path(self) -> tuple[list[Any], list[float]]:
        """Scalings, and lambdas with 0 first."""
        try:
            lambdas = [float(value) for value in self.lambdas]
        except (TypeError, ValueError):
            lambdas = [np.nan]
        if not all(np.isfinite(value) and value >= 0 for value in lambdas):
            raise ValueError(
                f"lambdas={self.lambdas!r} must hold finite numbers of 0 or more, the candidates "
                "for lambda_max."
            )
        names = [own for own in self.standardize if own is not None]
        is_known = all(isinstance(own, str) and own in ("source", "domain") for own in names)
        if not len(self.standardize) or not is_known:
            raise ValueError(
                f"standardize={self.standardize!r} must hold one or more of None, 'source' and "
                "'domain'."
            )
        return list(dict.fromkeys(self.standardize)), sorted({0.0, *lambdas})

    def _seeds(self) -> tuple[list[int], int]:
        """One seed a member, the same for every candidate, and one of the folds."""
        if self.random_state is None:
            entropy = None
        elif isinstance(self.random_state, Integral):
            entropy = int(self.random_state)
        else:
            entropy = int(self.random_state.randint(2**31 - 1))
        *seeds, fold_seed = np.random.SeedSequence(entropy).generate_state(self.n_seeds + 1)
        return [int(seed) for seed in seeds], int(fold_seed)

    def _choose_by_scoring(
        self, candidates: list[Candidate], folds: list[Fold], data: DomainData
    ) -> Choice:
        """Take the candidates whose mean score exceeds the twin's by the margin, or the best."""
        takes_target = "X_target" in inspect.signature(self.scoring).parameters
        takes_target &= getattr(self.scoring, "X_target", 0) is None
        more = {"X_target": (data.X[data.n_source :],)} if takes_target else {}
        scores = np.array(
            [
                -np.inf
                if candidate.error
                else np.mean(
                    [
                        self._score(
                            member, data.X[fold.valid], data.classes[data.y[fold.valid]], **more
                        )
                        for member, fold in zip(candidate.members, folds, strict=True)
                    ]
                )
                for candidate in candidates
            ]
        )
        scores = np.where(np.isnan(scores), -np.inf, scores)
        best = int(scores.argmax())
        margin = self._margin()
        if scores[0] == -np.inf:
            best, found = 0, "the twin has no score, so there is nothing to compare with"
        elif not (gain := scores[best] - scores[0]) > margin:
            best, found = 0, f"no candidate exceeds the twin's score by more than {margin:g}"
        else:
            found = f"its score exceeds the twin's by {gain:.3g}"
        weights = serving_weights(scores, best, margin, self.aggregate)
        return Choice(weights, [{"score": float(score)} for score in scores], found)

    def _score(self, member: DANNClassifier, X: Any, y: np.ndarray, **more: Any) -> float:
        score = self.scoring(member, X, y, **more)
        if not isinstance(score, Real):
            raise TypeError(f"scoring gave {score!r}; it must give a number, high where good.")
        return float(score)

    def _take_over(self, candidates: list[Candidate], choice: Choice, data: DomainData):
        """Take over the results once all went well."""
        self.__dict__.pop("feature_names_in_", None)
        if data.feature_names is not None:
            self.feature_names_in_ = data.feature_names
        self.n_features_in_ = data.n_features
        self.classes_, self.domains_ = data.classes, data.domains
        scores = [
            {
                "lambda_max": candidate.lambda_max,
                "standardize": candidate.standardize,
                **row,
                "weight": float(weight),
                **({"error": candidate.error} if candidate.error else {}),
            }
            for candidate, row, weight in zip(
                candidates, choice.evidence, choice.weights, strict=True
            )
        ]
        best = max(scores, key=_rank)
        if choice.weights[0] < 1.0:
            scaling = f", standardize={best['standardize']!r}" if best["standardize"] else ""
            n_serving = int((choice.weights > 0).sum())
            reason = (
                f"adapted by {n_serving} of {len(candidates)} candidates, best with lambda "
                f"{best['lambda_max']:g}{scaling}: {choice.found}"
            )
        else:
            reason = f"not adapted: {choice.found}"
        return self._serve([own.members for own in candidates], scores, reason)

    def _serve(self, candidates: list[list[DANNClassifier]], scores: list[dict], reason: str):
        """Predict with the candidates that have a weight."""
        weights = np.array([row["weight"] for row in scores])
        serving, best = np.flatnonzero(weights > 0), max(scores, key=_rank)
        self.candidates_, self.scores_ = candidates, scores
        self.members_ = [member for index in serving for member in candidates[index]]
        n_seeds = len(candidates[0])
        self.weights_ = np.repeat(weights[serving] / n_seeds, n_seeds)
        self.adapted_ = bool(weights[0] < 1.0)
        self.lambda_, self.standardize_ = best["lambda_max"], best["standardize"]
        self.reason_ = reason
        return self

    @property
    def target_priors_(self):
        """Classes' shares in the target, with `label_shift` in `estimator`."""
        return self.members_[0].target_priors_

    def predict_proba(self, X, *, sample_domain=None):
        """Predict class probabilities: the weighted mean of the serving members'.

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
        with np.errstate(over="ignore", invalid="ignore"):  # sums of huge values
            X = validate_data(self, X, reset=False, accept_sparse="csr", dtype="numeric")
        return sum(
            weight * member.predict_proba(X, sample_domain=sample_domain)
            for member, weight in zip(self.members_, self.weights_, strict=True)
        )

    def predict(self, X, *, sample_domain=None):
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`DANNClassifier.predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        best = self.predict_proba(X, sample_domain=sample_domain).argmax(axis=1)
        return self.classes_[best]

    def predict_log_proba(self, X, *, sample_domain=None):
        """Predict logarithms of the class probabilities.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.
        sample_domain : int, array-like of int of shape (n_samples,), or None, default=None
            As in :meth:`DANNClassifier.predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, sample_domain=sample_domain))

    def diagnose(self, X_source, X_target, *, y_source=None) -> Diagnosis:
        """Report on a member of the best candidate, and on what was chosen and why.

        The report is that of :meth:`DANNClassifier.diagnose`; its next step starts from `reason_`.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Rows of the source.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Unlabelled rows of the target.
        y_source : array-like of shape (n_source,) or None, default=None
            Labels of the source rows.

        Returns
        -------
        Diagnosis
            It prints as a report.
        """
        check_is_fitted(self)
        report = self._main_member().diagnose(X_source, X_target, y_source=y_source)
        return dataclasses.replace(report, reason=self.reason_)

    def _main_member(self) -> DANNClassifier:
        """Copy the first member of the best candidate, and tell it the names of the columns."""
        rows = self.scores_
        best = max(range(len(rows)), key=lambda index: _rank(rows[index]))
        member = copy.copy(self.candidates_[best][0])
        if hasattr(self, "feature_names_in_"):
            member.feature_names_in_ = self.feature_names_in_
        return member

    def _margin(self) -> float:
        """By how much a candidate's score must exceed the twin's."""
        if self.margin is not None:
            return float(self.margin)
        return MARGIN if self.scoring is None else 0.0

    # -- saving ---------------------------------------------------------------------------------

    def save(self, path):
        """Save the fitted estimator, every candidate with it, in one safetensors file.

        As :meth:`DANNClassifier.save` does: no pickle, and an existing file is replaced in one go.

        Parameters
        ----------
        path : str or path-like
            Where to. No ending is added.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        OSError
            If the file cannot be written.
        ValueError
            If a module of yours keeps state that is not a tensor.
        """
        save_search(self, path)

    def to_onnx(self, path):
        """Write the serving members as one ONNX graph, as :meth:`DANNClassifier.to_onnx` does.

        Parameters
        ----------
        path : str or path-like
            Where to. An existing file is replaced in one go.
        """
        save_onnx(self, path)

    @classmethod
    def load(cls, path, *, device="cpu", **params):
        """Load an estimator that :meth:`save` wrote; the file runs no code.

        Parameters
        ----------
        path : str or path-like
            The file.
        device : str, default="cpu"
            Where to put the networks, wherever they were.
        **params
            Parameters that JSON cannot hold, and that must be given again: ``scoring``, and with
            the prefix ``estimator__`` those that :meth:`DANNClassifier.load` names. Any other goes
            before the saved one.

        Returns
        -------
        DANNClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError
            If the file is damaged, of another format, class or shape, or if a parameter is missing;
            the text says which.
        TypeError
            If `params` names what is no parameter.
        OSError
            If the file cannot be read.

        Examples
        --------
        >>> import os, tempfile
        >>> from skdann import DANNClassifier, DANNClassifierCV
        >>> from skdann.datasets import make_inter_twinning_moons
        >>> X_source, y_source, X_target, _ = make_inter_twinning_moons(random_state=0)
        >>> clf = DANNClassifierCV(DANNClassifier(max_epochs=2), n_seeds=1, random_state=0)
        >>> proba = clf.fit(X_source, y_source, X_target).predict_proba(X_target)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     clf.save(os.path.join(folder, "moons.skdann"))
        ...     loaded = DANNClassifierCV.load(os.path.join(folder, "moons.skdann"))
        >>> bool((loaded.predict_proba(X_target) == proba).all())
        True
        """
        return load_search(cls, DANNClassifier, path, {**params, "estimator__device": device})


def _rank(row: dict[str, Any]) -> tuple[float, float]:
    """Order candidates by their part in the predictions, then by score."""
    return row["weight"], row["score"]


def _evidence(candidates: list[Candidate], folds: list[Fold], data: DomainData) -> Evidence:
    """What the candidates say of the target rows, and the twin of held-out source rows.

    Nothing is corrected for label shift, which would move all candidates to the same shares.
    """
    X_source, X_target = data.X[: data.n_source], data.X[data.n_source :]
    domain = data.domains[data.domain]
    twin = candidates[0].members
    return Evidence(
        X_source,
        X_target,
        data.y,
        [
            None
            if candidate.error
            else np.mean(
                [
                    member._uncorrected_proba(X_target, domain[data.n_source :])
                    for member in candidate.members
                ],
                axis=0,
            )
            for candidate in candidates
        ],
        np.concatenate([fold.valid for fold in folds]),
        np.concatenate(
            [
                member._uncorrected_proba(X_source[fold.valid], domain[fold.valid])
                for member, fold in zip(twin, folds, strict=True)
            ]
        ),
    )
