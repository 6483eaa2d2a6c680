"""Domains of single rows: checks of `sample_domain`, and domain indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from skdann._input.containers import plain_objects, shape_of, unwrap


def check_sample_domain(sample_domain: Any, n_rows: int) -> np.ndarray:
    """Return one integer per row of X_source: >= 0 for a source domain, < 0 for a target."""
    if sample_domain is None:
        return np.zeros(n_rows, dtype=np.int64)
    domain = check_domain_vector(sample_domain, n_rows, "X_source")
    if (domain < 0).all():
        raise ValueError(
            "sample_domain is negative in every row, which leaves no labelled source row; give "
            "source rows a domain >= 0."
        )
    return domain


def check_known(row_domain: np.ndarray, domains: Any, estimator: str) -> np.ndarray:
    """Names of the domains, sources first: those of the rows, or, for a chunk, the known ones."""
    found = np.unique(row_domain)
    found = np.concatenate([found[found >= 0], found[found < 0][::-1]])
    if domains is None:
        return found
    known = np.asarray(domains)
    missing = np.setdiff1d(known[known < 0], found)
    if len(missing) or len(np.setdiff1d(found, known)):
        raise ValueError(
            f"X has {found.tolist()} domains, but {estimator} is expecting {known.tolist()} "
            "domains as input: partial_fit continues an earlier fit. A chunk may lack source "
            "domains, but needs rows of every target; pass earlier target rows with it again "
            "(itertools.cycle over the target's chunks), or fit a new estimator."
        )
    return known


def check_domain_vector(sample_domain: Any, n_rows: int, rows_of: str) -> np.ndarray:
    """Check that `sample_domain` holds one integer per row of the argument `rows_of`."""
    sample_domain = unwrap(sample_domain, "sample_domain")
    shape = shape_of(sample_domain)
    if len(shape) != 1:
        raise ValueError(
            f"sample_domain must be 1-D, one integer per row of {rows_of}, but has shape {shape}."
        )
    domain = plain_objects(np.asarray(sample_domain))
    kind = domain.dtype.kind
    with np.errstate(all="ignore"):
        is_whole = (
            kind == "i"
            or (kind == "u" and (domain <= np.iinfo(np.int64).max).all())
            or (
                kind == "f"
                and (np.abs(domain) < 2.0**53).all()
                and (domain == domain.round()).all()
            )
        )
    if not is_whole:
        raise ValueError(
            f"sample_domain must hold integers of ordinary size but has dtype {domain.dtype} and "
            f"values such as {domain[:3].tolist()}; number the source domains 0, 1, ... and mark "
            "target rows with a negative number."
        )
    if len(domain) != n_rows:
        raise ValueError(
            f"sample_domain has {len(domain)} entries but {rows_of} has {n_rows} rows; it needs "
            "one per row."
        )
    return domain.astype(np.int64)


def index_in(known: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Index of each name among distinct names, in whatever order these are."""
    order = np.argsort(known)
    return order[np.searchsorted(known, names, sorter=order)].astype(np.int64)
