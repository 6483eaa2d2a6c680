"""How much `import skdann` costs beyond its dependencies: fresh processes, in turns.

Prints the median seconds of processor time that each import takes, and the difference. What counts
is the cost of ``import skdann`` after ``import torch, sklearn, skorch``.
"""

import statistics
import subprocess
import sys

N_RUNS = 15
CODE = """
import time
begun = time.process_time()
import torch, sklearn, skorch
between = time.process_time()
import skdann
print(between - begun, time.process_time() - between)
"""


def measure() -> tuple[float, float]:
    """Seconds for the dependencies, and for skdann after them."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    dependencies, own = map(float, done.stdout.split())
    return dependencies, own


if __name__ == "__main__":
    measure()  # compiles, and warms the disk cache
    runs = [measure() for _ in range(N_RUNS)]
    dependencies, own = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"torch, sklearn, skorch  {dependencies:.3f} s")
    print(f"skdann after them       {own:.3f} s  (median of {N_RUNS}, processor time)")
