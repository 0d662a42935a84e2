"""Keras layers, cells and functions that are not what their names say."""

import pytest

from jlstm.interop import Report, from_keras
from tests.interop.frameworks import assert_same

keras = pytest.importorskip("keras")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


class Own:
    """Classes under the names of Keras's, which compute something else."""

    class LSTMCell(L.LSTMCell):
        pass

    class LSTM(L.LSTM):
        pass

    @keras.saving.register_keras_serializable()
    class StackedRNNCells(L.StackedRNNCells):
        pass

    class Sequential(keras.Sequential):
        def call(self, *given, **options):
            return -super().call(*given, **options)


REGISTERED = keras.saving.register_keras_serializable()(type("LSTM", (L.LSTM,), {}))


@pytest.mark.parametrize(
    "made",
    [
        lambda: L.RNN(Own.LSTMCell(4)),
        lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(4), Own.LSTMCell(4)])),
        lambda: L.RNN(Own.StackedRNNCells([L.LSTMCell(4)])),
        lambda: Own.LSTM(4),
        lambda: REGISTERED(4),
        lambda: L.Bidirectional(REGISTERED(4)),
    ],
)
def test_classes_under_the_names_of_kerass_own_are_refused(made):
    layer = made()
    layer.build((None, None, 5))
    with pytest.raises(ValueError, match="is a custom class"):
        from_keras(layer)


def test_an_lstm_in_a_sequential_with_a_call_of_its_own_must_be_chosen():
    model = Own.Sequential([keras.Input((None, 5)), L.LSTM(4, name="inner")])
    with pytest.raises(ValueError, match=r'custom class Sequential, which may.*layer="inner"'):
        from_keras(model)
    assert_same(from_keras(model, layer="inner")[1], from_keras(model.layers[0])[1])


def tanh(x):
    """What Keras writes down as "tanh"."""
    return x


@pytest.mark.parametrize("option", ["activation", "recurrent_activation"])
@pytest.mark.parametrize(
    "made",
    [
        lambda **own: L.LSTM(4, **own),
        lambda **own: L.RNN(L.LSTMCell(4, **own)),
        lambda **own: L.RNN(L.StackedRNNCells([L.LSTMCell(4), L.LSTMCell(4, **own)])),
    ],
)
def test_functions_under_the_names_of_kerass_own_are_refused(made, option):
    layer = made(**{option: tanh})
    layer.build((None, None, 5))
    with pytest.raises(ValueError, match=f'function named tanh.*{option}="tanh"'):
        from_keras(layer)


class Twice(L.Wrapper):
    def call(self, xs):
        return 2 * self.layer(xs)


class Both(L.Bidirectional):
    pass


@pytest.mark.parametrize("ending", ["", ".keras", ".h5"])
@pytest.mark.parametrize("wrapper", [Twice, Both])
def test_an_lstm_in_a_wrapper_of_another_class_must_be_chosen(wrapper, ending, tmp_path):
    model = keras.Sequential(
        [keras.Input((3, 5)), wrapper(L.LSTM(4, name="inner", return_sequences=True))]
    )
    source = tmp_path / f"a{ending}" if ending else model
    if ending:
        model.save(source)
    with pytest.raises(ValueError, match=f"custom class {wrapper.__name__}, which may.*layer="):
        from_keras(source)
    if wrapper is Twice:
        report = Report()
        params = from_keras(source, layer="inner", report=report)[1]
        assert_same(params, from_keras(model.layers[0].layer)[1])
        assert "inner was read without what the custom class Twice computes" in str(report)
