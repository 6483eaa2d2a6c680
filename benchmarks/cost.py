"""Cost of selection: `DANNClassifierCV()` compared with fitting its members one by one.

The data are 4,000 + 4,000 rows x 50, on one thread. The search and a single fit alternate. The time
of fitting the members one by one is estimated as their number times the single fit. The single fit
uses all rows, a quarter more than each member trains on.

    python benchmarks/cost.py               # about three minutes
    python benchmarks/cost.py --repeats 3
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from machine import Stopwatch, describe, facts, load, spread
from peaks import make_domains, warm_up

N_ROWS, N_FEATURES = 4000, 50


def main() -> None:
    """Print the seconds of both, and their ratio."""
    from skdann import DANNClassifier, DANNClassifierCV

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(describe(facts()))
    rows = make_domains(N_ROWS, N_FEATURES, "float32")
    warm_up()
    search, single, ratio = [], [], []
    for seed in range(args.repeats):
        with Stopwatch() as whole:
            clf = DANNClassifierCV(random_state=seed).fit(*rows)
        with Stopwatch() as one:
            DANNClassifier(random_state=seed).fit(*rows)
        n_members = sum(len(members) for members in clf.candidates_)
        search.append(whole.cpu)
        single.append(one.cpu)
        ratio.append(whole.cpu / (n_members * one.cpu))
    print(f"DANNClassifierCV(), {n_members} members: {spread(search, 2)} s of CPU time")
    print(f"DANNClassifier(): {spread(single, 2)} s of CPU time")
    print(f"search / {n_members} single fits: {spread(ratio, 2)} (bound 0.5)")
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
