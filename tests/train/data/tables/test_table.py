"""Tables in CSV and Parquet: equal results, and errors that name the cell."""

import contextlib
import datetime
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlstm.train.data.tables import table
from tests.train.data.tables.files import write

numbers = st.floats(-1e30, 1e30)
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)
rows = st.lists(st.tuples(words, numbers, numbers, words), min_size=1, max_size=20)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@given(rows=rows)
def test_what_was_written_is_read(tmp_path_factory, ending, rows):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    who, a, b, label = zip(*rows, strict=True)
    columns = {"a": a, "who": who, "b,": b, 'la"bel': label}
    path = write(tmp_path_factory.mktemp("table") / f"a{ending}", columns)
    read = table.read(path, ["b,", "a"], group="who", label='la"bel')
    assert read.groups == tuple(dict.fromkeys(who))
    for name, begin, end in zip(read.groups, read.bounds[:-1], read.bounds[1:], strict=True):
        mine = [n for n in range(len(rows)) if who[n] == name]
        assert read.rows[begin:end].tolist() == [n + 2 for n in mine]
        assert read.values[begin:end].tolist() == [[b[n], a[n]] for n in mine]
        texts = [read.labels.texts[code] for code in read.labels.codes[begin:end]]
        assert texts == [label[n] for n in mine]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_what_spreadsheets_write(tmp_path, separator):
    text = '\ufeffa, b ,c\r\n1,-2e3,x\r\n 3 ,4,"two\nlines"\r\n\r\n\r\n'.replace(",", separator)
    (tmp_path / "a.csv").write_bytes(text.encode())
    read = table.read(tmp_path / "a.csv", ["a", "b"], label="c")
    assert read.values.tolist() == [[1, -2000], [3, 4]]
    assert read.labels.texts == ("x", "two\nlines")


GOOD = ["day,who,a,b"] + [f"2026-01-{n:02},x,{n},0.5" for n in range(1, 31)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2026-01-05,x,five,1", "row 6, column 'a', is 'five', which is not a number; replace it"),
        ("2026-01-05,x,1_000,1", "row 6, column 'a', is '1_000', which is not a number"),
        ('2026-01-05,x,"5,5",1', "row 6, column 'a', is '5,5', which is not a number; write a dec"),
        ("2026-01-05,x, ,1", "row 6, column 'a', is empty; fill the cell, or remove the row"),
        ("2026-01-05,x,NaN,1", "row 6, column 'a', is 'NaN', a missing value; fill the cell"),
        ("2026-01-05,x,-inf,1", "row 6, column 'a', is '-inf'; replace it by a finite number"),
        ("2026-01-05,x,1e999,1", "row 6, column 'a', is '1e999'; replace it by a finite number"),
        ("2026-01-05,,1,1", "row 6, column 'who', is empty"),
        ("2026-01-05,x,1", "row 6 has 3 cells, but the header has 4; add or remove cells"),
        ("2026-01-05,x,1,1,1", "row 6 has 5 cells, but the header has 4"),
        ("", "row 6 is empty, but rows follow it; remove the empty row"),
        ('2026-01-05,"x,1,1', "row 6 cannot be split into cells: unexpected end of data; check"),
        ("2026-01-04,x,1,1", "row 6, column 'day', has the same time as row 5 of 'x'; remove one"),
        ("2026-01-03,x,1,1", "row 6, column 'day', is earlier than row 5 of 'x'; sort the file"),
        (
            "2026-01-05T00:00Z,x,1,1",
            "row 6, column 'day', is '2026-01-05T00:00Z', which is not a time",
        ),
        ("5,x,1,1", "row 6, column 'day', is '5', which is not a time, or not of the form of"),
        ("2026-01-05,x\ty,\x1b[31m,1", r"row 6, column 'a', is '\x1b[31m', which is not a"),
    ],
)
@pytest.mark.parametrize("ahead", [0, 3])
def test_a_bad_cell_is_named(tmp_path, monkeypatch, line, message, ahead):
    monkeypatch.setattr("jlstm.train.data.tables.csv_file._CELLS", 4 * ahead)  # rows at once
    path = tmp_path / "a.csv"
    path.write_text("\n".join([*GOOD[:5], line, *GOOD[6:]]))
    with pytest.raises(ValueError) as error:
        table.read(path, ["a", "b"], group="who", time="day")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "row 1 is empty; expected a header"),
        ("a.csv", b"\n1,2\n", "row 1 is empty; expected a header"),
        ("a.csv", b"a,b\n", "has a header but no rows"),
        ("a.csv", b"a,b\n1,\xff\n", "is not a text file in UTF-8"),
        ("a.csv", b"a,a\n1,2\n", "row 1, the header, has the column 'a' 2 times"),
        ("a.csv", b"b,c\n1,2\n", "row 1, the header, has no column 'a'; known: 'b', 'c'"),
        ("a.csv", b"a" * 200_000, "row 1 cannot be split into cells: field larger than"),
        ("a.xlsx", b"PK", "its name ends in '.xlsx'; expected a table"),
    ],
)
def test_a_bad_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        table.read(tmp_path / name, ["a"])
    assert message in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read .*a.csv: No such file"):
        table.read(tmp_path / "a.csv", ["a"])


