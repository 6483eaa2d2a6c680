"""Tasks from a data folder of real two-domain tables, with usual preprocessing.

The folder contains `tasks.csv` (columns set, source, target). For each data set it contains
`SET.parquet` (columns y, domain and features; text columns are categorical), `SET.npz` (arrays X,
y, domain) or a sparse `SET.npz` (data, indices, indptr, shape, y, domain, split). Its path is given
by `--data` or the environment variable SKDANN_BENCHMARK_DATA; the default is `../shared/data`.

The `CHOOSING` half of the data sets may be used to choose defaults. The `REPORTING` half is used
only for scores.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

# every second data set by name, so that both halves contain different kinds of data; and of the
# second collection, the first five by name
CHOOSING = ("defect_jureczko", "electricity", "heart_disease", "nsl_kdd", "pm25_cities")
CHOOSING += ("bank_account_africa", "breast_cohorts", "county_votes", "forest_cover")
CHOOSING += ("hand_gestures",)
REPORTING = (
    "digits_usps_optdigits",
    "gas_drift",
    "hotel_bookings",
    "office_caltech_surf",
    "wine_quality",
    "mushrooms",
    "online_shoppers",
    "phishing",
    "review_sites",
    "solubility",
    "thyroid_sites",
    "vowel_speakers",
)


class Task(NamedTuple):
    """One source -> target problem, dense and scaled by the source.

    `X_target` is for adaptation; `X_test` and `y_test` are other target rows, for the score.
    `y_target` are the labels of `X_target`, for benchmarks in which some of them are known.
    """

    name: str
    X_source: np.ndarray
    y_source: np.ndarray
    X_target: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    y_target: np.ndarray


def data_folder(given: str | None = None) -> Path:
    """Return the data folder, or exit with an explanation if it does not exist."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(given or os.environ.get("SKDANN_BENCHMARK_DATA", default))
    if not (folder / "tasks.csv").exists():
        raise SystemExit(
            f"{folder} has no tasks.csv; pass a data folder with --data or SKDANN_BENCHMARK_DATA "
            "(see benchmarks/tables.py for its format)."
        )
    return folder


def list_tasks(folder: Path, sets: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Return the rows of tasks.csv without Amazon reviews, which have a separate script."""
    tasks = pd.read_csv(folder / "tasks.csv", dtype={"source": str, "target": str})
    keep = tasks["set"] != "amazon_reviews"
    return tasks[keep if sets is None else keep & tasks["set"].isin(sets)]


def _read(folder: Path, name: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    if (folder / f"{name}.parquet").exists():
        frame = pd.read_parquet(folder / f"{name}.parquet")
        y, domain = frame.pop("y").to_numpy(), frame.pop("domain").astype(str).to_numpy()
        return frame, y, domain
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        X = pd.DataFrame(arrays["X"].astype(np.float32)).rename(columns=str)
        return X, arrays["y"], arrays["domain"].astype(str)


def preprocessor() -> Any:
    """Impute numbers with the median and standardize them; one-hot encode text."""
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    text = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False),
    )
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (text, make_column_selector(dtype_exclude="number")),
    )


def load_task(
    folder: Path, name: str, source: str, target: str, *, max_rows: int = 4000, seed: int = 0
) -> Task:
    """Load one task; half of the target rows (at most `max_rows`) are held out for the score."""
    frame, y, domain = _read(folder, name)
    for column in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype)]:
        frame[column] = frame[column].astype(object).where(frame[column].notna(), np.nan)
    rng = np.random.RandomState(seed)
    source_rows = rng.permutation(np.flatnonzero(domain == source))[:max_rows]
    target_rows = rng.permutation(np.flatnonzero(domain == target))[: 2 * max_rows]
    adapt, test = np.array_split(target_rows, 2)
    scaler = preprocessor().fit(frame.iloc[source_rows])
    X_source, X_target, X_test = (
        scaler.transform(frame.iloc[rows]).astype(np.float32) for rows in (source_rows, adapt, test)
    )
    return Task(
        f"{name}: {source} -> {target}",
        X_source,
        y[source_rows],
        X_target,
        X_test,
        y[test],
        y[adapt],
    )


def load_amazon(folder: Path, source: str, target: str) -> tuple[Any, ...]:
    """Load an Amazon task with the protocol of the paper: train, unlabelled train, target test."""
    with np.load(folder / "amazon_reviews.npz", allow_pickle=False) as arrays:
        X = sp.csr_array(
            (
                arrays["data"].astype(np.float64),
                arrays["indices"].astype(np.int32),
                arrays["indptr"],
            ),
            shape=tuple(arrays["shape"]),
        )
        y, domain, split = arrays["y"], arrays["domain"].astype(str), arrays["split"].astype(str)
    is_train = split == "train"
    train, adapt, test = (
        (domain == source) & is_train,
        (domain == target) & is_train,
        (domain == target) & ~is_train,
    )
    return X[train], y[train], X[adapt], X[test], y[test]
