"""Conversion of a fitted `DANNClassifierCV`, member by member, to a description and tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from skdann._saving.estimator import (
    build_estimator,
    check_statistics,
    collect_tensors,
    describe_columns,
    describe_network,
    describe_params,
    entries_of,
    n_encoded,
    read_columns,
    read_fitted,
    restore_network,
)
from skdann._saving.file import check_entries
from skdann._saving.trees import dump_trees, load_trees, unfitted_trees
from skdann._saving.values import decode_values, encode_values
from skdann._selection.candidates import check_path
from skdann._selection.families import TREES
from skdann._selection.outcome import Outcome, set_selected
from skdann._selection.source_model import check_classes, is_fitted
from skdann._training.params import check_constraints

ENTRIES: dict[str, type] = {
    "params": dict,
    "given": dict,
    "classes": list,
    "domains": list,
    "n_features_in": int,
    "scores": list,
    "reason": str,
    "candidates": list,
}
PREFIX = "estimator__"
GIVEN = "given"  # a model of the user, which is passed to `load` again


def describe_search(search: Any) -> dict[str, Any]:
    """Return everything in a fitted search except its tensors, as JSON."""
    params = describe_params(search)
    params["params"].pop("estimator", None)
    params["given"].pop("estimator", None)
    base = None if search.estimator is None else describe_params(search.estimator)
    if base:
        params["given"] |= {PREFIX + name: kind for name, kind in base["given"].items()}
    return {
        **params,
        **describe_columns(search),
        "estimator": base,
        "scores": [encode_values(row)[0] for row in search.scores_],
        "reason": search.reason_,
        "shift": search.shift_,
        "changed_share": search.changed_share_,
        "held_out": search.held_out_,
        "source_moments": [moment.tolist() for moment in search._source_moments],
        "candidates": [
            [_describe_member(search, member) for member in members]
            for members in search.candidates_
        ],
    }


def _describe_member(search: Any, member: Any) -> dict[str, Any]:
    """Return a member as JSON; a model of the user is passed to `load` again."""
    if hasattr(member, "net_"):
        return describe_network(member)
    if isinstance(member, search._member_class):
        return describe_params(member)
    return {"class": TREES if search.baseline is None else GIVEN}


def collect_search_tensors(search: Any) -> dict[str, Tensor]:
    """Return the tensors of all fitted members, with candidate and member index in the names."""
    return {
        f"{candidate}.{member}.{name}": tensor
        for candidate, members in enumerate(search.candidates_)
        for member, classifier in enumerate(members)
        for name, tensor in _member_tensors(search, classifier).items()
    }


def _member_tensors(search: Any, member: Any) -> dict[str, Tensor]:
    if hasattr(member, "net_"):
        return collect_tensors(member)
    is_trees = hasattr(member, "classes_") and search.baseline is None
    return {"skops": dump_trees(member)} if is_trees else {}


def build_search(cls: Any, member_cls: Any, description: dict[str, Any], overrides: Any) -> Any:
    """Create a search and its members from saved parameters, some of them overridden."""
    nested = {
        name.removeprefix(PREFIX): value for name, value in overrides.items() if _is_nested(name)
    }
    others = {name: value for name, value in overrides.items() if not _is_nested(name)}
    base = description["estimator"]
    estimator = None if base is None else build_estimator(member_cls, base["params"], nested)
    search = cls(estimator, **{**decode_values(description["params"]), **others})
    check_constraints(search)
    check_path(search.lambdas, search.standardize)
    for name in ("lambda_max", "standardize", "pseudo_labels", "random_state"):
        nested.pop(name, None)
    search.candidates_ = [
        [_build_member(search, member_cls, member, nested) for member in members]
        for members in description["candidates"]
    ]
    return search


def _build_member(search: Any, member_cls: Any, entry: dict[str, Any], nested: Any) -> Any:
    if entry["class"] == TREES:
        return unfitted_trees()  # replaced as a whole if it was fitted
    if entry["class"] == GIVEN:
        if not is_fitted(search.baseline):
            raise ValueError("baseline must be the fitted model, the last one of candidates_")
        return search.baseline
    return build_estimator(member_cls, entry["params"], nested)


def restore_search(search: Any, description: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Set the fitted attributes of a search; return the arguments of `restore_network`.

    All members are checked before any network is built.
    """
    search_columns = read_columns(description)
    scores = [decode_values(row) for row in description["scores"]]
    _check_scores(scores, search.candidates_)
    columns = ("classes_", "domains_")
    fitted, parts = [], _by_member(tensors)
    n_features = n_encoded(search_columns)
    for candidate, members in enumerate(description["candidates"]):
        for member, entry in enumerate(members):
            part = parts.pop(f"{candidate}.{member}", {})
            if entry["class"] == TREES and part:
                trees = load_trees(part["skops"], search_columns["classes_"], n_features)
                search.candidates_[candidate][member] = trees
            elif entry["class"] == TREES and scores[candidate]["weight"] > 0:
                raise ValueError(f"candidate {candidate} is selected, but has no trees")
            if entry["class"] == GIVEN:
                check_classes(search.baseline, search_columns["classes_"])
            if entry["class"] in (TREES, GIVEN):
                continue
            estimator = search.candidates_[candidate][member]
            if "seed" not in entry:  # a member that diverged
                if part or scores[candidate]["weight"] > 0:
                    raise ValueError(
                        f"candidate {candidate} is selected, but a member is not fitted"
                    )
                continue
            check_entries(entry, entries_of(search._member_class))
            attributes, shape = read_fitted(estimator, entry, part)
            is_same = all(
                np.array_equal(attributes[name], search_columns[name]) for name in columns
            )
            if not is_same or n_encoded(attributes) != n_encoded(search_columns):
                raise ValueError(f"member {member} of candidate {candidate} has other columns")
            fitted.append((estimator, attributes, shape, entry, part))
    if parts:
        raise ValueError(f"unknown tensors: {', '.join(sorted(parts)[:9])}")
    check_statistics(search_columns)
    vars(search).update(search_columns)
    rest = description.get("shift", ""), description.get("changed_share")
    outcome = Outcome(scores, description["reason"], *rest)
    set_selected(search, search.candidates_, outcome)
    search.held_out_ = description.get("held_out")
    search._source_moments = _read_moments(description, n_features)
    return fitted