def parquet(tmp_path, **columns):
    pytest.importorskip("pyarrow")
    return write(tmp_path / "a.parquet", columns)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, None], "row 3, column 'a', is empty"),
        ([1.0, float("nan")], "row 3, column 'a', is 'nan', a missing value"),
        (["1", "2"], "column 'a' has the type string, where a number is expected; write its"),
        ([[1.0], [2.0]], "column 'a' has the type list"),
        ([datetime.date(2026, 1, 1)] * 2, "column 'a' has the type date32[day], where a number"),
    ],
)
def test_a_bad_column_of_parquet(tmp_path, values, message):
    with pytest.raises(ValueError) as error:
        table.read(parquet(tmp_path, a=values), ["a"])
    assert message in str(error.value)


@pytest.mark.parametrize("zone", [None, datetime.UTC])
def test_times_of_parquet(tmp_path, zone):
    times = [datetime.datetime(2026, 1, n, tzinfo=zone) for n in (1, 3, 2)]
    with pytest.raises(ValueError, match="row 4, column 't', is earlier than row 3"):
        table.read(parquet(tmp_path, a=[1, 2, 3], t=times), ["a"], time="t")
    times.sort()
    assert len(table.read(parquet(tmp_path, a=[1, 2, 3], t=times), ["a"], time="t").values) == 3


def test_parquet_that_would_unpack_to_very_much(tmp_path):
    path = parquet(tmp_path, a=np.zeros(4_000_000))
    with pytest.raises(ValueError, match="its 4000000 rows would need 32000000 bytes of memory"):
        table.read(path, ["a"])


def test_a_long_text_of_many_rows_is_held_once(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    text, rows = "x" * 200_000, 5000
    who = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0, 1] * (rows // 2)), ["y", text])
    written = pyarrow.table({"a": np.arange(rows), "who": who})
    parquet.write_table(written, tmp_path / "a.parquet", store_schema=False)
    assert str(parquet.read_schema(tmp_path / "a.parquet").field("who").type) == "string"
    before = pyarrow.default_memory_pool().max_memory()
    tracemalloc.start()
    read = table.read(tmp_path / "a.parquet", ["a"], group="who")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read.groups == ("y", text) and read.bounds.tolist() == [0, rows // 2, rows]
    assert peak < 1e8 and pyarrow.default_memory_pool().max_memory() - before < 1e8


@pytest.mark.parametrize("kind", ["texts", "numbers", "coded"])
def test_names_of_parquet(tmp_path, kind):
    pyarrow = pytest.importorskip("pyarrow")
    texts = ["3", "1", "3", "2"] * 40_000  # several batches
    who = pyarrow.array(texts)
    if kind == "numbers":
        who = who.cast(pyarrow.int64())
    if kind == "coded":  # with a text that no row has
        codes = pyarrow.array(["1023".index(text) for text in texts])
        who = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array([*"1023"]))
    read = table.read(
        parquet(tmp_path, a=np.random.default_rng(0).normal(size=160_000), who=who),
        ["a"],
        group="who",
    )
    assert read.groups == ("3", "1", "2")
    assert np.diff(read.bounds).tolist() == [80_000, 40_000, 40_000]
    assert read.rows[[0, 1, 80_000, 120_000]].tolist() == [2, 4, 3, 5]


def test_a_code_beyond_the_texts(tmp_path):
    pytest.importorskip("pyarrow")
    path = parquet(tmp_path, a=np.arange(50.0), who=["x", "y", "z"] * 16 + ["x", "x"])
    whole = (tmp_path / "a.parquet").read_bytes()
    for at in range(0, len(whole) - 300, 3):  # among others, the codes, which have 2 bits each
        (tmp_path / "a.parquet").write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        with contextlib.suppress(ValueError):
            table.read(path, ["a"], group="who")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_damaged_parquet_file(tmp_path, content):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or not a Parquet file"):
        table.read(tmp_path / "a.parquet", ["a"])
