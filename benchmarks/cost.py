"""Cost of `DANNClassifier()` and `DANNClassifierCV()`, on one thread.

    python benchmarks/cost.py               # selection, about two minutes
    python benchmarks/cost.py run           # by rows and columns, about ten minutes
    python benchmarks/cost.py report

Without a command, `DANNClassifierCV()` is compared with fitting its networks one by one, on 4,000 +
4,000 rows x 50. The search and a single fit alternate. The time of fitting the networks one by one
is estimated as their number times the single fit. The single fit uses all rows, a quarter more than
each network trains on.

`run` times fits of both, and of HistGradientBoostingClassifier on the same source rows, for several
numbers of rows and columns, with as many target rows as source rows. Each fit runs in this process,
one after the other. `report` prints the medians as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import Stopwatch, describe, facts, load, spread
from peaks import make_domains, warm_up

N_ROWS, N_FEATURES = 4000, 50
BY_ROWS = ((300, 50), (1000, 50), (4000, 50), (20_000, 50))
BY_COLUMNS = ((1000, 10), (1000, 50), (1000, 500), (1000, 2000))
SIZES = tuple(dict.fromkeys(BY_ROWS + BY_COLUMNS))
LONG = 8.0  # seconds; a longer fit is repeated three times instead of five
RESULTS = Path(__file__).parent / "results" / "cost.jsonl"
NAMES = {"hgb": "boosted trees", "dann": "DANNClassifier", "cv": "DANNClassifierCV"}


def make_estimators(seed: int) -> dict[str, Any]:
    """Return the three classifiers that are timed."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from skdann import DANNClassifier, DANNClassifierCV

    return {
        "hgb": HistGradientBoostingClassifier(random_state=seed),
        "dann": DANNClassifier(random_state=seed),
        "cv": DANNClassifierCV(random_state=seed),
    }


def compare_selection(repeats: int) -> None:
    """Print the seconds of a search and of a single fit, and their ratio."""
    from skdann import DANNClassifier

    print(describe(facts()))
    rows = make_domains(N_ROWS, N_FEATURES, "float32")
    warm_up()
    search, single, ratio = [], [], []
    for seed in range(repeats):
        estimators = make_estimators(seed)
        with Stopwatch() as whole:
            clf = estimators["cv"].fit(*rows)
        with Stopwatch() as one:
            estimators["dann"].fit(*rows)
        members = [member for group in clf.candidates_ for member in group]
        n_networks = sum(isinstance(member, DANNClassifier) for member in members)
        search.append(whole.cpu)
        single.append(one.cpu)
        ratio.append(whole.cpu / (n_networks * one.cpu))
    print(f"DANNClassifierCV(), {n_networks} networks and trees: {spread(search, 2)} s of CPU time")
    print(f"DANNClassifier(): {spread(single, 2)} s of CPU time")
    print(f"search / {n_networks} single fits: {spread(ratio, 2)} (bound 0.5)")
    print(f"load at the end {load()}")


def measure_size(n_rows: int, n_columns: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of every repeat of every classifier for one size."""
    rows = make_domains(n_rows, n_columns, "float32")
    seconds: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in NAMES}
    for seed in range(repeats):
        for name, clf in make_estimators(seed).items():
            spent = seconds[name]
            if seed >= 3 and np.median(spent["cpu"]) > LONG:
                continue
            with Stopwatch() as watch:
                clf.fit(*(rows[:2] if name == "hgb" else rows))
            spent["cpu"].append(round(watch.cpu, 4))
            spent["wall"].append(round(watch.wall, 4))
    return {"rows": n_rows, "columns": n_columns, "seconds": seconds, "machine": facts()}


def run(args: argparse.Namespace) -> None:
    """Time all sizes and write one line for each."""
    warm_up()
    make_estimators(0)["hgb"].fit(*make_domains(300, 5, "float32")[:2])
    lines = []
    for n_rows, n_columns in SIZES:
        lines.append(json.dumps(measure_size(n_rows, n_columns, args.repeats)))
        print(lines[-1], flush=True)
        args.results.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cells(line: dict[str, Any], name: str) -> str:
    """Return the median CPU time, and the ratio to HistGradientBoosting."""
    median = {key: float(np.median(spent["cpu"])) for key, spent in line["seconds"].items()}
    seconds = f"{median[name]:.2f}" if median[name] < 10 else f"{median[name]:.0f}"
    if name == "hgb":
        return seconds
    ratio = median[name] / median["hgb"]
    return f"{seconds} ({ratio:.1f})" if ratio < 10 else f"{seconds} ({ratio:.0f})"


def report(args: argparse.Namespace) -> None:
    """Print two tables: by rows and by columns."""
    lines = [json.loads(line) for line in args.results.read_text(encoding="utf-8").splitlines()]
    found = {(line["rows"], line["columns"]): line for line in lines}
    for head, sizes in (("rows per domain", BY_ROWS), ("columns", BY_COLUMNS)):
        fixed = (
            f"{sizes[0][1]} columns" if head != "columns" else f"{sizes[0][0]:,} rows per domain"
        )
        print(f"| {head} ({fixed}) | " + " | ".join(NAMES.values()) + " |")
        print("|---|" + "---|" * len(NAMES))
        for size in sizes:
            if size in found:
                number = size[1] if head == "columns" else size[0]
                print(f"| {number:,} | " + " | ".join(cells(found[size], n) for n in NAMES) + " |")
        print()
    machine = lines[0]["machine"]
    loads = [line["machine"]["load"][0] for line in lines]
    print(
        f"Seconds of CPU time on one thread ({machine['cpu']}, {machine['cores']} cores), in "
        f"parentheses times boosted trees. Median of five fits, or of three where one takes "
        f"more than {LONG:.0f} seconds. Other processes used the machine: load "
        f"{min(loads):.1f} to {max(loads):.1f}."
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="?", choices=("selection", "run", "report"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.command in (None, "selection"):
        compare_selection(args.repeats)
    else:
        {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
