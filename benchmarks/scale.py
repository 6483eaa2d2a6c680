"""Large tables: time as a function of rows, memory of a million rows, data larger than memory.

    python benchmarks/scale.py                 # all parts, about fifteen minutes
    python benchmarks/scale.py --parts linear --rows 10000 100000 1000000
    python benchmarks/scale.py --parts million chunks mapped

- `linear`: fits of a few epochs at each size, in alternation. The time per row and epoch should be
  equal within 10 %.
- `million`: time and peak memory with 1,000,000 + 1,000,000 rows x 50.
- `chunks`: `partial_fit` over the row groups of a parquet file, at two sizes. The peak memory
  should be equal.
- `mapped`: memory-mapped arrays, which need not be copied.
- `unlabelled`: 100 labelled rows, and 10,000,000 target rows in a memory map, of which a sample is
  read; with all rows for comparison.
- `sampled`: accuracy of fits on samples of the target, and on all rows.

All parts except `linear` and `sampled` run in separate processes and report the peak growth of the
process.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import Stopwatch, describe, facts, spread
from peaks import MB, PeakGrowth, in_child, make_domains, measured_fit, warm_up

RESULTS = Path(__file__).parent / "results" / "scale.json"
N_FEATURES, N_NARROW = 50, 8
BOUND = 0.10


# ---- time as a function of rows


def linear(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the time per row and epoch at each size."""
    from skdann import DANNClassifier

    rows = make_domains(max(args.rows), N_FEATURES, "float32")
    micros: dict[int, list[float]] = {n: [] for n in args.rows}
    warm_up(batch_size=args.batch)
    for _ in range(args.repeats):
        for n_rows in args.rows:
            clf = DANNClassifier(max_epochs=args.epochs, batch_size=args.batch, random_state=0)
            with Stopwatch() as watch:
                clf.fit(*(part[:n_rows] for part in rows))
            micros[n_rows].append(1e6 * watch.cpu / (n_rows * args.epochs))
    medians = {n: float(np.median(values)) for n, values in micros.items()}
    middle = (min(medians.values()) + max(medians.values())) / 2
    print(f"\nbatch {args.batch}, fits of {args.epochs} epochs, set-up included\n")
    print("| rows per domain | CPU, µs per source row and epoch | deviation from the middle |")
    print("|---|---|---|")
    for n_rows, values in micros.items():
        print(
            f"| {n_rows:,} | {medians[n_rows]:.2f} [{min(values):.2f}-{max(values):.2f}] "
            f"| {medians[n_rows] / middle - 1:+.1%} |"
        )
    worst = max(medians.values()) / min(medians.values()) - 1
    print(f"\nthe slowest size takes {worst:.1%} more than the fastest (bound {BOUND:.0%})")
    return [{"part": "linear", "batch": args.batch, "epochs": args.epochs, "micros": micros}]


# ---- a million rows


def fit_million(n_rows: int, epochs: int, batch: int) -> dict[str, float]:
    """Fit in the current process, and measure the fit."""
    from skdann import DANNClassifier

    rows = make_domains(n_rows, N_FEATURES, "float32")
    warm_up(batch_size=batch)
    clf = DANNClassifier(max_epochs=epochs, batch_size=batch, random_state=0)
    return measured_fit(clf, *rows)


