"""Table that says what was done to each column of a fit."""

from __future__ import annotations

from html import escape
from typing import NamedTuple


class Column(NamedTuple):
    """Encoding of one column.

    Attributes
    ----------
    name : str
        Name, or x0, x1, ... for arrays.
    kind : str
        "number", "boolean", "duration", "date", "category", "text" or "empty".
    treatment : str
        Short description of the encoding.
    n_encoded : int
        Number of columns that the networks get.
    """

    name: str
    kind: str
    treatment: str
    n_encoded: int


class ColumnTable(list[Column]):
    """List of :class:`Column` that prints as a table; ``pandas.DataFrame`` takes it."""

    def __repr__(self) -> str:
        head = ("column", "kind", "encoded columns", "treatment")
        rows = [head, *((c.name, c.kind, str(c.n_encoded), c.treatment) for c in self)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ("  ".join(f"{t:{w}}" for t, w in zip(r, [*widths, 0], strict=True)) for r in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, body = Column._fields, [[str(value) for value in row] for row in self]
        cells = ["".join(f"<td>{escape(text)}</td>" for text in row) for row in body]
        title = "".join(f"<th>{name}</th>" for name in head)
        return f"<table><tr>{title}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