def _read_moments(description: dict[str, Any], n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each column in the source; unknown in files before 0.2."""
    unknown = np.full((2, n_features), np.nan)
    mean, std = np.array(description.get("source_moments", unknown), dtype=float)
    if mean.shape != (n_features,) or not (np.isnan(std) | (std > 0)).all():
        raise ValueError(f"source_moments must be two moments of {n_features} columns")
    return mean, std


def restore_members(fitted: Any) -> None:
    """Rebuild the networks of the members."""
    for member in fitted:
        restore_network(*member)


def known_params(cls: Any, member_cls: Any) -> set[str]:
    """Return the parameter names that `load` accepts: those of the search and its estimator."""
    nested = {PREFIX + name for name in member_cls._get_param_names()}
    return {*cls._get_param_names(), *nested} - {"estimator"}


def _is_nested(name: str) -> bool:
    return name.startswith(PREFIX)


def _by_member(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        candidate, member, rest = name.split(".", 2)
        parts.setdefault(f"{candidate}.{member}", {})[rest] = tensor
    return parts


def _check_scores(scores: list[dict[str, Any]], candidates: list[list[Any]]) -> None:
    """Raise unless each candidate has a score, a valid weight, and members."""
    if len(scores) != len(candidates) or not candidates or not all(candidates):
        raise ValueError(f"{len(scores)} scores for {len(candidates)} candidates")
    weights = [row["weight"] for row in scores]
    if not all(isinstance(weight, float) and 0 <= weight <= 1 for weight in weights):
        raise ValueError(f"the weights are {weights}, not numbers in [0, 1]")
    if not math.isclose(sum(weights), 1.0, abs_tol=1e-6):
        raise ValueError(f"the weights are {weights}, which do not sum to one")