def million(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure time and peak memory with a million rows per domain."""
    n_rows, epochs, batch = args.million_rows, 1, 1024
    figures = in_child(fit_million, n_rows, epochs, batch)
    data = 2 * n_rows * N_FEATURES * 4 / MB
    print(
        f"\nmillion: {n_rows:,} + {n_rows:,} x {N_FEATURES}, batch {batch}, {epochs} epoch: "
        f"{figures['wall_s']:.1f} s ({figures['cpu_s']:.1f} s of CPU time); the rows take "
        f"{data:.0f} MB, peak growth beyond them {figures['growth_mb']:.0f} MB"
    )
    return [{"part": "million", "rows": n_rows, "epochs": epochs, "batch": batch} | figures]


# ---- larger than memory: parquet, chunk by chunk


def write_parquet(folder: Path, n_rows: int, chunk: int) -> None:
    """Write source.parquet (with a column y) and target.parquet, one row group per chunk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = [f"x{column}" for column in range(N_FEATURES)]
    for domain in ("source", "target"):
        writer = None
        for _ in range(0, n_rows, chunk):
            X = rng.standard_normal((chunk, N_FEATURES), dtype=np.float32)
            X += 0.5 * (domain == "target")
            columns = dict(zip(names, X.T, strict=True))
            if domain == "source":
                columns["y"] = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(folder / f"{domain}.parquet", table.schema)
            writer.write_table(table, row_group_size=chunk)
        writer.close()


def fit_chunks(folder: Path) -> dict[str, float]:
    """Run one pass of `partial_fit` over both files, one row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from skdann import DANNClassifier

    pa.set_memory_pool(pa.system_memory_pool())  # returns memory immediately
    source, target = (pq.ParquetFile(folder / f"{name}.parquet") for name in ("source", "target"))
    warm_up(batch_size=1024)
    clf = DANNClassifier(batch_size=1024, max_epochs=source.num_row_groups, random_state=0)
    n_rows = 0
    with PeakGrowth() as peak, Stopwatch() as watch:
        for group in range(source.num_row_groups):
            frame = source.read_row_group(group).to_pandas()
            y = frame.pop("y")
            X_target = target.read_row_group(group).to_pandas()
            clf.partial_fit(frame, y, X_target, classes=[0, 1])
            n_rows += len(frame)
    size = sum((folder / f"{name}.parquet").stat().st_size for name in ("source", "target"))
    return {
        "rows": n_rows,
        "files_mb": size / MB,
        "growth_mb": peak.total / MB,
        "cpu_s": watch.cpu,
        "domain_accuracy": clf.history_[-1]["domain_accuracy"],
    }


def chunks(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the peak memory of `partial_fit` over files of different sizes."""
    lines = []
    print(
        f"\n| partial_fit over parquet, {args.chunk:,} rows per chunk "
        "| files, MB | peak growth, MB |"
    )
    print("|---|---|---|")
    for n_rows in args.chunk_rows:
        with tempfile.TemporaryDirectory() as folder:
            in_child(write_parquet, Path(folder), n_rows, args.chunk)
            figures = in_child(fit_chunks, Path(folder))
        lines.append({"part": "chunks", "chunk": args.chunk} | figures)
        print(
            f"| {figures['rows']:,} + {figures['rows']:,} x {N_FEATURES} "
            f"| {figures['files_mb']:.0f} | {figures['growth_mb']:.0f} |",
            flush=True,
        )
    return lines


# ---- memory-mapped arrays


def fit_mapped(folder: Path) -> dict[str, float]:
    """Fit memory-mapped arrays, and measure the fit."""
    from skdann import DANNClassifier

    warm_up(batch_size=1024)
    rows = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "y", "X_target")]
    clf = DANNClassifier(batch_size=1024, max_epochs=1, random_state=0)
    figures = measured_fit(clf, *rows, watch_anonymous=True)
    return figures | {"rows_mb": sum(part.nbytes for part in rows) / MB}


