"""Which LSTMs are read of Keras models that hold other layers too."""

import functools
import zipfile

import numpy as np
import pytest

import jlstm
from jlstm.interop import Report, from_keras
from jlstm.interop.command import convert
from tests.examples import mostly_full
from tests.interop.frameworks import assert_close, assert_same, run
from tests.interop.keras.test_keras import distinct, lstm

keras = pytest.importorskip("keras")
pytest.importorskip("h5py")
L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def words():
    """A classifier of padded texts, the first model of every tutorial."""
    layers = [L.Embedding(10, 5, mask_zero=True, name="words"), L.Dropout(0.25)]
    layers += [lstm(4), L.Dropout(0.1), L.LSTM(3), L.Dropout(0.5), L.Dense(2, name="classes")]
    return distinct(keras.Sequential([L.Input((7,)), *layers]))


@functools.cache
def branches():
    """A Functional with two branches, a decoder that starts from a state, and a nested model."""
    xs = L.Input((6, 5), name="xs")
    inner = keras.Sequential([L.Input((6, 5)), lstm(4, name="deep"), L.Dense(4)], name="inner")
    read, h, c = L.LSTM(4, return_state=True, name="reads")(L.Masking()(xs))
    both = L.Bidirectional(lstm(2), name="both")(inner(xs))
    joined = L.Concatenate()([L.RepeatVector(6)(read), both])
    ys = L.LSTM(4, return_sequences=True, name="writes")(joined, initial_state=[h, c])
    ys = L.TimeDistributed(L.Dense(2))(ys)
    return distinct(keras.Model(xs, ys))


NAMES = ("reads", "inner/deep", "both", "writes")
ENDINGS = (".keras", ".weights.h5")


def saved(model, path):
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


def found(model, name):
    for part in name.split("/"):
        model = model.get_layer(part)
    return model


@pytest.mark.parametrize("ending", mostly_full(["", *ENDINGS], default=[".keras"]))
def test_lstms_are_chosen_by_name(ending, tmp_path):
    model = branches()
    source = saved(model, tmp_path / f"a{ending}") if ending else model
    for name in NAMES:
        config, params = from_keras(source, layer=name)
        wanted = from_keras(found(model, name))
        assert config.layers[0].hidden_size == wanted[0].layers[0].hidden_size
        assert_same(params, wanted[1])
    assert_same(from_keras(source, layer="deep")[1], from_keras(source, layer=["inner/deep"])[1])
    with pytest.raises(ValueError, match=r"several LSTMs.*inner/deep.*layer=.*--layer") as raised:
        from_keras(source)
    assert all(f"{name} (" in str(raised.value) for name in NAMES)
    with pytest.raises(ValueError, match=r"no LSTM named 'dense'; its LSTMs are .*inner/deep"):
        from_keras(source, layer="dense")


@pytest.mark.parametrize("ending", ["", ".keras"])
def test_what_stands_around_an_lstm_is_reported(ending, tmp_path):
    model, report = branches(), Report()
    source = saved(model, tmp_path / f"a{ending}") if ending else model
    from_keras(source, layer="writes", report=report)
    assert "initial state of writes is an output of another layer" in str(report)
    assert "writes reads the outputs of concatenate" in str(report)
    assert "inner/deep (LSTM)" in str(report) and "both (Bidirectional of LSTM)" in str(report)
    from_keras(source, layer=["deep", "both"], report=report)
    assert "deep, both were stacked in this order as you chose" in str(report)


@pytest.mark.parametrize("ending", mostly_full(["", ".keras"], default=[".keras"]))
def test_a_stack_between_other_layers_is_read(ending, tmp_path):
    model, report = words(), Report()
    source = saved(model, tmp_path / f"a{ending}") if ending else model
    config, params = from_keras(source, report=report)
    assert [layer.dropout for layer in config.layers] == [0.25, 0.1]
    texts = np.array([[3, 1, 4, 1, 5, 0, 0], [2, 7, 1, 8, 2, 8, 1]])
    xs = np.asarray(model.get_layer("words")(texts)).swapaxes(0, 1)
    carry, _ = run(config, params, xs, mask=(texts != 0).T)
    logits = np.asarray(model.get_layer("classes")(carry[-1].h))
    assert_close(logits, np.asarray(model(texts)), atol=1e-5)
    for line in (
        "left out: words (Embedding), classes (Dense)",
        "reads the outputs of words",
        "words makes a mask of the padding",
        "a dropout of 0.5 after the last LSTM was left out",
    ):
        assert line in str(report)


