"""Containers that hold rows, labels or weights, read as numpy, scipy or a data frame.

numpy and scikit-learn read most containers. This module covers those that they read wrongly or not
at all: masked arrays, torch tensors, pyarrow tables, lazy tables, sparse columns of pandas.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch.utils.data import DataLoader, Dataset

NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)
LAZY = {"dask": "compute", "polars": "collect"}


def load(values: Any) -> Any:
    """Compute a lazy container of dask or polars; make a table of other containers of pyarrow.

    These are record batches and datasets. Any other container is returned unchanged.
    """
    library = type(values).__module__.partition(".")[0]
    if is_dataset(values):
        return values.to_table()
    if library == "pyarrow" and type(values).__name__ == "RecordBatch":
        return importlib.import_module("pyarrow").Table.from_batches([values])
    compute = getattr(values, LAZY.get(library, ""), None)
    return values if compute is None else compute()


def is_dataset(values: Any) -> bool:
    """Whether values are a dataset of pyarrow, whose rows are in files or in other tables."""
    return type(values).__module__ == "pyarrow._dataset" and hasattr(values, "get_fragments")


def unwrap(values: Any, name: str) -> Any:
    """Return values in a container that numpy and scikit-learn read correctly.

    Parameters
    ----------
    values : any container
        Rows, labels, weights or domains.
    name : str
        Name of the argument in error messages.

    Returns
    -------
    ndarray, sparse matrix, pandas or polars frame or series, list, ...
        The same values; containers that numpy reads correctly are returned unchanged.

    Raises
    ------
    ValueError
        If entries are masked.
    TypeError
        If a torch tensor cannot be read.
    """
    values = load(values)
    library = type(values).__module__.partition(".")[0]
    if isinstance(values, torch.Tensor):
        return _from_torch(values, name)
    if library == "pyarrow":
        return _from_arrow(values)
    if hasattr(values, "iloc") and hasattr(values, "columns"):
        return _without_fill(values)
    if hasattr(values, "__array__") and not hasattr(values, "shape"):
        return np.asarray(values)
    return without_mask(values, name)


def explain_dataset(values: Any, name: str) -> str:
    """Say what to pass instead of a loader or dataset of torch; "" unless the values are one.

    A dataset whose items are rows is read like a list of rows.
    """
    if not isinstance(values, DataLoader | Dataset) or len(shape_of(values)) == 2:
        return ""
    return (
        f"{name} is a torch dataset or loader ({type(values).__name__}); pass its rows as one "
        "array or tensor of shape (n_samples, n_features), e.g. dataset.tensors[0], and the labels "
        "as a vector. Batches are drawn from these"
    )


def refuse_dataset(values: Any, name: str) -> None:
    """Raise if values are a loader or dataset of torch instead of rows."""
    fault = explain_dataset(values, name)
    if fault:
        raise TypeError(f"{fault}.")


def column_names(X: Any) -> list[Any] | None:
    """Column names of a data frame of any library, whatever their type; None for arrays."""
    names = getattr(X, "column_names", None)  # pyarrow, whose `columns` are the values
    if names is None:
        names = getattr(X, "columns", None)
    return None if names is None or sp.issparse(X) else list(names)


def iterate_columns(X: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield name and values of each column of a frame, or index and values for an array."""
    names = column_names(X)
    if names is None:
        array = np.asarray(X)
        yield from enumerate(array.T if array.ndim == 2 else ())
        return
    for index, name in enumerate(names):
        if hasattr(X, "iloc"):
            yield name, np.asarray(X.iloc[:, index])
        elif hasattr(X, "column_names"):
            yield name, np.asarray(_without_dictionary(X.column(index)))
        else:
            yield name, np.asarray(X[name])


def order_columns(X: Any, names: list[Any]) -> Any:
    """Return a frame of the same library with the columns in another order."""
    present = column_names(X)
    if present is None or present == names:
        return X
    if hasattr(X, "iloc"):  # also where names are tuples or dates
        return X.iloc[:, [present.index(name) for name in names]]
    return X.select(names) if hasattr(X, "select") else X[names]


def shape_of(X: Any) -> tuple[int, ...]:
    """Shape of an array, frame, sparse matrix or nested list; (n,) where lists are ragged."""
    if isinstance(X, torch.Tensor) and X.is_nested:
        return (X.size(0),)
    if hasattr(X, "shape"):
        return tuple(X.shape)
    if not hasattr(X, "__len__"):
        return ()
    try:
        return np.asarray(X).shape
    except ValueError:
        return (len(X),)


def plain_objects(array: np.ndarray) -> np.ndarray:
    """Return a vector of objects in a dtype of numbers or strings, if its values have one."""
    if array.dtype.kind != "O":
        return array
    try:
        plain = np.array(array.tolist())
    except ValueError:  # sequences of several lengths
        return array
    return plain if plain.ndim == 1 else array


