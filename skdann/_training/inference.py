"""Blockwise inference with a trained module.

Each block is padded to a multiple of `PADDED_ROWS` rows. Matrix products of one row or a few round
differently from those of many, and the prediction of a row should not depend on the other rows. (If
the width of a layer is not a multiple of the SIMD width, the row's position in the block can still
change the last bits.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from skdann._input.rows import check_float32
from skdann._training.threads import suited_threads
from skdann.nn import DANNModule, Rows

BLOCK_ROWS = 256
BLOCK_BYTES = 4_000_000  # of the scaled rows of several members, unless PADDED_ROWS rows are more
PADDED_ROWS = 32


def infer_blocks(
    module: DANNModule,
    X: Any,
    domain: np.ndarray | None,
    what: str,
    *,
    n_members: int = 1,
) -> Iterator[np.ndarray]:
    """Yield features, class logits or domain logits, block by block.

    Parameters
    ----------
    module : DANNModule
        Trained networks, in evaluation mode.
    X : ndarray or CSR of shape (n_samples, n_features)
        Checked rows; sparse rows are converted to dense ones block by block.
    domain : ndarray of shape (n_samples,) or None
        Domain indices; None for "any target".
    what : {"features", "labels", "domains"}
        Output to compute.
    n_members : int, default=1
        Number of ensemble members, which all get the same rows.

    Yields
    ------
    ndarray of shape (..., at most 256, n_outputs), float32
        With several members, the first dimension is the member.

    Raises
    ------
    ValueError
        If a value is too large for float32.
    """
    first = next(module.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    n_block = BLOCK_ROWS if n_members == 1 else _fitting_rows(4 * n_members * X.shape[1])
    for start in range(0, X.shape[0], n_block):
        block = X[start : start + n_block]
        size = block.shape[0]
        n_rows = -(-size // PADDED_ROWS) * PADDED_ROWS
        dense = np.zeros((n_rows, X.shape[1]), dtype=np.float32)
        with np.errstate(over="ignore"):
            dense[:size] = block.astype(np.float32).toarray() if sp.issparse(block) else block
        check_float32(dense, "X")
        rows = None
        if domain is not None:
            index = np.full(n_rows, domain[start], dtype=np.int64)
            index[:size] = domain[start : start + n_block]
            rows = Rows(0, torch.from_numpy(index).to(device))
        x = torch.from_numpy(dense).to(device)
        x = x if n_members == 1 else x.expand(n_members, *x.shape)
        with suited_threads(n_block, module), torch.inference_mode():
            output = module.extract_features(x, rows)
            if what == "labels":
                output = module.predict_labels(output, rows)
            elif what == "domains":
                output = module.classify_domains(module.condition(output, rows), rows)
        yield output[..., :size, :].cpu().numpy()


def _fitting_rows(n_bytes: int) -> int:
    """Return the number of rows, of so many bytes each, in a block of several members."""
    n_padded = BLOCK_BYTES // max(1, n_bytes * PADDED_ROWS)
    return min(BLOCK_ROWS, max(1, n_padded) * PADDED_ROWS)