def test_a_weights_file_with_one_lstm_and_other_layers(tmp_path):
    model = distinct(keras.Sequential([L.Input((7,)), L.Embedding(10, 5), L.LSTM(4), L.Dense(2)]))
    path, report = saved(model, tmp_path / "a.weights.h5"), Report()
    assert_same(from_keras(path, report=report)[1], from_keras(model.layers[1])[1])
    assert "left out: " in str(report) and "(Embedding)" in str(report)


def test_a_weights_file_of_several_classes_does_not_tell_their_order(tmp_path):
    model = keras.Sequential([L.Input((None, 5)), L.Bidirectional(lstm(3)), lstm(4)])
    path, names = saved(distinct(model), tmp_path / "a.weights.h5"), [a.name for a in model.layers]
    with pytest.raises(ValueError, match="several LSTMs that are not known to form one stack"):
        from_keras(path)
    assert_same(from_keras(path, layer=names)[1], from_keras(model)[1])
    assert_same(from_keras(path, layer=["bidirectional", "lstm"])[1], from_keras(model)[1])


class Subclassed(keras.Model):
    def __init__(self, encoder, *others):
        super().__init__()
        self.encoder, self.own = encoder, list(others)

    def get_config(self):
        return {}

    def call(self, xs):
        ys = self.encoder(xs)
        for layer in self.own:
            ys = layer(ys)
        return ys


@pytest.mark.parametrize("ending", ["", *ENDINGS])
@pytest.mark.parametrize("others", [0, 2])
def test_lstms_of_models_with_their_own_call(others, ending, tmp_path):
    layers = [lstm(4, name="first"), *(lstm(4, name=f"upper{n}") for n in range(others))]
    model = Subclassed(*layers)
    model(np.zeros((2, 3, 4), "float32"))
    source = saved(distinct(model), tmp_path / f"a{ending}") if ending else model
    if others or not ending:
        with pytest.raises(ValueError, match=r"first \(LSTM\).*layer="):
            from_keras(source)
    else:
        assert_same(from_keras(source)[1], from_keras(layers)[1])
    names = [layer.name for layer in layers]
    assert_same(from_keras(source, layer=names)[1], from_keras(layers)[1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: [lstm(4), L.Dense(5), lstm(3)],
        lambda: [L.LSTM(4), L.RepeatVector(3), lstm(3)],
        lambda: [lstm(4), L.GRU(4, return_sequences=True), lstm(4)],
        lambda: [lstm(4), L.TimeDistributed(L.Dense(5)), lstm(4)],
    ],
)
def test_lstms_with_other_layers_between_are_no_stack(make):
    model = keras.Sequential([L.Input((None, 5)), *make()])
    lower, _, upper = model.layers
    with pytest.raises(ValueError, match="not known to form one stack"):
        from_keras(model)
    assert_same(from_keras(model, layer=lower.name)[1], from_keras(lower)[1])
    assert_same(from_keras(model, layer=upper.name)[1], from_keras(upper)[1])


def test_a_functional_chain_through_a_nested_model_is_read(tmp_path):
    xs = L.Input((6, 5))
    ys = lstm(3)(xs)
    entry = L.Input((6, 3))
    inner = keras.Model(entry, L.Dropout(0.5)(lstm(4)(entry)))
    top = lstm(2)(inner(ys))
    model = distinct(keras.Model(xs, [top, L.Add()([top, ys[..., :2]])]))
    config, params = from_keras(model)
    assert [(own.hidden_size, own.dropout) for own in config.layers] == [(3, 0), (4, 0), (2, 0.5)]
    draw = np.random.default_rng(0).normal(size=(6, 2, 5)).astype("float32")
    ys = np.asarray(model(draw.swapaxes(0, 1))[0]).swapaxes(0, 1)
    assert_close(run(config, params, draw)[1], ys)
    assert_same(from_keras(saved(model, tmp_path / "a.keras"))[1], params)


