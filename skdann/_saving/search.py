"""A fitted `DANNClassifierCV` as a description and tensors, and back: its members, one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from skdann._saving.estimator import ENTRIES as MEMBER_ENTRIES
from skdann._saving.estimator import (
    columns_of,
    describe,
    describe_columns,
    describe_params,
    fill,
    make,
    size_up,
    tensors_of,
)
from skdann._saving.file import check_entries
from skdann._saving.values import decode_values, encode_values
from skdann._selection.candidates import check_path
from skdann._selection.outcome import Outcome, set_selected
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


def describe_search(search: Any) -> dict[str, Any]:
    """Everything of a fitted search but its tensors, as JSON can hold it."""
    own = describe_params(search)
    own["params"].pop("estimator", None)
    own["given"].pop("estimator", None)
    base = None if search.estimator is None else describe_params(search.estimator)
    if base:
        own["given"] |= {PREFIX + name: kind for name, kind in base["given"].items()}
    return {
        **own,
        **describe_columns(search),
        "estimator": base,
        "scores": [encode_values(row)[0] for row in search.scores_],
        "reason": search.reason_,
        "shift": search.shift_,
        "candidates": [
            [describe(own) if hasattr(own, "net_") else describe_params(own) for own in members]
            for members in search.candidates_
        ],
    }


def tensors_of_search(search: Any) -> dict[str, Tensor]:
    """Every tensor of every fitted member, by number of candidate and member."""
    return {
        f"{candidate}.{member}.{name}": tensor
        for candidate, members in enumerate(search.candidates_)
        for member, own in enumerate(members)
        if hasattr(own, "net_")
        for name, tensor in tensors_of(own).items()
    }


def make_search(cls: Any, member_cls: Any, description: dict[str, Any], given: Any) -> Any:
    """Make a search, and its members, of the parameters of a file."""
    of_members = {
        name.removeprefix(PREFIX): value for name, value in given.items() if _is_nested(name)
    }
    own = {name: value for name, value in given.items() if not _is_nested(name)}
    base = description["estimator"]
    estimator = None if base is None else make(member_cls, base["params"], of_members)
    search = cls(estimator, **{**decode_values(description["params"]), **own})
    check_constraints(search)
    check_path(search.lambdas, search.standardize)
    for name in ("lambda_max", "standardize", "random_state"):
        of_members.pop(name, None)
    search.candidates_ = [
        [make(member_cls, member["params"], of_members) for member in members]
        for members in description["candidates"]
    ]
    return search


def fill_search(search: Any, description: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Check what the file says of each member, before memory is taken for any; then fill them."""
    own = columns_of(description)
    scores = [decode_values(row) for row in description["scores"]]
    _check_scores(scores, search.candidates_)
    columns = ("classes_", "domains_", "n_features_in_")
    fitted, parts = [], _by_member(tensors)
    for candidate, members in enumerate(description["candidates"]):
        for member, about in enumerate(members):
            part = parts.pop(f"{candidate}.{member}", {})
            estimator = search.candidates_[candidate][member]
            if "seed" not in about:  # a member that diverged
                if part or scores[candidate]["weight"] > 0:
                    raise ValueError(f"candidate {candidate} serves, but a member is not fitted")
                continue
            check_entries(about, MEMBER_ENTRIES)
            found, shape = size_up(estimator, about, part)
            if not all(np.array_equal(found[name], own[name]) for name in columns):
                raise ValueError(f"member {member} of candidate {candidate} has other columns")
            fitted.append((estimator, found, shape, about, part))
    if parts:
        raise ValueError(f"unknown tensors: {', '.join(sorted(parts)[:9])}")
    vars(search).update(own)
    outcome = Outcome(scores, description["reason"], description.get("shift", ""))
    set_selected(search, search.candidates_, outcome)
    return fitted


def fill_members(fitted: Any) -> None:
    """Rebuild the networks of the members."""
    for member in fitted:
        fill(*member)


def known_params(cls: Any, member_cls: Any) -> set[str]:
    """Names that `load` of a search takes: its own, and those of its estimator."""
    of_members = {PREFIX + name for name in member_cls._get_param_names()}
    return {*cls._get_param_names(), *of_members} - {"estimator"}


def _is_nested(name: str) -> bool:
    return name.startswith(PREFIX)


def _by_member(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        candidate, member, own = name.split(".", 2)
        parts.setdefault(f"{candidate}.{member}", {})[own] = tensor
    return parts


def _check_scores(scores: list[dict[str, Any]], candidates: list[list[Any]]) -> None:
    """Check that there is a score and a weight for each candidate, of equally many members."""
    counts = {len(members) for members in candidates}
    if len(scores) != len(candidates) or len(counts) != 1 or counts == {0}:
        raise ValueError(f"{len(scores)} scores of {len(candidates)} candidates")
    weights = [row["weight"] for row in scores]
    if not all(isinstance(weight, float) and 0 <= weight <= 1 for weight in weights):
        raise ValueError(f"the weights are {weights}, not numbers in [0, 1]")
    if not math.isclose(sum(weights), 1.0, abs_tol=1e-6):
        raise ValueError(f"the weights are {weights}, which do not sum to one")
