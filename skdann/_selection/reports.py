"""Reports of a fitted search: the accuracy to expect, doubtful rows, and rows to label."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdann._compat import safe_indexing
from skdann._input.drawing import draw_rows
from skdann._input.labels import plain_labels
from skdann._input.matching import match_target, name_targets
from skdann._input.rows import check_rows_to_predict
from skdann._input.seeding import draw_seed
from skdann._input.surroundings import neutral_surroundings
from skdann._input.target_labels import find_labels
from skdann._selection.evidence import MOST_ROWS
from skdann.inspection._accuracy import AccuracyEstimate, estimate_accuracy, score_source
from skdann.inspection._query import choose_rows
from skdann.inspection._reliability import RowReliability, row_agreement, row_distance


class FamilyReports:
    """Methods of :class:`~skdann.DANNClassifierCV` that compare the predictions of its families.

    They read the fitted attributes of the search, and predict with its `predict_proba` and, by one
    member, `_member_proba`, and the index of the domain of rows, `_domain_index`.
    """

    candidates_: list[list[Any]]
    domains_: np.ndarray
    held_out_: dict[str, Any]
    shift_: str
    random_state: Any
    _source_moments: tuple[Any, Any]
    predict_proba: Any
    _member_proba: Any
    _domain_index: Any

    @neutral_surroundings()
    def estimate_accuracy(self, X_source, y_source, X_target) -> AccuracyEstimate:
        """Estimate the accuracy on the target, without target labels.

        The estimate is the accuracy on source rows that were held out in `fit`, times the share of
        target rows on which two families agree (the mean over all pairs), corrected by what this
        product misses on real tables.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Labelled source rows: those of `fit`, or others, whose accuracy counts if it is lower
            than that of the rows held out in `fit`.
        y_source : array-like of shape (n_source,) or None
            Their labels; None uses the rows held out in `fit` alone.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Unlabelled rows of the target; at most 4,000 of each target are used.

        Returns
        -------
        AccuracyEstimate
            "accuracy", "balanced_accuracy", "interval" (of the accuracy, at 90 %) and "reason". The
            numbers are None if there is no estimate, see Notes.

        Raises
        ------
        ValueError
            If rows, columns or labels do not match the fit.

        Notes
        -----
        The interval holds the quantiles of the error over 102 tasks of real tables. Leaving each
        data set out in turn, it contains the true accuracy on 89 % of the tasks and is 37 points
        wide on average (``benchmarks/estimates.py``). It is a statement on tables like these, not a
        guarantee for yours: where the meaning of the columns changes and all families err alike,
        the accuracy is lower than the interval says.

        If the domains hardly differ (`shift_` is "none"), the estimate is the accuracy on the rows
        held out, and the interval that of a proportion of so many rows.

        No estimate is made if fewer than two families are fitted, if there are fewer than 30
        held-out source rows or target rows, or if families agree on fewer than half of the target
        rows. Labels passed to `fit` as `y_target` are not used.

        That accuracy on the target falls with the agreement of models was found by [1]_ and [2]_.

        References
        ----------
        .. [1] Jiang, Nagarajan, Baek, Kolter, "Assessing Generalization of SGD via Disagreement",
           ICLR 2022.
        .. [2] Baek, Jiang, Raghunathan, Kolter, "Agreement-on-the-Line: Predicting the Performance
           of Neural Networks under Distribution Shift", NeurIPS 2022.

        Examples
        --------
        >>> from skdann import DANNClassifier, DANNClassifierCV
        >>> from skdann.datasets import make_covariate_shift
        >>> X_source, y_source, X_target, y_target = make_covariate_shift(random_state=0)
        >>> clf = DANNClassifierCV(DANNClassifier(max_epochs=10), random_state=0)
        >>> clf = clf.fit(X_source, y_source, X_target)
        >>> estimate = clf.estimate_accuracy(X_source, y_source, X_target)
        >>> low, high = estimate.interval
        >>> low < clf.score(X_target, y_target) < high
        True
        """
        return self._estimate_accuracy(self, X_source, y_source, X_target)

    def _estimate_accuracy(
        self, classifier: Any, X_source: Any, y_source: Any, X_target: Any
    ) -> AccuracyEstimate:
        """Estimate the accuracy of a classifier, this or another, by the families of this one."""
        check_is_fitted(self)
        found = self.held_out_
        if y_source is not None:
            label = plain_labels(y_source, "y_source")
            source = self.domains_[self.domains_ >= 0][0]
            found = score_source(label, classifier.predict(X_source, sample_domain=source))
        held_out = self.held_out_ or found
        lower = {name: min(value, held_out[name]) for name, value in found.items()}
        predictions = self._family_predictions(X_source, X_target, classifier)
        lower["n_rows"] = held_out["n_rows"]
        return estimate_accuracy(predictions, lower, self.shift_)

    @neutral_surroundings()
    def reliability(self, X) -> RowReliability:
        """Return how far the prediction of each row can be trusted.

        Where all families agree, predictions are right more often: on 102 tasks of real tables they
        agree on 61 % of the target rows, and have an accuracy of .80 there and .56 elsewhere (means
        over the tasks, ``benchmarks/estimates.py``).

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Rows of the target domain.

        Returns
        -------
        RowReliability
            "agreement", the share of the families that predict the same class as :meth:`predict`,
            and "distance" from the source, in its standard deviations.

        Examples
        --------
        >>> from skdann import DANNClassifier, DANNClassifierCV
        >>> from skdann.datasets import make_covariate_shift
        >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
        >>> clf = DANNClassifierCV(DANNClassifier(max_epochs=10), random_state=0)
        >>> clf = clf.fit(X_source, y_source, X_target)
        >>> rows = clf.reliability(X_target)
        >>> is_doubtful = rows.agreement < 1  # for a person to look at
        >>> rows.distance.shape
        (500,)
        """
        check_is_fitted(self)
        rows = check_rows_to_predict(self, X)
        agreement = self._agreement(X, rows)
        return RowReliability(agreement, row_distance(rows, *self._source_moments))

    def _agreement(self, X: Any, rows: Any) -> np.ndarray:
        """Return, for each target row, the share of families that predict the class predicted."""
        known = self._only_target()
        families = [self._family_proba(members, X, rows, known) for members in self.candidates_]
        predicted = self.predict_proba(X, sample_domain=known).argmax(axis=1)
        return row_agreement(predicted, [p.argmax(1) for p in families if p is not None])

    def _only_target(self) -> int | None:
        """Return the domain of the target if there is one, None for any target."""
        targets = self.domains_[self.domains_ < 0]
        return int(targets[0]) if len(targets) == 1 else None

    @neutral_surroundings()
    def query(self, X_target, n, *, y_target=None):
        """Choose target rows whose labels would tell most, to pass them as `y_target` of `fit`.

        The rows are those on which the families disagree, spread over the target: one from each of
        n clusters of the rows, which are weighted by the disagreement.

        Parameters
        ----------
        X_target : array-like, data frame or sparse matrix of shape (n_target, n_features)
            Rows of the target.
        n : int
            Number of rows to choose.
        y_target : array-like of shape (n_target,) or None, default=None
            Labels that are known already, NaN or None for the others: such rows are not chosen.

        Returns
        -------
        ndarray of int of shape (n,)
            Indices of rows of `X_target`, in ascending order.

        Raises
        ------
        ValueError
            If there are fewer than `n` rows without a label, or rows or labels do not match.

        Examples
        --------
        >>> import numpy as np
        >>> from skdann import DANNClassifier, DANNClassifierCV
        >>> from skdann.datasets import make_covariate_shift
        >>> X_source, y_source, X_target, truth = make_covariate_shift(random_state=0)
        >>> clf = DANNClassifierCV(DANNClassifier(max_epochs=10), random_state=0)
        >>> clf = clf.fit(X_source, y_source, X_target)
        >>> rows = clf.query(X_target, 20)  # to be labelled by someone
        >>> y_target = np.full(len(X_target), np.nan)
        >>> y_target[rows] = truth[rows]
        >>> clf = clf.fit(X_source, y_source, X_target, y_target=y_target)
        """
        check_is_fitted(self)
        if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n={n!r} must be a whole number >= 1, the number of rows to choose.")
        rows = check_rows_to_predict(self, X_target)
        free = np.arange(rows.shape[0])
        if y_target is not None:
            is_labelled = find_labels(y_target)
            if len(is_labelled) != len(free):
                raise ValueError(
                    f"y_target has {len(is_labelled)} labels, but X_target has {len(free)} rows; "
                    "pass a label for each row, NaN or None where it is unknown."
                )
            free = np.flatnonzero(~is_labelled)
        n_rows = int(n)
        if n_rows > len(free):
            raise ValueError(
                f"n={n} rows cannot be chosen from {len(free)} unlabelled rows; lower n."
            )
        agreement = self._agreement(X_target, rows)[free]
        features = self.candidates_[0][0].transform(rows, sample_domain=self._only_target())
        return free[choose_rows(features[free], agreement, n_rows, draw_seed(self.random_state))]

    def _family_predictions(
        self, X_source: Any, X_target: Any, classifier: Any
    ) -> list[np.ndarray]:
        """Return the class indices that each fitted family predicts for target rows.

        A classifier other than this one counts as one more family.
        """
        parts = []
        for index, (name, X) in enumerate(name_targets(X_target).items()):
            X = match_target(name, X, X_source)
            rows = check_rows_to_predict(self, X)
            drawn = draw_rows(rows.shape[0], MOST_ROWS, draw_seed(self.random_state))
            rows = rows[drawn]
            X = X if isinstance(drawn, slice) else safe_indexing(X, drawn)
            domain = -1 - index if -1 - index in self.domains_ else None  # None: any target
            parts.append([self._family_proba(m, X, rows, domain) for m in self.candidates_])
            if classifier is not self:
                parts[-1].append(classifier.predict_proba(X, sample_domain=domain))
        families = [np.concatenate(p) for p in zip(*parts, strict=True) if p[0] is not None]
        return [proba.argmax(axis=1) for proba in families]

    def _family_proba(
        self, members: list[Any], X: Any, rows: Any, domain: int | None
    ) -> np.ndarray | None:
        """Return the mean class probabilities of a family's members; None if it is not fitted."""
        if not all(hasattr(member, "classes_") for member in members):
            return None
        index = self._domain_index(domain, rows.shape[0])
        return np.mean([self._member_proba(member, X, rows, index) for member in members], axis=0)