def mapped(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the growth without pages of mapped files, which the system can drop at any time."""
    with tempfile.TemporaryDirectory() as folder:
        rows = make_domains(args.mapped_rows, N_FEATURES, "float32")
        for name, part in zip(("X", "y", "X_target"), rows, strict=True):
            np.save(Path(folder) / f"{name}.npy", part)
        figures = in_child(fit_mapped, Path(folder))
    print(
        f"\nmapped: {args.mapped_rows:,} + {args.mapped_rows:,} x {N_FEATURES} float32 in .npy "
        f"files of {figures['rows_mb']:.0f} MB: peak growth {figures['anonymous_mb']:.0f} MB "
        f"without the mapped pages (a copy would take {figures['rows_mb']:.0f} MB or more), "
        f"{figures['growth_mb']:.0f} MB with them"
    )
    return [{"part": "mapped", "rows": args.mapped_rows} | figures]


# ---- a memory map with far more target rows than training can draw


def write_unlabelled(path: Path, n_rows: int) -> None:
    """Write target rows to a .npy file."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, N_NARROW))
    for start in range(0, n_rows, 500_000):
        part = rows[start : start + 500_000]
        part[:] = np.random.default_rng(start).standard_normal(part.shape, dtype=np.float32)
        part += 0.5


def evict(path: Path) -> None:
    """Drop a file from the cache of the system."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bytes_from_disk() -> int:
    """Return the bytes that this process has read from disk, including pages of mapped files."""
    return int(Path("/proc/self/io").read_text().partition("\nread_bytes: ")[2].split()[0])


def fit_unlabelled(path: Path, name: str, samples: bool) -> dict[str, float]:
    """Fit 100 labelled rows and the target rows of the file, and measure the fit."""
    import skdann
    from skdann._input import large_targets

    if not samples:
        large_targets.LEAST_SAMPLE = 10**12
    rows, labels, X_target = make_domains(1000, N_NARROW, "float32")
    clf = getattr(skdann, name)(random_state=0)
    clf.fit(rows[:100], labels[:100], X_target)  # loads the libraries
    X_target = np.load(path, mmap_mode="r")
    before = bytes_from_disk()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*random sample")
        figures = measured_fit(clf, rows[:100], labels[:100], X_target, watch_anonymous=True)
    return figures | {"disk_mb": (bytes_from_disk() - before) / MB}


def unlabelled(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure time, memory and bytes read with few labelled and very many target rows."""
    lines: list[dict[str, Any]] = []
    print(
        f"\n| 100 labelled rows, {args.unlabelled_rows:,} target rows x {N_NARROW} | CPU, s "
        "| peak growth without mapped pages, MB | with them, MB | read from disk, MB |"
    )
    print("|---|---|---|---|---|")
    cases = (("DANNClassifier", True), ("DANNClassifier", False), ("DANNClassifierCV", True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "target.npy"
        in_child(write_unlabelled, path, args.unlabelled_rows)
        for _ in range(args.repeats):
            for name, samples in cases:
                evict(path)
                figures = in_child(fit_unlabelled, path, name, samples)
                lines.append({"estimator": name, "samples": samples} | figures)
    for name, samples in cases:
        part = [each for each in lines if (each["estimator"], each["samples"]) == (name, samples)]
        cpu = spread([each["cpu_s"] for each in part], 1)
        sizes = [
            spread([each[size] for each in part], 0)
            for size in ("anonymous_mb", "growth_mb", "disk_mb")
        ]
        print(f"| {name}, {'a sample' if samples else 'all rows'} | {cpu} | {' | '.join(sizes)} |")
    return [{"part": "unlabelled", "rows": args.unlabelled_rows} | line for line in lines]


def sampled(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare the accuracy of fits on a sample of the target with that of fits on all rows."""
    from skdann import DANNClassifier, datasets
    from skdann._input import large_targets

    warnings.filterwarnings("ignore", ".*random sample")
    lines = []
    samples = {10_000: "10,000 rows", 100_000: "100,000 rows", 10**12: "all rows"}
    print(
        f"\n| accuracy, 200 labelled rows, {args.sampled_rows:,} target rows | standardize "
        f"| {' | '.join(samples.values())} |"
    )
    print("|---|---|" + "---|" * len(samples))
    for name in ("make_inter_twinning_moons", "make_covariate_shift", "make_label_shift"):
        for standardize in ("source", "domain"):
            accuracy: dict[int, list[float]] = {n: [] for n in samples}
            for seed in range(args.repeats):
                X, y, X_target, y_target = getattr(datasets, name)(
                    200, n_target=args.sampled_rows, random_state=seed
                )
                for n in samples:
                    large_targets.LEAST_SAMPLE = n
                    clf = DANNClassifier(standardize=standardize, random_state=seed)
                    clf.fit(X, y, X_target)
                    accuracy[n].append(clf.score(X_target[::30], y_target[::30]))
            shown = " | ".join(f"{np.mean(a):.3f} ± {np.std(a):.3f}" for a in accuracy.values())
            print(f"| {name} | {standardize} | {shown} |", flush=True)
            figures = {samples[n]: values for n, values in accuracy.items()}
            lines.append({"part": "sampled", "data": name, "standardize": standardize} | figures)
    return lines


PARTS = {
    **{"linear": linear, "million": million, "chunks": chunks, "mapped": mapped},
    **{"unlabelled": unlabelled, "sampled": sampled},
}


def main() -> None:
    """Run and print each part, and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000]
    parser.add_argument("--rows", type=int, nargs="+", default=sizes, help="sizes for linear")
    parser.add_argument("--batch", type=int, default=256, help="batch size for linear")
    parser.add_argument("--epochs", type=int, default=2, help="epochs for linear")
    parser.add_argument("--repeats", type=int, default=5, help="of linear, unlabelled, sampled")
    parser.add_argument("--million-rows", type=int, default=1_000_000)
    parser.add_argument("--chunk", type=int, default=50_000)
    parser.add_argument("--chunk-rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--mapped-rows", type=int, default=400_000)
    parser.add_argument("--unlabelled-rows", type=int, default=10_000_000)
    parser.add_argument("--sampled-rows", type=int, default=600_000)
    parser.add_argument("--json", type=Path, default=RESULTS, help="file for the figures")
    args = parser.parse_args()
    machine = facts()
    print(describe(machine))
    lines = [line for part in args.parts for line in PARTS[part](args)]
    args.json.write_text(json.dumps({"machine": machine, "results": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