def test_an_lstm_that_is_used_twice_is_no_stack():
    xs = L.Input((6, 4))
    shared, other = lstm(4, name="shared"), lstm(4, name="other")
    model = keras.Model(xs, shared(other(shared(xs))))
    with pytest.raises(ValueError, match="not known to form one stack"):
        from_keras(model)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("nested", mostly_full([False, True], default=[True]))
def test_an_lstm_that_is_applied_twice_must_be_chosen(nested, library):
    library = pytest.importorskip(library)
    layers = library.layers
    xs, shared = layers.Input((6, 4)), layers.LSTM(4, return_sequences=True, name="shared")
    inner = library.Sequential([layers.Input((6, 4)), shared]) if nested else shared
    model, report = library.Model(xs, inner(inner(xs))), Report()
    with pytest.raises(ValueError, match=r'shared \(LSTM\) more than once.*layer=".*shared"'):
        from_keras(model)
    assert_same(from_keras(model, layer="shared", report=report)[1], from_keras(shared)[1])
    assert "shared more than once; apply does so once" in str(report)


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.parametrize("between", mostly_full([False, True], default=[False]))
def test_an_lstm_that_starts_from_the_state_of_one_below_it_must_be_chosen(between, library):
    library = pytest.importorskip(library)
    layers = library.layers
    xs = layers.Input((6, 4))
    lower = layers.LSTM(4, return_sequences=True, return_state=True, name="lower")
    ys, h, c = lower(xs)
    upper = layers.LSTM(4, return_sequences=True, name="upper")
    model = library.Model(xs, upper(ys, initial_state=[layers.Dense(4)(h) if between else h, c]))
    for layer in (None, ["lower", "upper"]):
        with pytest.raises(ValueError, match=r"upper gets its initial state from lower.*layer="):
            from_keras(model, layer=layer)
    report = Report()
    assert_same(from_keras(model, layer="upper", report=report)[1], from_keras(upper)[1])
    assert "pass it as the carry" in str(report)


def test_a_stack_whose_state_comes_from_elsewhere_is_read():
    xs, other = L.Input((6, 4)), L.Input((3,))
    state, report = [L.Dense(4)(other), L.Dense(4)(other)], Report()
    model = keras.Model([xs, other], lstm(4, name="b")(lstm(4)(xs), initial_state=state))
    assert len(from_keras(model, report=report)[0].layers) == 2
    assert "the initial state of b is an output of another layer" in str(report)


def test_a_list_with_a_lower_lstm_of_one_output_is_refused():
    lower, upper = L.LSTM(4, name="lower"), L.LSTM(4)
    for layer in (lower, upper):
        layer.build((None, None, 4))
    with pytest.raises(ValueError, match="lower returns only its last output"):
        from_keras([lower, upper])


def test_a_mask_below_a_layer_that_goes_backwards_is_reported():
    words, report = L.Embedding(10, 5, mask_zero=True), Report()
    layers = [L.Input((6,)), words, lstm(4, go_backwards=True), lstm(4)]
    from_keras(keras.Sequential(layers), report=report)
    assert "does not reverse the mask" in str(report)


def test_names_that_several_lstms_have():
    nested = [keras.Sequential([L.Input((6, 4)), lstm(4, name="own")], name=name) for name in "ab"]
    model = keras.Sequential([L.Input((6, 4)), *nested])
    with pytest.raises(ValueError, match=r"a/own \(LSTM\), b/own \(LSTM\); write the whole name"):
        from_keras(model, layer="own")
    assert_same(from_keras(model, layer="b/own")[1], from_keras(nested[1])[1])
    layers = [model.layers[n].layers[0] for n in (0, 1)]
    with pytest.raises(ValueError, match="pass the layer itself to from_keras"):
        from_keras(layers, layer="own")


def test_groups_of_another_layer_are_not_read(tmp_path):
    import h5py

    model = keras.Sequential([L.Input((None, 4)), lstm(4, name="a"), lstm(4, name="b")])
    path = saved(model, tmp_path / "a.keras")
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "w.h5").write_bytes(held["model.weights.h5"])
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file.move("layers/lstm", "layers/x")
        file.move("layers/lstm_1", "layers/lstm")
        file.move("layers/x", "layers/lstm_1")
    held["model.weights.h5"] = (tmp_path / "w.h5").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match="weights of a were expected in layers/lstm, but those"):
        from_keras(path)


