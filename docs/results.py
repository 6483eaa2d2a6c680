"""Pages generated from `benchmarks/results/` when the site is built.

New results appear with the next build. Text files are shown in full, accuracy tables come from
`benchmarks/accuracy.py report`, and the table of other packages comes from `features.json`. All
figures are measured results.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"
RESULTS = BENCHMARKS / "results"
MADE = HERE / "_made"

BY_TASK = ("dann_cv", "cv_baseline", "ceiling", "dann_cv_path", "lr", "hgb", "skada_coral")
BY_TASK2 = ("dann_cv", "cv_baseline", "ceiling", "dann_cv_path", "lr", "hgb", "catboost")
REGRESSORS = ("--systems", "baseline", "dann", "dann_absolute", "dann_domain", "hgb", "ridge")
REGRESSORS += ("catboost", "adapt_dann")
# page: (script, result file, options of its `report` command)
REPORTS = {
    "accuracy_all": ("accuracy.py", "accuracy.jsonl"),
    "accuracy_reporting": ("accuracy.py", "accuracy.jsonl", "--half", "reporting"),
    "accuracy_choosing": ("accuracy.py", "accuracy.jsonl", "--half", "choosing"),
    "accuracy_tasks": ("accuracy.py", "accuracy.jsonl", "--tasks", "--systems", *BY_TASK),
    "accuracy2_all": ("accuracy.py", "accuracy2.jsonl"),
    "accuracy2_reporting": ("accuracy.py", "accuracy2.jsonl", "--half", "reporting"),
    "accuracy2_tasks": ("accuracy.py", "accuracy2.jsonl", "--tasks", "--systems", *BY_TASK2),
    "accuracy_amazon": ("accuracy.py", "accuracy-amazon.jsonl", "--amazon"),
    "cost": ("cost.py", "cost.jsonl"),
    "how_many_rows": ("how_many_rows.py", "how_many_rows.jsonl"),
    "defaults": ("defaults.py", "defaults.jsonl"),
    "regression_reporting": (
        "regression.py",
        "regression.jsonl",
        "--half",
        "reporting",
        *REGRESSORS,
    ),
    "regression_choosing": ("regression.py", "regression.jsonl", "--half", "choosing"),
    "regression_tasks": ("regression.py", "regression.jsonl", "--tasks", *REGRESSORS),
    "regression_rules": ("regression.py", "regression-rules.jsonl", "--rules"),
}
MISSING = "*Not measured yet: `benchmarks/results/{}` does not exist.*\n"


def report(script: str, file: str, *options: str) -> str:
    """Return the Markdown printed by a script's `report` command, with the dates of measurement."""
    path = RESULTS / file
    if not path.exists():
        return MISSING.format(file)
    command = [sys.executable, str(BENCHMARKS / script), "report", "--results", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environment, check=True
    )
    machines = [json.loads(line).get("machine") for line in path.read_text().splitlines()]
    days = sorted({machine["date"][:10] for machine in machines if machine})
    shown = " ".join(["python", f"benchmarks/{script}", "report", "--results", file, *options])
    return f"{done.stdout}\nMeasured {', '.join(days)}; `{shown}`.\n"


def shorten(answer: str) -> str:
    """Return the table cell of an answer: yes, or no with a footnote for the reason."""
    if answer == "yes":
        return "yes"
    reason = re.sub(r"^no: \w+: ", "", answer).split(".")[0].replace("|", "/")
    return f"no [^{re.sub(r'[^a-z]+', '-', reason.lower())[:40].strip('-')}]"


def features_table() -> str:
    """Return a table: one column per package, one row per question, reasons as footnotes."""
    path = RESULTS / "features.json"
    if not path.exists():
        return MISSING.format(path.name)
    packages = json.loads(path.read_text())
    heads = [f"{name.split('.')[0]} {row['version']}" for name, row in packages.items()]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    notes: dict[str, str] = {}
    for question in next(iter(packages.values()))["answers"]:
        cells = []
        for row in packages.values():
            answer = row["answers"][question]
            cells.append(shorten(answer))
            if answer != "yes":
                reason = re.sub(r"^no: ", "", answer)
                notes[cells[-1].removeprefix("no ")] = reason.split(". ")[0].strip()
        lines.append(f"| {question} | " + " | ".join(cells) + " |")
    days = sorted({row["date"] for row in packages.values()})
    lines += ["", f"Run {', '.join(days)}: `python benchmarks/features.py`.", ""]
    lines += [*(f"{mark}: `{reason}`" for mark, reason in notes.items())]
    return "\n".join(lines) + "\n"


def raw_results() -> str:
    """Return a dropdown for every text file of results."""
    parts = []
    for path in sorted(RESULTS.glob("*.txt")):
        relative = os.path.relpath(path, HERE)
        parts.append(f"::::{{dropdown}} {path.name}\n```{{literalinclude}} {relative}\n```\n::::\n")
    return "\n".join(parts)


def write_pages() -> None:
    """Write every generated page, unless its text is unchanged."""
    MADE.mkdir(exist_ok=True)
    pages = {name: report(*args) for name, args in REPORTS.items()}
    pages |= {"features": features_table(), "raw": raw_results()}
    for name, text in pages.items():
        path = MADE / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages()
