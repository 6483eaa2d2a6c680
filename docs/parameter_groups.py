"""Parameters grouped by purpose on the pages of the estimators, the most used ones first.

Docstrings list parameters in the order of ``__init__``, as numpydoc requires. `group_parameters`
splits the list that numpydoc renders into one list per purpose.
"""

from __future__ import annotations

import re
from typing import Any

NETWORKS = ("label_predictor", "domain_classifier", "activation", "dropout", "normalization")
ADAPTATION = (
    *("lambda_schedule", "adversarial", "domain_steps", "conditioning", "domain_loss_weight"),
    "domain_label_smoothing",
)
OPTIMIZATION = ("optimizer", "lr", "lr_schedule", "weight_decay", "batch_size")
COURSE = ("early_stopping", "validation_fraction", "patience", "warm_start", "checkpoint")
RUNNING = ("callbacks", "device", "distributed", "verbose")
FIRST = ("lambda_max", "standardize", "max_epochs", "feature_extractor")
MOST_USED = "Parameters used most"
SHARED = {
    "Networks": NETWORKS,
    "Adaptation": ADAPTATION,
    "Optimization": OPTIMIZATION,
    "Stopping and continuing": COURSE,
    "Running": RUNNING,
}
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "skdann.DANNClassifier": {
        MOST_USED: (*FIRST, "pseudo_labels", "random_state"),
        "Classes": ("class_weight", "label_shift", "target_priors", "label_smoothing"),
        **SHARED,
    },
    "skdann.DANNRegressor": {
        MOST_USED: (*FIRST, "loss", "random_state"),
        "Loss": ("quantile",),
        **SHARED,
    },
    "skdann.DANNClassifierCV": {
        MOST_USED: ("estimator", "baseline", "random_state"),
        "Families": ("families", "lambdas", "standardize", "n_seeds"),
        "Selecting instead of mixing": ("scoring", "margin", "aggregate"),
        "Running": ("n_jobs", "verbose"),
    },
}


def _entries(lines: list[str]) -> dict[str, list[str]]:
    """Split the lines of a parameter list by the name of the first parameter of each entry."""
    entries: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if re.match(r"    \S", line):
            name = re.sub(r"[*`\\]", "", line.strip()).split(" : ")[0].split(",")[0].strip()
        if name:
            entries.setdefault(name, []).append(line)
    return entries


def group_parameters(name: str, lines: list[str]) -> list[str]:
    """Return the lines of a docstring, as numpydoc renders it, with grouped parameters.

    Parameters
    ----------
    name : str
        Dotted name of the object.
    lines : list of str
        Its docstring, with one field list ``:Parameters:``.

    Returns
    -------
    list of str
        The lines; those of other objects are unchanged.

    Raises
    ------
    ValueError
        If a documented parameter has no group.
    """
    if name not in GROUPS or ":Parameters:" not in lines:
        return lines
    start = lines.index(":Parameters:")
    ends = (i for i, line in enumerate(lines) if i > start and re.match(r"\S", line))
    end = next(ends, len(lines))
    entries = _entries(lines[start + 1 : end])
    grouped = []
    for title, members in GROUPS[name].items():
        parts = [entries.pop(member) for member in members if member in entries]
        if parts:
            grouped += [f":{title}:", "", *(line for part in parts for line in part), ""]
    if entries:
        raise ValueError(f"{name}: no group in docs/parameter_groups.py for {sorted(entries)}.")
    return [*lines[:start], *grouped, *lines[end:]]


def process_docstring(
    app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Group the parameters of a class, after numpydoc has rendered its docstring."""
    if what == "class":
        lines[:] = group_parameters(name, lines)
