"""Time of `import skdann` beyond its dependencies, in new processes.

The script prints the median CPU time of ``import torch, sklearn, skorch``, and of ``import skdann``
after them.
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
    """Return the seconds for the dependencies, and for skdann after them."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    dependencies, skdann = map(float, done.stdout.split())
    return dependencies, skdann


if __name__ == "__main__":
    measure()  # compile bytecode and warm the disk cache
    runs = [measure() for _ in range(N_RUNS)]
    dependencies, skdann = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"torch, sklearn, skorch  {dependencies:.3f} s")
    print(f"skdann after them       {skdann:.3f} s  (median of {N_RUNS}, CPU time)")
