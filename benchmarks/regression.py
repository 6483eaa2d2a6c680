"""Compare DANNRegressor with its source-only network and with other regressors across domains.

Each system learns from labelled source rows and, if it adapts, from unlabelled target rows; it is
scored on target rows held out from adaptation. The seed determines the rows (at most `--max-rows`
per domain) and the randomness of the system, so all systems are compared on the same rows. Target
labels are used only for the score.

    python benchmarks/regression.py run --seeds 5 --jobs 1
    python benchmarks/regression.py run --half choosing --systems strengths settings
    python benchmarks/regression.py report --half reporting --tasks
    python benchmarks/regression.py run --rules --seeds 3     # can lambda be chosen without labels?
    python benchmarks/regression.py report --rules

`run` appends one JSON line per task, seed and system to the result file and skips existing results.
The tasks from scikit-learn and the generated ones need no files. The others are numeric columns of
the tables described in benchmarks/tables.py, in `--data` and `--data2`; they are skipped if the
folder, or pyarrow for Parquet files, is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from machine import Stopwatch, facts
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from tables import preprocessor

from skdann import DANNRegressor
from skdann.datasets import make_sensor_drift
from skdann.metrics import importance_weights

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "regression.jsonl"
RULE_RESULTS = HERE / "results" / "regression-rules.jsonl"
LAMBDAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
SHARED = HERE.parents[1] / "shared"
BASELINE = "baseline"
LEAST_R2 = -1.0  # lower values count as this one in means, which few tasks would decide otherwise
CLEAR = 0.02  # difference of R2 that counts as won or lost


class Task(NamedTuple):
    """A problem: where its rows come from, and which half of the tasks it belongs to.

    `load` returns the rows and numbers of the source and of the target, given a seed.
    """

    name: str
    half: str
    load: Callable[[int], tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]]


class Rows(NamedTuple):
    """Input of a system."""

    X_source: pd.DataFrame
    y_source: np.ndarray
    X_target: pd.DataFrame
    X_test: pd.DataFrame


# ---- tasks


def read_table(folder: Path, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a table with all its columns but the class label, and the domain of each row."""
    if (folder / f"{name}.parquet").exists():
        frame = pd.read_parquet(folder / f"{name}.parquet")
        return frame.drop(columns=["y", "domain"]), frame["domain"].astype(str).to_numpy()
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        frame = pd.DataFrame(arrays["X"].astype(np.float64), columns=arrays["feature_names"])
        return frame, arrays["domain"].astype(str)


def from_table(
    name: str, half: str, folder: Path, table: str, label: str, without: tuple[str, ...], pair: str
) -> Task:
    """Return the task to predict a column of a table from the others, "source -> target"."""

    def load(seed: int) -> Any:
        frame, domain = read_table(folder, table)
        frame, domain = frame[frame[label].notna()], domain[frame[label].notna()]
        y = frame.pop(label).to_numpy(dtype=np.float64)
        frame = frame.drop(columns=list(without))
        source, target = (domain == each for each in pair.split(" -> "))
        return frame[source], y[source], frame[target], y[target]

    return Task(f"{name}: {pair}", half, load)


def split_diabetes(pair: str, column: str, is_source: Callable[[pd.Series], pd.Series]) -> Task:
    """Return the diabetes task with rows of the source chosen by a column."""

    def load(seed: int) -> Any:
        X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
        chosen = is_source(X[column]).to_numpy()
        X, y = X.drop(columns=column) if column == "sex" else X, y.to_numpy()
        return X[chosen], y[chosen], X[~chosen], y[~chosen]

    return Task(f"diabetes: {pair}", "reporting", load)


def friedman(kind: str, half: str) -> Task:
    """Return Friedman's first function with rows or columns that differ between the domains."""

    def load(seed: int) -> Any:
        X, y = make_friedman1(2000, n_features=8, noise=1.0, random_state=seed)
        X_target, y_target = make_friedman1(2000, n_features=8, noise=1.0, random_state=1000 + seed)
        rng = np.random.RandomState(seed)
        if kind == "offset":
            X_target = X_target + 0.25 * np.array([1, -1, 1, 0, 0, 1, 1, 1])
        elif kind == "gain":
            X_target = X_target * np.exp(rng.normal(scale=0.2, size=8))
        elif kind == "noise":
            X_target = X_target + rng.normal(scale=0.2, size=X_target.shape)
        else:  # source rows from one corner
            kept = rng.uniform(size=len(X)) < (1 - X[:, 0]) * (1 - X[:, 3])
            X, y = X[kept], y[kept]
        source, target = (pd.DataFrame(each).rename(columns=str) for each in (X, X_target))
        return source, y, target, y_target

    return Task(f"friedman: {kind}", half, load)


