"""The report of `diagnose`: figures, the sentences derived from them, and how they print.

`RULES` is a table of name, condition and sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from textwrap import fill
from typing import Any, NamedTuple

from skdann.inspection._accuracy import AccuracyEstimate


class ColumnShift(NamedTuple):
    """Shift of a column between the domains.

    Attributes
    ----------
    name : str
        Name of the column.
    ks : float
        Kolmogorov-Smirnov statistic, from 0 to 1.
    mean_shift : float
        Mean of the target minus mean of the source, in pooled standard deviations.
    """

    name: str
    ks: float
    mean_shift: float


class _Change(NamedTuple):
    """A class, and its share in the source and in the target."""

    label: Any
    source: float
    target: float


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Report on a fitted estimator: what shifted, what adaptation did, and the next step.

    :meth:`skdann.DANNClassifier.diagnose` returns it. It prints as a report, in notebooks as HTML.

    Parameters
    ----------
    n_source, n_target, n_features : int
        Number of rows examined in each domain, and number of columns of the table.
    input_auc, feature_auc : float
        Domain AUC of the columns, and of the features: 0.5 if the domains are alike, 1 if they are
        fully separate.
    reweighted_auc : float
        Domain AUC of the columns with source rows weighted to the estimated class shares of the
        target. It is near 0.5 if the domains differ by label shift alone; nan for a regressor.
    columns : tuple of ColumnShift
        The columns that shift most, as (name, ks, mean_shift); empty if no shift exceeds chance.
    source_shares, target_shares, predicted_shares : dict of label to float
        Share of each class in the source, estimated in the target, and predicted in the target;
        empty for a regressor, as are the sentences about classes. `target_shares` is empty unless
        the domains are alike or differ by label shift alone, which the estimate assumes.
    effective_sample_size : float
        Kish's effective sample size of the importance weights of the source rows examined.
    feature_spread : float
        Root mean variance of the target's features over their root mean square.
    lambda_ : float, default=nan
        Lambda in the last epoch; 0 after training without adaptation, nan if not recorded.
    domain_accuracy, label_loss : float, default=nan
        Figures of the last epoch; nan if not recorded.
    first_label_loss : float, default=nan
        Label loss of the first epoch; nan if not recorded.
    reason : str, default=""
        Reason for the selection of DANNClassifierCV; empty for an estimator that selects nothing.
    shift : {"", "none", "label", "other"}, default=""
        How the domains differ according to the rule of DANNClassifierCV. The verdict follows it
        unless it is empty.
    domain_columns : tuple of str, default=()
        Columns that tell the domains apart nearly without error, as a site or a date does; see
        :class:`skdann.DomainColumnWarning`.
    share_intervals : dict of label to (float, float), default={}
        Interval of each share in `target_shares`, at 90 %.
    changed : float, default=nan
        Share of the target rows that DANNClassifierCV predicts otherwise than its source-only
        baseline; nan if unknown.
    expected : AccuracyEstimate or None, default=None
        Accuracy to expect on the target, of DANNClassifierCV.

    See Also
    --------
    skdann.DANNClassifier.diagnose : Makes a report.
    DomainShiftDisplay : The columns that shift most, as a plot.

    Examples
    --------
    >>> from skdann import DANNClassifier
    >>> from skdann.datasets import make_covariate_shift
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(max_epochs=5, random_state=0).fit(X_source, y_source, X_target)
    >>> report = clf.diagnose(X_source, X_target, y_source=y_source)
    >>> list(report.findings)
    ['features_apart']
    >>> report.columns[0].name
    'x0'
    >>> print(report)
    Diagnosis of 500 source rows and 500 target rows, 2 columns
    ...
    """

    n_source: int
    n_target: int
    n_features: int
    input_auc: float
    feature_auc: float
    reweighted_auc: float
    columns: tuple[ColumnShift, ...]
    source_shares: dict[Any, float]
    target_shares: dict[Any, float]
    predicted_shares: dict[Any, float]
    effective_sample_size: float
    feature_spread: float
    lambda_: float = math.nan
    domain_accuracy: float = math.nan
    label_loss: float = math.nan
    first_label_loss: float = math.nan
    reason: str = ""
    shift: str = ""
    domain_columns: tuple[str, ...] = ()
    share_intervals: dict[Any, tuple[float, float]] = field(default_factory=dict)
    changed: float = math.nan
    expected: AccuracyEstimate | None = None

    @property
    def findings(self) -> dict[str, str]:
        """Sentences of the rules that apply, by name of the rule; the first is the verdict."""
        return {name: text.format(d=self) for name, applies, text in RULES if applies(self)}

    @property
    def is_alike(self) -> bool:
        """Whether the columns hardly separate the domains, beyond what chance explains."""
        if self.shift:
            return self.shift == "none"
        # Three standard deviations of the AUC of a fixed score. An out-of-fold AUC varies nearly
        # twice as much.
        n, m = self.n_source, self.n_target
        return self.input_auc < 0.5 + max(0.05, 3 * ((n + m + 1) / (12 * n * m)) ** 0.5)

    @property
    def is_label_shift(self) -> bool:
        """Whether class shares differ, and explain most of what separates the domains."""
        if self.shift:
            return self.shift == "label"
        if not self.source_shares:
            return False
        change = sum(abs(self.target_shares[k] - self.source_shares[k]) for k in self.target_shares)
        is_explained = self.reweighted_auc - 0.5 < 0.4 * (self.input_auc - 0.5)
        return change / 2 > 0.1 and is_explained and not self.is_alike

    @property
    def is_shifted(self) -> bool:
        """Whether the domains differ in another way, which adaptation may correct."""
        return not (self.is_alike or self.is_label_shift or self.is_collapsed)

    @property
    def is_apart(self) -> bool:
        """Whether the features keep more than half of the separation of the domains."""
        return self.feature_auc - 0.5 > max(0.1, 0.5 * (self.input_auc - 0.5))

    @property
    def is_collapsed(self) -> bool:
        """Whether nearly all target rows are predicted as one class, unlike in the source."""
        if not self.source_shares:
            return False
        return self._major.target > 0.95 and self._major.source < 0.8

    @property
    def _named_columns(self) -> str:
        """The columns that tell the domains apart, as text."""
        shown = ", ".join(map(repr, self.domain_columns[:10]))
        more = len(self.domain_columns) - 10
        return f"{shown} and {more} more" if more > 0 else shown

    @property
    def _advice(self) -> str:
        """How to select lambda without target labels, or how it was selected."""
        if self.reason:
            return f"see scores_ of DANNClassifierCV ({self.reason})"
        if not self.source_shares:
            return "compare with lambda_max=0 on some labelled target rows"
        return (
            "compare with lambda_max=0, by DANNClassifierCV or a scorer of skdann.model_selection"
        )

    @property
    def _labels(self) -> str:
        """The word for what the target lacks."""
        return "classes" if self.source_shares else "labels"

    @property
    def _major(self) -> _Change:
        """The most predicted class in the target, with its share in the source and as predicted."""
        label = max(self.predicted_shares, key=self.predicted_shares.__getitem__)
        return _Change(label, self.source_shares[label], self.predicted_shares[label])

    @property
    def _grown(self) -> _Change:
        """The class whose share grows most, with its share in the source and as estimated."""
        label = max(self.source_shares, key=lambda k: self.target_shares[k] - self.source_shares[k])
        return _Change(label, self.source_shares[label], self.target_shares[label])

    @property
    def _grown_interval(self) -> str:
        """The interval of this share, as text."""
        return self._interval(self._grown.label)

    def _interval(self, label: Any) -> str:
        """The interval of a class share, as text; empty if it is unknown."""
        if label not in self.share_intervals:
            return ""
        low, high = self.share_intervals[label]
        return f" ({low:.0%} to {high:.0%})"

    def _share_table(self) -> list[tuple[str, ...]]:
        """Rows of the table of class shares, the estimated ones if there are any."""
        head = ["Class shares", "source", "target, predicted"]
        rows = [
            [str(label), f"{share:.0%}", f"{self.predicted_shares[label]:.0%}"]
            for label, share in self.source_shares.items()
        ]
        if self.target_shares:
            head.append("target, estimated")
            for row, (label, share) in zip(rows, self.target_shares.items(), strict=True):
                row.append(f"{share:.0%}{self._interval(label)}")
        return [tuple(head), *map(tuple, rows)]

    def _tables(self) -> list[list[tuple[str, ...]]]:
        """Rows of each table of the report, with the header first."""
        losses = f"{self.first_label_loss:.2f} to {self.label_loss:.2f}"
        training = [
            ("predicted otherwise than by the baseline", f"{self.changed:.0%}"),
            ("final lambda", f"{self.lambda_:.2g}"),
            ("label loss, first to last epoch", losses),
            ("domain accuracy", f"{self.domain_accuracy:.2f}"),
        ]
        matched = [("columns, class shares matched", f"{self.reweighted_auc:.2f}")]
        class_shares = [self._share_table()]
        if not self.source_shares:
            matched, class_shares = [], []
        return [
            [
                ("Separating the domains", "AUC"),
                ("columns", f"{self.input_auc:.2f}"),
                *matched,
                ("features", f"{self.feature_auc:.2f}"),
            ],
            [
                ("Columns that shift most", "KS", "mean shift"),
                *((c.name, f"{c.ks:.2f}", f"{c.mean_shift:+.2f} SD") for c in self.columns),
                *([] if self.columns else [("none beyond chance",)]),
            ],
            *class_shares,
            *self._expectation(),
            [
                ("Importance weighting", "rows"),
                ("source rows", f"{self.n_source:,}"),
                ("effective sample size", f"{self.effective_sample_size:,.0f}"),
            ],
            [("Training", "value"), *(row for row in training if "nan" not in row[1])],
        ]

    def _expectation(self) -> list[list[tuple[str, ...]]]:
        """Return the table of the accuracy to expect on the target, if it was estimated."""
        if self.expected is None or self.expected.interval is None:
            return []
        low, high = self.expected.interval
        return [
            [
                ("Expected on the target", "estimate", "90 %"),
                ("accuracy", f"{self.expected.accuracy:.2f}", f"{low:.2f}-{high:.2f}"),
                ("balanced accuracy", f"{self.expected.balanced_accuracy:.2f}", ""),
            ]
        ]

    def _title(self) -> str:
        return (
            f"Diagnosis of {self.n_source:,} source rows and {self.n_target:,} target rows, "
            f"{self.n_features:,} columns"
        )

    def __repr__(self) -> str:
        tables = self._tables()
        first = 4 + max(len(row[0]) for table in tables for row in table)
        lines = [self._title(), ""]
        lines += [fill(f"* {text}", 79, subsequent_indent="  ") for text in self.findings.values()]
        for head, *rows in tables:
            cells_by_column = zip(
                head[1:], *(row[1:] for row in rows if len(row) == len(head)), strict=True
            )
            widths = [max(12, *map(len, cells)) + 2 for cells in cells_by_column]
            lines.append("")
            for name, *cells in (head, *(("  " + row[0], *row[1:]) for row in rows)):
                aligned = (f"{c:>{w}}" for c, w in zip(cells, widths, strict=False))
                lines.append(f"{name:{first}}{''.join(aligned)}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = (f"<li>{escape(text)}</li>" for text in self.findings.values())
        parts = [f"<p><strong>{escape(self._title())}</strong></p>", "<ul>", *items, "</ul>"]
        parts += [html_table(head, rows) for head, *rows in self._tables()]
        return "\n".join(["<div>", *parts, "</div>"])


# Exactly one of the rules up to "adapted" applies, as the verdict. The others are warnings.
RULES: tuple[tuple[str, Callable[[Diagnosis], object], str], ...] = (
    (
        "collapse",
        lambda d: d.is_collapsed,
        "The predictions may have collapsed: {d._major.target:.0%} of the target rows are "
        "predicted as class {d._major.label}, which is {d._major.source:.0%} of the source. Next: "
        "check that the target is scaled like the source, lower lambda_max, and {d._advice}.",
    ),
    (
        "alike",
        lambda d: d.is_alike and not d.is_collapsed,
        "Adaptation has little to gain: the domains are nearly alike (AUC {d.input_auc:.2f}). "
        "Next: keep the source-only model (lambda_max=0).",
    ),
    (
        "label_shift",
        lambda d: d.is_label_shift and not d.is_collapsed,
        "Adaptation can harm: label shift is likely. The share of class {d._grown.label} is "
        "estimated as {d._grown.target:.0%}{d._grown_interval} in the target against "
        "{d._grown.source:.0%} in the source, and matching the class shares lowers the AUC from "
        "{d.input_auc:.2f} to {d.reweighted_auc:.2f}. Next: {d._advice}. Avoid domain_batch and "
        "standardize='domain'. If you know the class shares of the target, pass target_priors and "
        "label_shift='correct'.",
    ),
    (
        "not_adapted",
        lambda d: d.is_shifted and not d.lambda_ > 0 and not d.reason,
        "Adaptation may help: the domains differ (AUC {d.input_auc:.2f}), and not by class shares "
        "alone, but this network was trained without adaptation. Next: try lambda_max > 0, and "
        "{d._advice}.",
    ),
    (
        "unchanged",
        lambda d: d.is_shifted and d.reason and d.changed == 0,
        "The domains differ (AUC {d.input_auc:.2f}), and not by class shares alone, but no "
        "prediction for the target differs from the source-only baseline's ({d.reason}).",
    ),
    (
        "changed",
        lambda d: d.is_shifted and d.reason and d.changed != 0,
        "Adaptation may help: the domains differ (AUC {d.input_auc:.2f}), and not by class shares "
        "alone. It is {d.reason}. Next: see estimate_accuracy, and label the target rows on which "
        "the predictions differ, if you can: no other rows tell whether they are better.",
    ),
    (
        "features_apart",
        lambda d: d.is_shifted and d.lambda_ > 0 and d.is_apart and not d.reason,
        "Adaptation may help. The features still separate the domains (AUC {d.feature_auc:.2f}, "
        "the columns {d.input_auc:.2f}), which need not matter for the predictions. "
        "Next: {d._advice}; a higher lambda_max or more epochs align further.",
    ),
    (
        "adapted",
        lambda d: d.is_shifted and d.lambda_ > 0 and not d.is_apart and not d.reason,
        "Adaptation may help, and took effect: the features separate the domains less than the "
        "columns do (AUC {d.feature_auc:.2f} against {d.input_auc:.2f}). This does not show that "
        "the {d._labels} match. Next: {d._advice}.",
    ),
    (
        "flat_features",
        lambda d: d.feature_spread < 0.05,
        "The features hardly differ between target rows: they have collapsed. Next: lower "
        "lambda_max or lr.",
    ),
    (
        "label_loss_rose",
        lambda d: d.label_loss > d.first_label_loss,
        "The loss on the source labels rose during training ({d.first_label_loss:.2f} to "
        "{d.label_loss:.2f}). Next: lower lambda_max or lr.",
    ),
    (
        "no_overlap",
        lambda d: d.effective_sample_size < max(0.02 * d.n_source, 10),
        "The domains hardly overlap: the effective sample size of the source rows, weighted to the "
        "target, is {d.effective_sample_size:.0f}. Next: do not select by importance-weighted "
        "scores.",
    ),
    (
        "domain_columns",
        lambda d: d.domain_columns,
        "These columns tell the domains apart nearly without error: {d._named_columns}. Next: "
        "leave them out unless the label depends on them.",
    ),
    (
        "few_rows",
        lambda d: min(d.n_source, d.n_target) < 100,
        "One domain has fewer than 100 rows, so all figures are imprecise.",
    ),
)


def html_row(cells: tuple[str, ...], tag: str) -> str:
    """Row of a table, with the first cell aligned left and all others aligned right."""
    sides = ["left", *["right"] * (len(cells) - 1)]
    parts = zip(cells, sides, strict=True)
    row = (f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for cell, side in parts)
    return f"<tr>{''.join(row)}</tr>"


def html_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Table of text with a header."""
    body = "\n".join(html_row(row, "td") for row in rows)
    return f"<table>\n<thead>{html_row(head, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
