"""Plain values survive JSON; other values are named."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdann._saving.values import decode, decode_values, encode, encode_values


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.lists(inner).map(tuple)
            | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
        ),
    )
)
def test_plain_values_survive_json(value):
    actual = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert repr(actual) == repr(value)


def test_nan_survives_too():
    assert encode([math.nan]) == [{"float": "nan"}]
    assert math.isnan(decode(encode((math.nan,)))[0])


@pytest.mark.parametrize(
    "value", [np.int64(3), np.float32(0.5), np.bool_(True), np.str_("a"), np.float64(np.inf)]
)
def test_scalars_of_numpy_become_plain(value):
    actual = decode(encode(value))
    assert actual == value
    assert not isinstance(actual, np.generic) or isinstance(value, np.str_ | np.float64)


@pytest.mark.parametrize("value", [len, object(), {1, 2}, np.zeros(2), [1, (2, len)], {"a": b"b"}])
def test_other_values_are_refused(value):
    with pytest.raises(TypeError, match="is not a plain value"):
        encode(value)


@pytest.mark.parametrize("content", [{}, {"tuple": [1], "dict": []}, {"call": "os.system"}])
def test_json_of_another_origin_is_refused(content):
    with pytest.raises((KeyError, ValueError)):
        decode(content)


def test_values_are_parted_in_plain_ones_and_the_names_of_others():
    class Inner:
        pass

    values = {"lr": 0.1, "sizes": (1, 2), "schedule": len, "module": Inner(), "class": Inner}
    plain, others = encode_values(values)
    assert decode_values(plain) == {"lr": 0.1, "sizes": (1, 2)}
    name = Inner.__qualname__
    assert others == {"schedule": "len", "module": name, "class": name}