def sensors(name: str, **settings: Any) -> Task:
    """Return readings of sensors, some of which drift."""

    def load(seed: int) -> Any:
        X, y, X_target, y_target = make_sensor_drift(2000, random_state=seed, **settings)
        frames = (pd.DataFrame(each).rename(columns=str) for each in (X, X_target))
        return next(frames), y, next(frames), y_target

    return Task(f"sensors: {name}", "reporting", load)


def list_tasks(data: Path, data2: Path) -> list[Task]:
    """Return all tasks whose files are there; the halves share no data set."""
    choosing = "choosing", data
    votes, home, income = "county_votes", "HSG495213", ("INC910213", "INC110213")
    tasks = [
        from_table("hotel price", *choosing, "hotel_bookings", "adr", (), "city -> resort"),
        from_table("hotel price", *choosing, "hotel_bookings", "adr", (), "resort -> city"),
        *(
            from_table("dew point", *choosing, "pm25_cities", "DEWP", ("HUMI",), pair)
            for pair in ("beijing -> shanghai", "guangzhou -> shenyang", "chengdu -> beijing")
        ),
        from_table(
            "electricity price",
            *choosing,
            "electricity",
            "nswprice",
            (),
            "before_vic_data -> late",
        ),
        *(
            from_table("home value", "choosing", data2, votes, home, income, pair)
            for pair in ("south -> west", "midwest -> northeast", "northeast -> south")
        ),
        friedman("offset", "choosing"),
        from_table(
            "elevation", "choosing", data2, "forest_cover", "elevation", (), "comanche -> rawah"
        ),
        *(
            from_table("logp", "reporting", data2, "solubility", "MolLogP", (), pair)
            for pair in ("source_A -> source_B", "source_F -> source_A", "source_A -> source_C")
        ),
        *(
            from_table("alcohol", "reporting", data, "wine_quality", "alcohol", (), pair)
            for pair in ("red -> white", "white -> red")
        ),
        from_table(
            "heart rate", "reporting", data, "heart_disease", "thalach", (), "cleveland -> hungary"
        ),
        split_diabetes("first sex -> second", "sex", lambda column: column == 1),
        split_diabetes("second sex -> first", "sex", lambda column: column == 2),
        split_diabetes("young -> old", "age", lambda column: column < 50),
        split_diabetes("low bmi -> high", "bmi", lambda column: column < 26),
        split_diabetes("high pressure -> low", "bp", lambda column: column > 94),
        split_diabetes("low glucose -> high", "s6", lambda column: column < 91),
        *(friedman(kind, "reporting") for kind in ("corner", "gain", "noise")),
        sensors("half drift"),
        sensors("one of eight drifts", n_stable=7, n_drifting=1, drift=2.0),
    ]
    return [task for task in tasks if is_there(task)]


def is_there(task: Task) -> bool:
    """Whether the files of a task can be read; say so if not."""
    try:
        task.load(0)
    except (OSError, ImportError) as error:
        print(f"skipped {task.name}: {type(error).__name__}: {str(error)[:80]}")
        return False
    return True


def draw(task: Task, seed: int, max_rows: int) -> tuple[Rows, np.ndarray]:
    """Draw source rows and target rows; half of these are held out for the score."""
    X_source, y_source, X_target, y_target = task.load(seed)
    rng = np.random.RandomState(seed)
    source = rng.permutation(len(y_source))[:max_rows]
    target = rng.permutation(len(y_target))[: 2 * max_rows]
    adapt, test = np.array_split(target, 2)
    frames = [X_source.iloc[source], X_target.iloc[adapt], X_target.iloc[test]]
    for frame in frames:
        for column in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype)]:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), np.nan)
    return Rows(frames[0], y_source[source], frames[1], frames[2]), y_target[test]


# ---- systems

System = Callable[[Rows, int], np.ndarray]
SYSTEMS: dict[str, tuple[str, str, System]] = {}  # key: group, title, function


def dann(key: str, group: str, title: str, **params: Any) -> None:
    """Add a DANNRegressor."""

    def answer(rows: Rows, seed: int) -> np.ndarray:
        regressor = DANNRegressor(random_state=seed, **params)
        return regressor.fit(rows.X_source, rows.y_source, rows.X_target).predict(rows.X_test)

    SYSTEMS[key] = group, title, answer


