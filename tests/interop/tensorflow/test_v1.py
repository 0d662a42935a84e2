"""TensorFlow checkpoints of the format V1: one file."""

import os
import struct
import time

import numpy as np
import pytest

import jlstm
from jlstm import Config
from jlstm.interop import from_tensorflow
from jlstm.interop.command import convert
from tests.interop.frameworks import assert_same
from tests.interop.test_bad_files import masked, mutated, refused, varint

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tf_keras")
v1 = tf.compat.v1
cells = v1.nn.rnn_cell

pytestmark = pytest.mark.filterwarnings("ignore")


def saved(path, cell, *, inputs=5, partitioner=None, version=v1.train.SaverDef.V1):
    """A checkpoint of a cell and of other variables; returns all values by name."""
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("", partitioner=partitioner):
            v1.nn.dynamic_rnn(cell(), tf.zeros((3, 2, inputs)), dtype=tf.float32)
        v1.get_variable("embedding", (10, 4), partitioner=v1.fixed_size_partitioner(3))
        v1.get_variable("global_step", (), tf.int64, initializer=tf.zeros_initializer())
        v1.get_variable("a_flag", (2,), tf.bool, initializer=tf.zeros_initializer())
        draw = np.random.default_rng(0)
        for variable in v1.trainable_variables():
            if variable.dtype.base_dtype == tf.float32:
                value = draw.normal(size=variable.shape.as_list())
                session.run(v1.assign(variable, value))
        session.run(v1.variables_initializer([v for v in v1.global_variables() if v.shape == ()]))
        lstms = [v for v in v1.global_variables() if "a_flag" not in v.name]
        v1.train.Saver(lstms, write_version=version).save(session, str(path))
        return {v.name: session.run(v) for v in v1.trainable_variables() if "rnn" in v.name}


CELLS = {
    "one": lambda: cells.LSTMCell(4, use_peepholes=True, num_proj=3),
    "stack": lambda: cells.MultiRNNCell([cells.LSTMCell(n) for n in (4, 3, 5)]),
    "blocks": lambda: cells.MultiRNNCell([cells.BasicLSTMCell(150) for _ in range(3)]),
}


@pytest.mark.parametrize("cell", CELLS)
def test_checkpoints_of_the_format_v1(cell, tmp_path):
    """Those of 150 units have several blocks."""
    path = tmp_path / "model.ckpt-7"
    wanted = from_tensorflow(saved(path, CELLS[cell]))
    assert {file.name for file in tmp_path.iterdir()} >= {path.name, f"{path.name}.meta"}
    for source in (path, f"{path}.meta", tmp_path):
        config, params = from_tensorflow(source)
        assert config == wanted[0]
        assert_same(params, wanted[1])


def test_the_command_knows_the_format_v1(tmp_path):
    wanted = from_tensorflow(saved(tmp_path / "model", CELLS["one"]))
    for source in (tmp_path / "model", tmp_path):
        convert(source, tmp_path / "out.safetensors")
        config, params = jlstm.load(tmp_path / "out.safetensors")
        assert config == wanted[0]
        assert_same(params, wanted[1])


def test_v1_variables_in_slices_are_refused(tmp_path):
    saved(tmp_path / "a", CELLS["one"], partitioner=v1.fixed_size_partitioner(2))
    with pytest.raises(ValueError, match=r"a: rnn/lstm_cell/\w+ is saved in slices"):
        from_tensorflow(tmp_path / "a")


def test_numbers_of_64_bits_are_read(tmp_path, x64):
    kernel = np.random.default_rng(0).normal(size=(9, 16))
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.get_variable("lstm_cell/kernel", initializer=kernel)]
        variables.append(v1.get_variable("lstm_cell/bias", initializer=kernel[0]))
        variables.append(v1.get_variable("lstm_cell/w_i_diag", initializer=np.zeros(4, "int32")))
        session.run(v1.global_variables_initializer())
        for count in (2, 3):
            saver = v1.train.Saver(variables[:count], write_version=v1.train.SaverDef.V1)
            saver.save(session, str(tmp_path / f"{count}"))
    found = from_tensorflow(tmp_path / "2")[1].layers[0]
    np.testing.assert_array_equal(found.w_x[:, :4], kernel[:5, :4])
    with pytest.raises(ValueError, match="w_i_diag has TensorFlow's dtype number 3, which is not"):
        from_tensorflow(tmp_path / "3")


def test_v1_files_that_are_changed_or_cut_off(tmp_path):
    path, draw = tmp_path / "a", np.random.default_rng(0)
    saved(path, CELLS["one"])
    whole, found = path.read_bytes(), 0
    for _ in range(100):
        path.write_bytes(mutated(whole, draw))
        found += refused(from_tensorflow, path)
    assert found > 30
    for part in (0.0, 0.001, 0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * part)])
        assert refused(from_tensorflow, path)
    at = whole.index(b"lstm_cell/kernel", whole.index(b"lstm_cell/kernel") + 1) + 100
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(ValueError, match="the checksum of a block does not match"):
        from_tensorflow(path)


def block(entries):
    """A block of a table, with its trailer. Keys share nothing, but for those given as a pair."""
    parts = []
    for key, value in entries:
        shared, own = key if isinstance(key, tuple) else (0, key)
        parts += [varint(shared), varint(len(own)), varint(len(value)), own, value]
    made = b"".join(parts) + struct.pack("<II", 0, 1)
    return made + b"\0" + masked(made + b"\0")


