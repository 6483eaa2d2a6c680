"""Values that JSON cannot represent, and plain ones, survive encoding."""

import json

from hypothesis import given
from hypothesis import strategies as st

from skdann._saving.values import decode, encode


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
