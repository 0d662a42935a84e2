"""What cannot be quantised, and int8 parameters that do not fit: contract 12."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
import jlstm.interop
from jlstm import Config, Quantized
from tests.networks import apply
from tests.quantize.made import CONFIG, quantized_call


def test_what_is_not_quantised_to_eight_bits_is_refused():
    params = jlstm.init(jax.random.key(0), CONFIG)
    for bits in (4, 16, True, "8"):
        with pytest.raises(ValueError, match=r"bits is .*; expected 8.*bfloat16"):
            jlstm.quantize(CONFIG, params, bits=bits)
    small = jlstm.quantize(CONFIG, params, bits=8)
    with pytest.raises(ValueError, match=r"quantized already: layers.0.w_x is int8.*dequantize"):
        jlstm.quantize(CONFIG, small)
    with pytest.raises(TypeError, match="expected Params"):
        jlstm.quantize(CONFIG, params.layers[0])
    with pytest.raises(ValueError, match="another config"):
        jlstm.quantize(Config.stack(3, [5]), params)
    with pytest.raises(TypeError, match="config"):
        jlstm.quantize(params, CONFIG)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("both", [False, True])
def test_weights_that_are_not_finite_are_refused(wrong, both):
    config = Config.stack(3, [5], bidirectional=both)
    params = jlstm.init(jax.random.key(0), config)
    at = (1, 2, 7) if both else (2, 7)
    layer = params.layers[0]._replace(w_h=params.layers[0].w_h.at[at].set(wrong))
    params = jlstm.Params((layer,))
    where = "column 7 of direction 1" if both else "column 7;"
    with pytest.raises(ValueError, match=rf"params.layers\[0\].w_h holds NaN.* {where}"):
        jlstm.quantize(config, params)
    hidden = jax.jit(functools.partial(jlstm.quantize, config))(params)
    carry, _ = jlstm.apply(config, hidden, None, np.ones((2, 3), "float32"))
    assert not np.isfinite(carry[0].h).all()  # nothing turns into plausible numbers


def test_weights_beyond_the_scale_of_float32_are_refused(x64):
    config = dataclasses.replace(CONFIG, dtype="float64", param_dtype="float64")
    params = jax.tree.map(lambda a: a * 1e45, jlstm.init(jax.random.key(0), config))
    with pytest.raises(ValueError, match=r"w_x holds NaN, infinite or too large"):
        jlstm.quantize(config, params)


def test_int8_parts_that_do_not_fit_are_refused():
    """Contract 12."""
    call, _ = quantized_call(CONFIG)
    first = call.params.layers[0]

    def run(**changes):
        layers = (first._replace(**changes), call.params.layers[1])
        return apply(call, params=jlstm.Params(layers))

    w_x = first.w_x
    with pytest.raises(TypeError, match=r"layers\[0\].w_x has values in float32 and a scale"):
        run(w_x=w_x._replace(values=w_x.values.astype("float32")))
    with pytest.raises(TypeError, match=r"a scale in int32; expected int8 and float32"):
        run(w_x=w_x._replace(scale=w_x.scale.astype("int32")))
    with pytest.raises(ValueError, match=r"w_x.scale has shape \(\); expected \(20,\)"):
        run(w_x=w_x._replace(scale=jnp.ones(())))
    with pytest.raises(ValueError, match=r"w_x has shape \(3, 16\); expected \(3, 20\)"):
        run(w_x=Quantized(w_x.values[:, :16], w_x.scale[:16]))
    with pytest.raises(TypeError, match=r"b is int8; .*only matrices"):
        run(b=Quantized(jnp.ones((20,), "int8"), jnp.ones(())))
    with pytest.raises(TypeError, match=r"w_x has dtype int8; expected floating-point numbers"):
        run(w_x=w_x.values)


FRAMEWORKS = {
    "to_torch": ["torch"],
    "to_keras": ["keras"],
    "to_tensorflow": [],
    "to_haiku": [],
    "to_equinox": ["equinox"],
    "to_cudnn": [],
    "to_linen": ["flax"],
    "to_nnx": ["flax"],
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_frameworks_without_int8_weights_say_how_to_convert(name):
    for package in FRAMEWORKS[name]:
        pytest.importorskip(package)
    params = jlstm.quantize(CONFIG, jlstm.init(jax.random.key(0), CONFIG))
    words = r"takes float parameters, but layers.0.w_x is int8.*jlstm.dequantize\(config, params\)"
    with pytest.raises(TypeError, match=words):
        getattr(jlstm.interop, name)(CONFIG, params)


def test_flax_modules_refuse_int8():
    nnx = pytest.importorskip("flax.nnx")
    from jlstm.modules import linen
    from jlstm.modules import nnx as modules

    params = jlstm.quantize(CONFIG, jlstm.init(jax.random.key(0), CONFIG))
    words = "a module takes float parameters, but layers.0.w_x is int8"
    with pytest.raises(TypeError, match=words):
        linen.params_from(params)
    module = modules.LSTM(3, (5, 4), rngs=nnx.Rngs(0))
    nested = {"layers": {"0": {}, "1": {}}}
    for n, layer in enumerate(params.layers):
        nested["layers"][str(n)] = {
            "w_x": layer.w_x._asdict(),
            "w_h": layer.w_h._asdict(),
            "b": layer.b,
        }
    for source in (params, nested):
        with pytest.raises(TypeError, match=words):
            modules.set_params(module, source)


def test_training_refuses_int8():
    optax = pytest.importorskip("optax")
    from jlstm.train import step
    from jlstm.train.model import Batch
    from jlstm.train.tasks.classify import Classify

    task, optimizer = Classify(10), optax.adam(1e-2)
    state = step.new_state(jax.random.key(0), CONFIG, task, optimizer)
    model = state.model._replace(network=jlstm.quantize(CONFIG, state.model.network))
    batch = Batch(jnp.ones((3, 7, 3)), jnp.array([1, 2, 3]))
    with pytest.raises(TypeError, match=r"training takes float .* network.layers.0.w_x is int8"):
        step.make_train_step(CONFIG, task, optimizer)(state._replace(model=model), batch, None)


@pytest.mark.parametrize("vocabulary", [None, 2, 30])  # 2: tokens are read without their vectors
def test_trained_models_are_measured_with_int8(vocabulary):
    pytest.importorskip("optax")
    from jlstm.train import step
    from jlstm.train.model import Batch
    from jlstm.train.tasks.classify import Classify

    task = Classify(10, vocabulary=vocabulary)
    model = task.new(jax.random.key(0), CONFIG)
    small = model._replace(network=jlstm.quantize(CONFIG, model.network))
    xs = jnp.ones((3, 7, 3)) if vocabulary is None else jnp.arange(21).reshape(3, 7) % vocabulary
    batch = Batch(xs, jnp.array([1, 2, 3]))
    evaluate = step.make_eval_step(CONFIG, task)
    seen, wanted = (evaluate(m, None, batch)[1]["loss"] for m in (small, model))
    np.testing.assert_allclose(seen[0], wanted[0], rtol=0.02)
