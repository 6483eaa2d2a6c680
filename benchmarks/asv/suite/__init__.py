"""Benchmarks that asv runs on several commits, so that a regression shows.

Those named `track_ratio...` return a ratio measured in alternation within one process, which other
work on the machine changes little; asv times the others.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # loops.py
