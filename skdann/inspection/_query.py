r"""Rows of the target whose labels would tell most.

Rows on which the families disagree tell which of them is right, but the rows most in doubt resemble
one another, and a label in a region that no other label covers tells more. So the target rows are
clustered, weighted by doubt, and the row nearest to the centre of each cluster is chosen (Zhdanov,
"Diverse mini-batch Active Learning", arXiv:1901.05954, 2019, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