def table(blocks, handles=None):
    data, listed = b"", []
    for n, one in enumerate(blocks):
        listed.append((b"\xff%05d" % n, varint(len(data)) + varint(len(one) - 5)))
        data += one
    listing = block(listed if handles is None else handles(listed))
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(listing) - 5)
    return data + listing + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def described(*variables):
    """The first block's entry."""
    parts = []
    for name, shape in variables:
        dims = b"".join(field(2, field(1, size)) for size in shape)
        extents = field(1, b"") * len(shape)
        parts.append(field(1, field(1, name) + field(2, dims) + field(3, 1) + field(4, extents)))
    return b"", field(1, b"".join(parts))


KERNEL, BIAS = b"lstm_cell/kernel", b"lstm_cell/bias"
OWN = described((KERNEL, (9, 16)), (BIAS, (16,)))


def values(name, rank, count, before=b""):
    key = b"\0" + name + b"\0\1\1" + bytes([rank]) + b"\x80\x7f" * rank
    tensor = before + field(5, np.ones(count, "float32").tobytes())
    return key, field(2, field(1, name) + field(3, tensor))


WHOLE = [OWN, values(BIAS, 1, 16), values(KERNEL, 2, 144)]


def test_a_table_that_is_made_by_hand_is_read(tmp_path):
    (tmp_path / "a").write_bytes(table([block(WHOLE)]))
    assert from_tensorflow(tmp_path / "a")[0] == Config.stack(5, [4])
    (tmp_path / "a").write_bytes(table([block([OWN]), block(WHOLE[1:2]), block(WHOLE[2:])]))
    with pytest.raises(ValueError, match="no values of lstm_cell/"):  # its keys are not sorted
        from_tensorflow(tmp_path / "a")


CRAFTED = {
    "fields of the description": (
        lambda: [(b"", field(1, b"\x08\x00" * 200_000))],
        "no LSTM cell",
    ),
    "large description": (
        lambda: [(b"", field(1, b"\x0a\x00" * 2_000_000))],
        "has 4000005 bytes; expected at most",
    ),
    "variables": (lambda: [(b"", field(1, b"\x0a\x00" * 500_000))], "without a name"),
    "names": (lambda: [described(*((b"%x" % n, ()) for n in range(20_000)))], "no LSTM cell"),
    "dimensions": (
        lambda: [described((KERNEL, (1,) * 50_000), (BIAS, (16,)))],
        "more than 254 axes",
    ),
    "fields of values": (
        lambda: [*WHOLE[:2], values(KERNEL, 2, 144, b"\x08\x00" * 4_000_000)],
        "values of lstm_cell/kernel are not stored as TensorFlow does",
    ),
    "other count": (
        lambda: [*WHOLE[:2], values(KERNEL, 2, 10**6)],
        r"shape \[9, 16\], but the size of its data does not fit",
    ),
    "absurd shape": (
        lambda: [described((KERNEL, (10**9, 10**9)), (BIAS, (16,))), *WHOLE[1:]],
        "the size of its data does not fit",
    ),
    "growing keys": (
        lambda: [OWN] + [((n, b"a"), b"") for n in range(50_000)],
        "a name of 4097 bytes|would take",
    ),
    "long keys": (
        lambda: [OWN, (b"a" * 3990, b"")] + [((3990, b"%06d" % n), b"") for n in range(50_000)],
        "the names in .* would take",
    ),
    "no values": (lambda: [OWN], "no values of lstm_cell/bias"),
    "no description": (lambda: WHOLE[1:], "does not begin with a description"),
    "no key": (lambda: [], "does not begin with a description"),
}


@pytest.mark.parametrize("crafted", CRAFTED)
def test_crafted_tables_are_refused_at_once(crafted, tmp_path):
    make, words = CRAFTED[crafted]
    (tmp_path / "a").write_bytes(table([block(make())]))
    began = time.process_time()
    assert refused(from_tensorflow, tmp_path / "a")
    assert time.process_time() - began < 2
    with pytest.raises(ValueError, match=words):
        from_tensorflow(tmp_path / "a")


def test_an_index_of_many_long_names_is_refused(tmp_path):
    """The index of the other format, from whose 1 MB names of 260 MB would be made."""
    names = [(b"a" * 3996, b"")] + [((3996, b"%04x" % n), b"") for n in range(65_000)]
    (tmp_path / "a.index").write_bytes(table([block(names)]))
    assert refused(from_tensorflow, tmp_path / "a")
    with pytest.raises(ValueError, match=r"the names in .* would take"):
        from_tensorflow(tmp_path / "a")


@pytest.mark.parametrize("ending", ["", ".index"])
def test_a_block_that_is_listed_many_times_is_refused(ending, tmp_path):
    """A handle may be followed by anything, so that no two handles of one block are the same."""
    large = block([*WHOLE, (b"zz", os.urandom(1_000_000))])

    def handles(listed):
        return [(b"\xff%05d" % n, listed[0][1] + b"%d" % n) for n in range(5_000)]

    many = table([large], handles)
    (tmp_path / f"a{ending}").write_bytes(many)
    began = time.process_time()
    with pytest.raises(ValueError, match="lists a block twice"):
        from_tensorflow(tmp_path / "a")
    assert time.process_time() - began < 1
