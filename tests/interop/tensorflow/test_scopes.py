"""Which cells of TensorFlow are read, and which of them form a stack."""

import re

import numpy as np
import pytest

from jlstm import Config
from jlstm.interop import Report, from_tensorflow
from tests.interop.frameworks import assert_same
from tests.interop.tensorflow.cells import below, lstm

APART = [
    below(encoder__rnn__lstm_cell=lstm(5), decoder__rnn__lstm_cell=lstm(4)),
    below(rnn__lstm_cell=lstm(5), rnn_1__lstm_cell=lstm(4)),
    below(rnn__lstm_cell=lstm(5), rnn__lstm_cell_1=lstm(4)),
    below(
        a__multi_rnn_cell__cell_0__lstm_cell=lstm(5), b__multi_rnn_cell__cell_1__lstm_cell=lstm(4)
    ),
]


@pytest.mark.parametrize("names", APART)
def test_networks_apart_are_not_stacked_unless_asked_for(names):
    with pytest.raises(ValueError, match=r"several LSTMs.*choose one: scope="):
        from_tensorflow(names)
    prefixes = [name.rpartition("/")[0] for name in names][::2]
    for prefix, inputs in zip(prefixes, (5, 4), strict=True):
        assert from_tensorflow(names, scope=prefix)[0] == Config.stack(inputs, [4])
    assert from_tensorflow(names, scope=prefixes)[0] == Config.stack(5, [4, 4])


def test_a_scope_is_whole_parts_of_a_path():
    names = below(encoder__lstm_cell=lstm(5), encoder2__lstm_cell=lstm(4))
    for scope in ("encoder", "encoder/", "encoder/lstm_cell"):
        assert from_tensorflow(names, scope=scope)[0].input_size == 5
    with pytest.raises(ValueError, match=r"no LSTM cell.*below 'enc'"):
        from_tensorflow(names, scope="enc")


def dense(units=4):
    return {"weights": np.zeros((8, units), "float32"), "biases": np.zeros(units, "float32")}


@pytest.mark.parametrize("place", ["lstm_o", "lstm_o/rnn/lstm_out", "cell_out"])
@pytest.mark.parametrize("names", [("kernel", "bias"), ("weights", "biases")])
def test_a_dense_layer_beside_a_cell_is_left_alone(place, names):
    """Also beside a cell of TensorFlow before 1.2, whose variables have the same names."""
    own = dict(zip(names, lstm(5).values(), strict=True))
    cell = below(lstm_o__rnn__basic_lstm_cell=own)
    wanted = from_tensorflow(cell)[1]
    beside = cell | {f"{place}/{last}": a for last, a in dense().items()}
    for scope in ("", "lstm_o", "lstm_o/rnn/", "lstm_o/rnn/basic_lstm_cell"):
        assert_same(from_tensorflow(beside, scope=scope)[1], wanted)


def test_weights_and_biases_alone_are_a_cells():
    own = dict(zip(("weights", "biases"), lstm(5).values(), strict=True))
    for scope in ("", "my_lstm"):
        assert from_tensorflow(below(my_lstm=own), scope=scope)[0] == Config.stack(5, [4])


@pytest.mark.parametrize("outer", ["attention_cell", "lstm_o", "lstm"])
@pytest.mark.parametrize("other", ["{0}", "lstm_dense"])
def test_the_scope_of_the_advice_works(outer, other):
    names = below(**{other.format(outer): lstm(3), f"{outer}__rnn__lstm_cell": lstm(5)})
    for scope in ("", outer) if other == "{0}" else ("",):
        with pytest.raises(ValueError, match="several LSTMs") as refusal:
            from_tensorflow(names, scope=scope)
        advised = re.search('scope="(.*?)"', str(refusal.value))[1]
        assert from_tensorflow(names, scope=advised)[0] == Config.stack(5, [4])


@pytest.mark.parametrize("scopes", [["b", "b"], ["b", "b/lstm_cell"], ["b/", "b"], ["", "b"]])
def test_a_list_of_scopes_has_each_cell_once(scopes):
    with pytest.raises(ValueError, match=r"scope has a cell twice: \['b/lstm_cell', 'b/lstm_"):
        from_tensorflow(below(b__lstm_cell=lstm(4)), scope=scopes)


def test_a_direction_alone_runs_its_own_way():
    names = below(
        bidirectional_rnn__fw__lstm_cell=lstm(5), bidirectional_rnn__bw__lstm_cell=lstm(5, seed=1)
    )
    for way in ("fw", "bw"):
        scope = f"bidirectional_rnn/{way}"
        config, params = from_tensorflow(names, scope=scope, report=(report := Report()))
        assert config.layers[0].reverse == (way == "bw")
        assert ("bw/lstm_cell is a cell bw without fw: layer 0" in str(report)) == (way == "bw")
        both = from_tensorflow(names)[1].layers[0]
        assert_same(params.layers[0].w_x, both.w_x[int(way == "bw")])


def test_a_stack_of_each_direction_is_not_a_stack_of_both():
    names = {}
    for way in ("fw", "bw"):
        for n, inputs in enumerate((5, 8)):
            cell = f"bidirectional_rnn/{way}/multi_rnn_cell/cell_{n}/lstm_cell"
            names |= below(**{cell.replace("/", "__"): lstm(inputs)})
    with pytest.raises(ValueError, match=r'do not read the other.*="bidirectional_rnn/bw/multi'):
        from_tensorflow(names)
