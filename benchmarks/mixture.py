"""Show what each constant of the mixture of `DANNClassifierCV` does, on the choosing half.

    python benchmarks/mixture.py run --data ../shared/data ../shared/data2
    python benchmarks/mixture.py run --data ../shared/data --set MIN_STEPS=1000 --results steps.pkl
    python benchmarks/mixture.py report
    python benchmarks/mixture.py report --results steps.pkl

`run` fits the default classifier on every task of the choosing half and keeps, for each family, the
figures of its score and its predictions for target rows that were not used for adaptation.
``--set NAME=VALUE`` replaces a constant of the modules in `MODULES`. `report` mixes the kept
predictions with other constants. Target labels are used only for the scores in the table.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import tables
from accuracy import BASELINE, score
from systems import candidate_probabilities

RESULTS = Path(__file__).parent / "results" / "mixture.pkl"
FAMILIES = ("alignment", "self_training", "balanced", "trees")
TERMS = ("information", "reverse_source", "reverse_domain", "changed")
SIGNS = dict(zip(TERMS, (1.0, 1.0, 1.0, -0.5), strict=True))
MODULES = ("_training.pseudo_labels", "_training.params", "_training.batches")
MODULES += ("_selection.rule", "_selection.outcome")


def replace_constants(settings: list[str]) -> None:
    """Replace constants of the package, given as NAME=VALUE."""
    for setting in settings:
        name, value = setting.split("=")
        owners = [importlib.import_module(f"skdann.{module}") for module in MODULES]
        owners = [module for module in owners if hasattr(module, name)]
        if not owners:
            raise SystemExit(f"no constant {name} in {MODULES}")
        for module in owners:
            setattr(module, name, type(getattr(module, name))(eval(value)))


def measure(folder: Path, task: Any, seed: int, max_rows: int) -> dict[str, Any]:
    """Fit the classifier on one task, and keep what a mixture needs."""
    from skdann import DANNClassifierCV

    rows = tables.load_task(
        folder, task.set, task.source, task.target, max_rows=max_rows, seed=seed
    )
    classes, y = np.unique(rows.y_source, return_inverse=True)
    place = np.searchsorted(classes, rows.y_test).clip(max=len(classes) - 1)
    clf = DANNClassifierCV(random_state=seed).fit(rows.X_source, y, rows.X_target)
    return {
        "task": rows.name,
        "figures": {row["family"]: row for row in clf.scores_},
        "proba": candidate_probabilities(clf, rows.X_test),
        "y": np.where(classes[place] == rows.y_test, place, -1),
    }


def run(args: argparse.Namespace) -> None:
    """Fit all tasks and write the kept figures."""
    warnings.simplefilter("ignore")
    replace_constants(args.set)
    kept = []
    for folder in map(Path, args.data):
        for seed in range(args.seeds):
            for task in tables.list_tasks(folder, tables.CHOOSING).itertuples():
                if not args.sets or task.set in args.sets:
                    kept.append(measure(folder, task, seed, args.rows))
                    print(kept[-1]["task"], seed, flush=True)
                    args.results.write_bytes(pickle.dumps(kept))


def mix(
    entry: dict[str, Any],
    families: tuple[str, ...] = FAMILIES,
    temperature: float = 0.3,
    **factors: float,
) -> np.ndarray:
    """Return the probabilities of a mixture, with other factors of the terms of the score."""
    families = tuple(name for name in families if name in entry["proba"])
    scores = np.array(
        [
            sum(factors.get(term, SIGNS[term]) * entry["figures"][name][term] for term in TERMS)
            for name in families
        ]
    )
    weights = np.exp((scores - scores.max()) / temperature)
    weights /= weights.sum()
    return sum(w * entry["proba"][name] for w, name in zip(weights, families, strict=True))


def variants() -> dict[str, Callable[[dict[str, Any]], np.ndarray]]:
    """Return the mixtures to compare, by their names."""
    found: dict[str, Callable[[dict[str, Any]], np.ndarray]] = {"default": mix}
    for value in (0.1, 0.2, 0.5, 1.0, 100.0):
        found[f"temperature {value:g}"] = lambda e, v=value: mix(e, temperature=v)
    for value in (0.0, -0.25, -1.0, -2.0):
        found[f"factor of changed {value:g}"] = lambda e, v=value: mix(e, changed=v)
    for term in TERMS[:3]:
        for value in (0.0, 2.0):
            found[f"factor of {term} {value:g}"] = lambda e, t=term, v=value: mix(e, **{t: v})
    for name in FAMILIES:
        rest = tuple(each for each in FAMILIES if each != name)
        found[f"without {name}"] = lambda e, r=rest: mix(e, r)
        found[f"{name} alone"] = lambda e, n=name: mix(e, (n,))
    found["with the baseline"] = lambda e: mix(e, (*FAMILIES, BASELINE))
    return found


def gains(kept: list[dict[str, Any]], mixture: Callable[..., np.ndarray], metric: str) -> Any:
    """Return the gain over the baseline in points, per task."""
    by_task: dict[str, list[float]] = {}
    for entry in kept:
        try:
            before = score(entry["y"], entry["proba"][BASELINE])[metric]
            after = score(entry["y"], mixture(entry))[metric]
        except (KeyError, ValueError):  # a family that this task does not have
            continue
        by_task.setdefault(entry["task"], []).append(100 * (after - before))
    return np.array([np.mean(values) for values in by_task.values()])


def report(args: argparse.Namespace) -> None:
    """Print a row for each variant."""
    kept = pickle.loads(args.results.read_bytes())
    n_tasks = len({entry["task"] for entry in kept})
    print(f"{n_tasks} tasks of the choosing half, {len(kept) / n_tasks:g} seeds; points over the")
    print("source-only baseline: mean, worst, mean of the worst five, tasks that gain / lose > 1\n")
    print("| mixture | balanced accuracy | gain / lose | accuracy |\n|---|---|---|---|")
    for name, mixture in variants().items():
        bal, acc = (gains(kept, mixture, m) for m in ("balanced_accuracy", "accuracy"))
        cells = (
            f"{g.mean():+.2f}, {g.min():+.1f}, {np.sort(g)[:5].mean():+.1f}" for g in (bal, acc)
        )
        print(
            f"| {name} | {next(cells)} | {(bal > 1).sum()} / {(bal < -1).sum()} | {next(cells)} |"
        )


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="fit all tasks of the choosing half")
    runs.add_argument("--data", nargs="+", required=True, help="data folders, see tables.py")
    runs.add_argument("--rows", type=int, default=1000, help="maximum rows per domain")
    runs.add_argument("--seeds", type=int, default=2)
    runs.add_argument("--sets", nargs="+", help="only these data sets")
    runs.add_argument("--set", nargs="+", default=[], help="constants, as NAME=VALUE")
    reports = commands.add_parser("report", help="print the table")
    for command in (runs, reports):
        command.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
