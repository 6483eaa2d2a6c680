"""The table that says what was done to each column."""

from __future__ import annotations

import pandas as pd

from skdann._input.column_table import Column, ColumnTable

TABLE = ColumnTable(
    [Column("age", "number", "number; missing: 5", 1), Column("a<b", "text", "", 30)]
)


def test_it_prints_as_a_table() -> None:
    assert repr(TABLE) == (
        "column  kind    encoded columns  treatment\n"
        "age     number  1                number; missing: 5\n"
        "a<b     text    30"
    )
    assert "<td>a&lt;b</td>" in TABLE._repr_html_()


def test_it_becomes_a_data_frame() -> None:
    frame = pd.DataFrame(TABLE)
    assert frame.columns.tolist() == ["name", "kind", "treatment", "n_encoded"]
    assert frame["n_encoded"].tolist() == [1, 30]