def on_source(key: str, group: str, title: str, regressor: Callable[[int], Any]) -> None:
    """Add a regressor trained on encoded source rows alone."""

    def answer(rows: Rows, seed: int) -> np.ndarray:
        pipe = make_pipeline(preprocessor(), clone(regressor(seed)))
        return pipe.fit(rows.X_source, rows.y_source).predict(rows.X_test)

    SYSTEMS[key] = group, title, answer


def catboost(seed: int) -> Any:
    """Return a CatBoostRegressor with its defaults."""
    from catboost import CatBoostRegressor

    return CatBoostRegressor(random_seed=seed, verbose=0, thread_count=1, allow_writing_files=False)


def adapt_dann(rows: Rows, seed: int) -> np.ndarray:
    """Return the predictions of ADAPT's DANN with its defaults, on scaled rows and labels."""
    import tensorflow as tf
    from adapt.feature_based import DANN

    tf.keras.utils.set_random_seed(seed)
    encoder = preprocessor().fit(rows.X_source)
    X_source, X_target, X_test = (
        encoder.transform(each).astype(np.float32)
        for each in (rows.X_source, rows.X_target, rows.X_test)
    )
    mean, scale = rows.y_source.mean(), rows.y_source.std()
    model = DANN(Xt=X_target, lambda_=0.3, loss="mse", optimizer="adam", random_state=seed)
    model.fit(X_source, (rows.y_source - mean) / scale, epochs=30, batch_size=64, verbose=0)
    return np.asarray(model.predict(X_test)).ravel() * scale + mean


dann("dann", "ours", "DANNRegressor, defaults")
dann(BASELINE, "ours", "its source-only network (lambda 0)", lambda_max=0)
dann("dann_absolute", "ours", "DANNRegressor, absolute error", loss="absolute_error")
dann("dann_domain", "ours", "DANNRegressor, standardize='domain'", standardize="domain")
for strength in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
    dann(f"dann_{strength:g}", "strengths", f"lambda_max={strength:g}", lambda_max=strength)
dann("coral", "strengths", "adversarial='coral', lambda_max=1", adversarial="coral", lambda_max=1.0)
dann("coral_0.1", "strengths", "adversarial='coral', 0.1", adversarial="coral", lambda_max=0.1)
dann("no_dropout", "settings", "lambda 0, dropout 0", lambda_max=0, dropout=0.0)
dann("long", "settings", "lambda 0, 100 epochs", lambda_max=0, max_epochs=100)
on_source(
    "hgb",
    "others",
    "HistGradientBoostingRegressor",
    lambda seed: HistGradientBoostingRegressor(random_state=seed),
)
on_source("ridge", "others", "RidgeCV", lambda seed: RidgeCV(np.logspace(-3, 3, 13)))
on_source("catboost", "catboost", "CatBoostRegressor", catboost)
SYSTEMS["adapt_dann"] = "adapt", "DANN of ADAPT", adapt_dann
PACKAGES = {"catboost": "catboost", "adapt": "adapt"}


def choose_systems(names: list[str]) -> list[str]:
    """Return the keys of the given systems or groups whose packages are installed."""
    chosen = []
    for key, (group, title, _) in SYSTEMS.items():
        if not {key, group} & set(names):
            continue
        if find_spec(PACKAGES.get(group, "skdann")) is None:
            print(f"skipped, not installed: {title}")
        else:
            chosen.append(key)
    return chosen


# ---- rules


