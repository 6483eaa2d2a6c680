"""Encoders of one column each: numbers, dates, categories, free text, and columns without a value.

Each is fitted on the values of all domains together, holds plain values only, so that a file can
store it, and maps the values of any rows to a fixed number of float columns.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from skdann._input.column_values import as_days, as_numbers, as_strings

MAX_CATEGORIES = 30  # indicators per column
FEW_CATEGORIES = 10  # up to which single rows have an indicator as well
MIN_SHARE = 0.01  # of the rows of some domain, for an indicator of its own
MIN_COVERED = 0.5  # share of the values with an indicator, below which a column is text
N_HASHED = 30  # columns per text
YEAR = 365.2425  # days
WEEK = 7.0
THURSDAY = 3.0  # 1970-01-01, counted from Monday


@dataclasses.dataclass(frozen=True)
class NumberEncoder:
    """Numbers, booleans or durations in days; missing ones become the median."""

    kind: str
    fill: float
    n_encoded: ClassVar[int] = 1

    @classmethod
    def fit(cls, kind: str, parts: Sequence[np.ndarray]) -> NumberEncoder:
        """Take the median of all rows."""
        return cls(kind, float(np.nanmedian(np.concatenate([_numbers(kind, p) for p in parts]))))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return one column."""
        numbers = _numbers(self.kind, values)
        return np.where(np.isnan(numbers), self.fill, numbers)[:, None]

    def names(self, name: str) -> list[str]:
        """Return the name of the column."""
        return [name]

    @property
    def treatment(self) -> str:
        """Short description of the encoding."""
        unit = {"number": "number", "boolean": "0 or 1", "duration": "number of days"}[self.kind]
        return f"{unit}; missing: {self.fill:.4g}"


@dataclasses.dataclass(frozen=True)
class DateEncoder:
    """Dates as a day number, the time of the year on a circle, the weekday, the time of day."""

    fill: float
    has_time: bool
    kind: ClassVar[str] = "date"

    @classmethod
    def fit(cls, parts: Sequence[np.ndarray]) -> DateEncoder:
        """Take the median of all rows, and find out whether there are times."""
        days = np.concatenate([as_days(part) for part in parts])
        return cls(float(np.nanmedian(days)), bool((np.nan_to_num(days) % 1.0).any()))

    @property
    def n_encoded(self) -> int:
        """Number of encoded columns."""
        return len(self.names(""))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return four columns, or six with a time of day."""
        days = as_days(values)
        days = np.where(np.isnan(days), self.fill, days)
        columns = [days, *_circle(days / YEAR), (np.floor(days) + THURSDAY) % WEEK]
        return np.stack([*columns, *(_circle(days % 1.0) if self.has_time else [])], axis=1)

    def names(self, name: str) -> list[str]:
        """Return names of the encoded columns."""
        parts = ["day", "year sin", "year cos", "weekday"]
        parts += ["time sin", "time cos"] if self.has_time else []
        return [f"{name} ({part})" for part in parts]

    @property
    def treatment(self) -> str:
        """Short description of the encoding."""
        time = ", time of day" if self.has_time else ""
        return f"day number, time of year, weekday{time}; missing: the median date"


@dataclasses.dataclass(frozen=True)
class CategoryEncoder:
    """Indicators of the most frequent categories, and of all others; zeros where missing."""

    categories: tuple[str, ...]
    has_others: bool
    kind: ClassVar[str] = "category"

    @classmethod
    def fit(cls, parts: Sequence[np.ndarray]) -> CategoryEncoder | TextEncoder:
        """Count the categories of each domain; a column of many rare values is text."""
        counts = [
            Counter(each for each in as_strings(p).tolist() if each is not None) for p in parts
        ]
        shares: dict[str, float] = {}
        for count in counts:
            for category, n_rows in count.items():
                share = n_rows / count.total()
                shares[category] = max(share, shares.get(category, 0.0))
        is_small = len(shares) <= FEW_CATEGORIES
        repeated = {c for count in counts for c, n_rows in count.items() if n_rows > 1 or is_small}
        ranked = sorted(repeated, key=lambda category: (-shares[category], category))
        kept = [c for c in ranked[:MAX_CATEGORIES] if shares[c] >= MIN_SHARE]
        covered = [sum(count[c] for c in kept) / count.total() for count in counts if count]
        if min(covered) < MIN_COVERED:
            return TextEncoder()
        return cls(tuple(sorted(kept)), len(kept) < len(shares))

    @property
    def n_encoded(self) -> int:
        """Number of encoded columns."""
        return len(self.categories) + self.has_others

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return one column per category, and one for all others, if the fit had any."""
        index: dict[Any, int] = {each: i for i, each in enumerate(self.categories)}
        n_known = len(index)
        rows = as_strings(values).tolist()
        found = np.array([-1 if each is None else index.get(each, n_known) for each in rows])
        return (found[:, None] == np.arange(self.n_encoded)).astype(np.float32)

    def names(self, name: str) -> list[str]:
        """Return names of the encoded columns."""
        others = [f"{name}: others"] if self.has_others else []
        return [*(f"{name}={category}" for category in self.categories), *others]

    @property
    def treatment(self) -> str:
        """Short description of the encoding."""
        others = " and of all others" if self.has_others else ""
        return f"indicators of {len(self.categories)} categories{others}; missing: zeros"


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """Character n-grams of free text, hashed to a fixed number of columns; zeros where missing."""

    kind: ClassVar[str] = "text"
    n_encoded: ClassVar[int] = N_HASHED

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return `N_HASHED` columns."""
        from sklearn.feature_extraction.text import HashingVectorizer  # slow to import

        texts = as_strings(values)
        distinct = list(dict.fromkeys(texts.tolist()))
        hashing = HashingVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), n_features=N_HASHED, dtype=np.float32
        )
        hashed = hashing.transform([each or "" for each in distinct]).toarray()
        place = {each: index for index, each in enumerate(distinct)}
        return hashed[[place[each] for each in texts.tolist()]]

    def names(self, name: str) -> list[str]:
        """Return names of the encoded columns."""
        return [f"{name} (hash {index})" for index in range(N_HASHED)]

    @property
    def treatment(self) -> str:
        """Short description of the encoding."""
        return "hashed character n-grams, as there are too many categories; missing: zeros"


@dataclasses.dataclass(frozen=True)
class EmptyEncoder:
    """A column without any value, which is left out."""

    kind: ClassVar[str] = "empty"
    n_encoded: ClassVar[int] = 0

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return no column."""
        return np.empty((len(values), 0))

    def names(self, name: str) -> list[str]:
        """Return no name."""
        return []

    @property
    def treatment(self) -> str:
        """Short description of the encoding."""
        return "left out, as no row of the fit had a value"


