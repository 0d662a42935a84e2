"""Tables that are written as TOML are read back as the same tables."""

import math
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlstm.files.toml_writing import dumps

texts = st.text("ab_-. é😀\"'\\\n\x00\x7f#[", max_size=5)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    texts,
)
values = st.recursive(
    st.one_of(scalars, st.lists(scalars, max_size=3)),
    lambda inner: st.one_of(
        st.dictionaries(texts, inner, max_size=3),
        st.lists(st.dictionaries(texts, inner, max_size=2), min_size=1, max_size=2),
    ),
    max_leaves=8,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_tables_come_back_as_they_were(tables):
    assert tomllib.loads(dumps(tables)) == tables


def test_numbers_of_numpy_tuples_and_none():
    tables = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": (1, 2), "e": None}
    assert tomllib.loads(dumps(tables)) == {"a": 0.5, "b": 3, "c": True, "d": [1, 2]}
    assert math.isnan(tomllib.loads(dumps({"a": math.nan}))["a"])


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"train": {"rate": object}}, "train.rate is <class 'object'>, which TOML cannot hold"),
        ({"a": "\ud800"}, "halves of characters"),
        ({1: 2}, "1 is no name of an option"),
    ],
)
def test_what_toml_cannot_hold_is_refused(tables, said):
    with pytest.raises((TypeError, ValueError), match=said):
        dumps(tables)