def test_an_lstm_that_reads_a_second_output_is_no_stack():
    xs = L.Input((6, 5))
    _, backward = L.Bidirectional(lstm(4), merge_mode=None, name="both")(xs)
    with pytest.raises(ValueError, match="not known to form one stack"):
        from_keras(keras.Model(xs, lstm(4)(backward)))


def test_a_mask_is_no_state(tmp_path):
    texts = L.Input((6,))
    model = keras.Model(texts, L.LSTM(4)(L.Embedding(10, 5, mask_zero=True, name="words")(texts)))
    for source in (model, saved(model, tmp_path / "a.keras")):
        report = Report()
        assert from_keras(source, report=report)[0].input_size == 5
        assert "reads the outputs of words" in str(report)
        assert "initial state" not in str(report)


def test_an_lstm_within_time_distributed(tmp_path):
    xs = L.Input((3, 6, 5))
    model = distinct(keras.Model(xs, L.TimeDistributed(L.LSTM(4, name="own"))(xs)))
    wanted = from_keras(model.layers[1].layer)[1]
    for source in (
        model,
        saved(model, tmp_path / "a.keras"),
        saved(model, tmp_path / "a.weights.h5"),
    ):
        report = Report()
        assert_same(from_keras(source, report=report)[1], wanted)
        if str(source).endswith("a.weights.h5"):
            continue
        assert "own was read without what TimeDistributed computes around it" in str(report)


@pytest.mark.parametrize(
    ("layer", "error", "said"),
    [
        (3, TypeError, "layer holds 3; expected the name"),
        ([], ValueError, "expected one name at least"),
        (["reads", "reads"], ValueError, "each only once"),
        (["reads", "writes"], ValueError, "writes gets its initial state from reads"),
    ],
)
def test_odd_choices_are_refused_in_words(layer, error, said):
    with pytest.raises(error, match=said):
        from_keras(branches(), layer=layer)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_command_takes_names_of_layers(ending, tmp_path):
    model = branches()
    path, out = saved(model, tmp_path / f"a{ending}"), tmp_path / "b.safetensors"
    convert(path, out, layer=("both",))
    assert_same(jlstm.load(out)[1], from_keras(model.get_layer("both"))[1])
    with pytest.raises(ValueError, match="--prefix is an option for torch files"):
        convert(path, out, prefix="both")


def test_files_of_keras_2_13_number_layers_with_weights_twice(tmp_path):
    """Its groups are _layer_checkpoint_dependencies/lstm, lstm_2, lstm_4."""
    import h5py

    model = keras.Sequential([L.Input((None, 5)), lstm(4), L.Dropout(0.1), lstm(4), lstm(4)])
    earlier(saved(distinct(model), tmp_path / "a.keras"), tmp_path)
    config, params = from_keras(tmp_path / "a.keras")
    assert [layer.dropout for layer in config.layers] == [0, 0.1, 0]
    assert_same(params, from_keras(model)[1])
    report = Report()
    assert_same(from_keras(tmp_path / "a.weights.h5", report=report)[1], params)
    assert "assumed: a stack of lstm, lstm_2, lstm_4" in str(report)
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        file.create_group("_layer_checkpoint_dependencies/dense")
        file["_layer_checkpoint_dependencies/dense/vars/0"] = np.ones((3, 2), "float32")
    with pytest.raises(ValueError, match="not known to form one stack"):
        from_keras(tmp_path / "a.weights.h5")


def earlier(path, folder):
    """Changes a file to the layout of Keras 2.13, and writes its weights beside it."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    (folder / "new.h5").write_bytes(held["model.weights.h5"])
    target = folder / "a.weights.h5"
    with h5py.File(folder / "new.h5") as new, h5py.File(target, "w") as old:
        old.create_group("vars")
        for name in new["layers"]:
            base, _, number = name.partition("_")
            own = f"{base}_{2 * int(number)}" if number else base
            new.copy(f"layers/{name}", old, f"_layer_checkpoint_dependencies/{own}")

        def unlabelled(_, item):
            item.attrs.pop("name", None)

        old.visititems(unlabelled)
    held["model.weights.h5"] = target.read_bytes()
    held["metadata.json"] = b'{"keras_version": "2.13.1"}'
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