Encoder = NumberEncoder | DateEncoder | CategoryEncoder | TextEncoder | EmptyEncoder


def fit_encoder(kind: str, parts: Sequence[np.ndarray]) -> Encoder:
    """Fit the encoder of a column of this kind on the values of each domain."""
    if kind == "empty":
        return EmptyEncoder()
    if kind == "date":
        return DateEncoder.fit(parts)
    return CategoryEncoder.fit(parts) if kind == "category" else NumberEncoder.fit(kind, parts)


def describe_encoder(encoder: Encoder) -> dict[str, Any]:
    """Return an encoder as plain values."""
    return {"kind": encoder.kind, **dataclasses.asdict(encoder)}


def read_encoder(entry: dict[str, Any]) -> Encoder:
    """Return the encoder of plain values; raise ValueError if they are none."""
    kind, rest = entry["kind"], {k: v for k, v in entry.items() if k != "kind"}
    encoder: Encoder | None = None
    if kind in ("number", "boolean", "duration") and set(rest) == {"fill"}:
        encoder = NumberEncoder(kind, float(rest["fill"]))
    elif kind == "date" and set(rest) == {"fill", "has_time"}:
        encoder = DateEncoder(float(rest["fill"]), bool(rest["has_time"]))
    elif kind == "category" and set(rest) == {"categories", "has_others"}:
        categories = tuple(rest["categories"])
        if all(isinstance(each, str) for each in categories) and len(categories) <= MAX_CATEGORIES:
            encoder = CategoryEncoder(categories, bool(rest["has_others"]))
    elif kind in ("text", "empty") and not rest:
        encoder = TextEncoder() if kind == "text" else EmptyEncoder()
    if encoder is None or not np.isfinite(getattr(encoder, "fill", 0.0)):
        raise ValueError(f"{entry} does not describe an encoded column")
    return encoder


def _numbers(kind: str, values: np.ndarray) -> np.ndarray:
    return as_days(values) if kind == "duration" else as_numbers(values)


def _circle(turns: np.ndarray) -> list[np.ndarray]:
    return [np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)]