def judge(task: Task, seed: int, max_rows: int, key: str) -> dict[str, Any]:
    """Return R2 of several lambdas, and scores of each that need no target labels.

    Higher is better. "reverse" trains on the target with predicted labels, and scores the source
    (reverse validation). "weighted" is the negative squared error of held-out source rows, weighted
    by the density ratio of the domains. "source" is the same without weights.
    """
    rows, y_test = draw(task, seed, max_rows)
    held_out = np.random.RandomState(seed).permutation(len(rows.y_source)) < len(rows.y_source) / 5
    encoder = preprocessor().fit(rows.X_source)
    weight = importance_weights(
        *map(encoder.transform, (rows.X_source[held_out], rows.X_target)), random_state=seed
    )
    line: dict[str, Any] = {"task": task.name, "half": task.half, "seed": seed}
    line |= {"max_rows": max_rows, "system": key, "candidates": {}}
    for strength in LAMBDAS:
        regressor = DANNRegressor(lambda_max=strength, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regressor.fit(rows.X_source, rows.y_source, rows.X_target)
            back = clone(regressor).fit(
                rows.X_target, regressor.predict(rows.X_target), rows.X_source
            )
            part = clone(regressor).fit(
                rows.X_source[~held_out], rows.y_source[~held_out], rows.X_target
            )
            error = (part.predict(rows.X_source[held_out]) - rows.y_source[held_out]) ** 2
            line["candidates"][f"{strength:g}"] = {
                "r2": float(r2_score(y_test, regressor.predict(rows.X_test))),
                "reverse": float(r2_score(rows.y_source, back.predict(rows.X_source))),
                "weighted": float(-np.average(error, weights=weight) / rows.y_source.var()),
                "source": float(-error.mean() / rows.y_source.var()),
            }
    return line


def report_rules(args: argparse.Namespace) -> None:
    """Print how well each score orders the lambdas, and what choosing by it gains."""
    frame = pd.DataFrame(
        {"task": line["task"], "seed": line["seed"], "lambda": strength, **scores}
        for line in read(args.results)
        if args.half in (line["half"], "all")
        for strength, scores in line["candidates"].items()
    )
    frame["r2"] = frame["r2"].clip(lower=LEAST_R2)
    table = frame.set_index(["task", "seed", "lambda"]).unstack("lambda")
    n_tasks = frame["task"].nunique()
    print(
        f"{n_tasks} tasks ({args.half}), {frame['seed'].nunique()} seeds, lambda of "
        f"{', '.join(table['r2'].columns)}; gains in R2 over lambda 0 (R2 below {LEAST_R2:g} "
        f"counts as {LEAST_R2:g}). Correlation is Spearman's, of score and R2 over the lambdas.\n"
    )
    print("| chosen by | mean correlation | gain in R2 | worst task | won / lost |")
    print("|---|---|---|---|---|")
    r2 = table["r2"]
    gains = {f"always {name}": r2[name] - r2["0"] for name in r2.columns if name != "0"}
    correlations = {}
    for rule in ("reverse", "weighted", "source"):
        best = table[rule].idxmax(axis=1)
        chosen = pd.Series([row[name] for (_, row), name in zip(r2.iterrows(), best, strict=True)])
        gains[rule] = chosen.set_axis(r2.index) - r2["0"]
        correlations[rule] = table[rule].rank(axis=1).corrwith(r2.rank(axis=1), axis=1).mean()
    gains["the target's labels (ceiling)"] = r2.max(axis=1) - r2["0"]
    for name, gain in gains.items():
        by_task = gain.groupby("task").mean()
        shown = f"{correlations[name]:+.2f}" if name in correlations else ""
        print(
            f"| {name} | {shown} | {by_task.mean():+.3f} | {by_task.min():+.3f} "
            f"({by_task.idxmin()}) | {(by_task > CLEAR).sum()} / {(by_task < -CLEAR).sum()} |"
        )


# ---- run


def measure(task: Task, seed: int, max_rows: int, key: str) -> dict[str, Any]:
    """Return the result line of one system; a failure is recorded as well."""
    rows, y_test = draw(task, seed, max_rows)
    line = {"task": task.name, "half": task.half, "seed": seed, "max_rows": max_rows, "system": key}
    with Stopwatch() as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            predicted = SYSTEMS[key][2](rows, seed)
        except Exception as error:  # a failure is part of the result
            return {**line, "error": f"{type(error).__name__}: {error}"[:200]}
    mae = mean_absolute_error(y_test, predicted)
    spread = np.abs(y_test - np.median(y_test)).mean()
    return {
        **line,
        "r2": round(float(r2_score(y_test, predicted)), 5),
        "mae": float(f"{mae:.6g}"),
        "relative_mae": round(float(mae / spread), 5),
        "seconds": round(watch.cpu, 3),
    }


def read(path: Path) -> list[dict[str, Any]]:
    """Read the result lines of a file; of repeated results, the last counts."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    lines = [line for line in lines if "task" in line]
    return list({(x["task"], x["seed"], x["max_rows"], x["system"]): x for x in lines}.values())


def missing(args: argparse.Namespace) -> Iterator[tuple[Task, int, str]]:
    """Yield what is missing in the result file, seeds in the outer loop."""
    keys = ["rules"] if args.rules else choose_systems(args.systems)
    done = {(x["task"], x["seed"], x["max_rows"], x["system"]) for x in read(args.results)}
    tasks = [task for task in list_tasks(args.data, args.data2) if args.half in (task.half, "all")]
    for seed in range(args.seeds):
        for task in tasks:
            for key in keys:
                if (task.name, seed, args.max_rows, key) not in done:
                    yield task, seed, key


def run(args: argparse.Namespace) -> None:
    """Measure the missing results."""
    todo = list(missing(args))
    print(f"{len(todo)} results to measure into {args.results}", flush=True)
    if not todo:
        return
    args.results.parent.mkdir(parents=True, exist_ok=True)
    function = judge if args.rules else measure
    calls = (delayed(function)(task, seed, args.max_rows, key) for task, seed, key in todo)
    with args.results.open("a") as file:
        file.write(json.dumps({"machine": facts()}) + "\n")
        for line in Parallel(n_jobs=args.jobs, return_as="generator_unordered")(calls):
            file.write(json.dumps(line) + "\n")
            file.flush()


# ---- report


def report(args: argparse.Namespace) -> None:
    """Print markdown tables from a result file."""
    if args.rules:
        report_rules(args)
        return
    frame = pd.DataFrame(read(args.results))
    if args.half != "all":
        frame = frame[frame["half"] == args.half]
    if args.systems:
        frame = frame[frame["system"].isin(args.systems)]
    failed = frame[frame["error"].notna()] if "error" in frame else frame[:0]
    frame = frame.drop(failed.index)
    frame["clipped"] = frame["r2"].clip(lower=LEAST_R2)
    by_task = frame.groupby(["task", "system"])[["r2", "clipped", "relative_mae", "seconds"]].mean()
    clipped = by_task["clipped"].unstack("system")
    gain = clipped.sub(clipped[BASELINE], axis=0)
    lower = by_task["relative_mae"].unstack("system")
    lower = 100 * (1 - lower.div(lower[BASELINE], axis=0))
    seeds = frame.groupby(["task", "system"])["seed"].nunique()
    print(
        f"{len(clipped)} tasks ({args.half}), {seeds.min()} to {seeds.max()} seeds, at most "
        f"{frame['max_rows'].max():,} rows per domain; R2 below {LEAST_R2:g} counts as "
        f"{LEAST_R2:g}. Gains are over the source-only network, of R2 and in % of its mean "
        "absolute error. Relative MAE is 1 for the median of the target's labels. Won and lost are "
        f"tasks that differ by more than {CLEAR:g} of R2.\n"
    )
    print(
        "| system | tasks | R2 | relative MAE | gain in R2 | worst | gain in MAE | worst "
        "| won / lost | seconds |"
    )
    print("|---|" + "---|" * 9)
    means = by_task.groupby("system").mean().sort_values("clipped", ascending=False)
    for key, row in means.iterrows():
        g, low = gain[key].dropna(), lower[key].dropna()
        worst = "" if key == BASELINE else f"{g.min():+.3f} ({g.idxmin()})"
        n_failed = int((failed["system"] == key).sum())
        name = SYSTEMS[key][1] + (f", {n_failed} fits failed" if n_failed else "")
        print(
            f"| {name} | {len(g)} | {row['clipped']:.3f} | {row['relative_mae']:.3f} "
            f"| {g.mean():+.3f} | {worst} | {low.mean():+.1f} % | {low.min():+.1f} % "
            f"| {(g > CLEAR).sum()} / {(g < -CLEAR).sum()} | {row['seconds']:.2f} |"
        )
    if args.tasks:
        print("\nR2 of every task:\n")
        shown = by_task["r2"].unstack("system")[list(means.index)]
        print("| task | " + " | ".join(shown.columns) + " |\n|---|" + "---|" * len(shown.columns))
        for task, row in shown.iterrows():
            print(f"| {task} | " + " | ".join(f"{value:.2f}" for value in row) + " |")


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="measure results missing in the result file")
    runs.add_argument("--seeds", type=int, default=5)
    runs.add_argument("--max-rows", type=int, default=1000, help="maximum rows per domain")
    runs.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    runs.add_argument("--data", type=Path, default=SHARED / "data")
    runs.add_argument("--data2", type=Path, default=SHARED / "data2")
    runs.add_argument(
        "--systems", nargs="+", default=["ours", "others", "catboost", "adapt"], help="or groups"
    )
    reports = commands.add_parser("report", help="print tables from a result file")
    reports.add_argument("--systems", nargs="+")
    reports.add_argument("--tasks", action="store_true", help="also print every task")
    for command in (runs, reports):
        command.add_argument("--half", choices=["choosing", "reporting", "all"], default="all")
        command.add_argument("--rules", action="store_true", help="choosing lambda without labels")
        command.add_argument("--results", type=Path)
    args = parser.parse_args()
    args.results = args.results or (RULE_RESULTS if args.rules else RESULTS)
    {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