def container_of(X: Any) -> str:
    """Kind of container, as error messages name it."""
    if sp.issparse(X) or (isinstance(X, torch.Tensor) and X.layout != torch.strided):
        return "a sparse matrix"
    return "an array" if column_names(X) is None else "a data frame"


def stack_rows(parts: Sequence[Any]) -> Any:
    """Stack rows below one another in the container of the first part.

    Frames of several libraries become one of pandas.
    """
    if len(parts) == 1:
        return parts[0]
    if column_names(parts[0]) is None:
        plain = [unwrap(part, "X_target") for part in parts]
        if any(sp.issparse(part) for part in plain):
            return sp.vstack(plain, format="csr")
        return np.concatenate([np.asarray(part) for part in plain])
    libraries = {type(part).__module__.partition(".")[0] for part in parts}
    if len(libraries) > 1:
        parts = [part if hasattr(part, "iloc") else part.to_pandas() for part in parts]
        libraries = {"pandas"}
    library = importlib.import_module(libraries.pop())
    concatenate = library.concat_tables if hasattr(parts[0], "column_names") else library.concat
    return concatenate(parts)


def without_mask(values: Any, name: str) -> Any:
    """Return a masked array as a plain one; raise if an entry is masked, also one in a list."""
    n_masked = _count_masked(values)
    if n_masked:
        raise ValueError(
            f"{name} is a masked array with {n_masked} masked entries, which hold no value; drop "
            "these rows, or fill them, e.g. with filled(np.nan) before an imputer."
        )
    return np.asarray(values) if isinstance(values, np.ma.MaskedArray) else values


def _count_masked(values: Any) -> int:
    """Count masked entries of a masked array, of a nested list, or of an array of objects."""
    if isinstance(values, np.ma.MaskedArray):
        return int(np.ma.count_masked(values))
    if isinstance(values, list | tuple):
        nested = (np.ma.MaskedArray, list, tuple)
        return sum(_count_masked(part) for part in values if isinstance(part, nested))
    if isinstance(values, np.ndarray) and values.dtype == object:
        return sum(value is np.ma.masked for value in values.flat)
    return 0


def _from_torch(values: Any, name: str) -> Any:
    """Read a tensor of any device, layout and dtype."""
    if hasattr(values, "get_mask"):  # a MaskedTensor, whose mask is True where there is a value
        data, is_given = (_from_torch(part(), name) for part in (values.get_data, values.get_mask))
        return without_mask(np.ma.masked_array(data, mask=~is_given), name)
    try:
        values = values.detach().cpu().resolve_conj().resolve_neg()
        if values.is_quantized:
            values = values.dequantize()
        if values.is_floating_point() and values.dtype not in NUMPY_FLOATS:
            values = values.float()
        if values.layout == torch.strided:
            return values.numpy()
        values = values.to_sparse_coo().coalesce()
        index, entries = values.indices().numpy(), values.values().numpy()
        return sp.coo_array((entries, tuple(index)), shape=tuple(values.shape)).tocsr()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise TypeError(
            f"{name} is a torch tensor that cannot be read ({str(error).splitlines()[0]}); pass a "
            "dense tensor that holds values, or a numpy array."
        ) from error


def _from_arrow(values: Any) -> Any:
    """Read a pyarrow table as one array, anything else of pyarrow as a vector."""
    if not hasattr(values, "column_names"):
        return np.asarray(_without_dictionary(values))
    columns = [column for _, column in iterate_columns(values)]
    kinds = {column.dtype.kind for column in columns}
    if not kinds <= set("biuf"):
        columns = [column.astype(object) for column in columns]
    return np.column_stack(columns) if columns else np.empty((values.num_rows, 0))


def _without_dictionary(column: Any) -> Any:
    """Decode a dictionary-encoded column of pyarrow, whose missing values numpy misreads."""
    is_encoded = hasattr(column.type, "value_type") and hasattr(column.type, "index_type")
    return column.cast(column.type.value_type) if is_encoded else column


def _without_fill(frame: Any) -> Any:
    """Make sparse columns of pandas dense unless all are sparse around zero.

    A frame of sparse columns becomes a sparse matrix, which can leave out zeros only.
    """
    fills = [getattr(dtype, "fill_value", None) for dtype in frame.dtypes]
    sparse = [fill is not None for fill in fills]
    if not any(sparse) or (all(sparse) and not any(fills)):
        return frame
    dense = frame.copy(deep=False)
    for index, is_sparse in enumerate(sparse):
        if is_sparse:
            dense.isetitem(index, np.asarray(frame.iloc[:, index]))
    return dense
