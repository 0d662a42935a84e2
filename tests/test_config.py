"""Configs: what they accept, what they refuse, and their text."""

import dataclasses

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given

from jlstm import Config, Layer
from jlstm.files import config_toml
from tests.networks import configs


@given(configs())
def test_a_config_survives_its_text(config):
    assert config_toml.loads(config_toml.dumps(config)) == config
    assert hash(config_toml.loads(config_toml.dumps(config))) == hash(config)


def test_every_option_survives_its_text():
    layers = (
        Layer(4, bidirectional=True, merge="mul", bias=True, forget_bias=0.25, dropout=0.125),
        Layer(4, reverse=True, residual=True, bias=False),
    )
    config = Config(
        3, layers, dtype="bfloat16", param_dtype="float64", initializer="torch",
        learn_initial_carry=True,
    )  # fmt: skip
    assert config_toml.loads(config_toml.dumps(config)) == config


def test_configs_are_frozen_values():
    config = Config.stack(6, [4, 5], bias=False)
    assert config == Config(6, (Layer(4, bias=False), Layer(5, bias=False)))
    assert {config: 1}[Config(6, [Layer(4, bias=False), Layer(5, bias=False)])] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.input_size = 7
    assert Config(np.int64(6), (Layer(np.int32(4)),)) == Config.stack(6, [4])
    assert Layer(4, dropout=np.float32(0.5), peepholes=np.True_) == Layer(
        4, dropout=0.5, peepholes=True
    )
    assert Layer(4, activation="relu()").activation == "relu()"


def test_sizes_follow_the_layers():
    config = Config(3, (Layer(4, bidirectional=True), Layer(5, bidirectional=True, merge="sum")))
    assert config.input_sizes == (3, 8)
    assert config.output_size == 5


class Unhashable:
    """A function of one's own that holds something, and is compared by it."""

    __hash__ = None

    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Layer(0), ValueError, "hidden_size is 0; expected a whole number of at least 1"),
        (lambda: Layer(-3), ValueError, "hidden_size is -3"),
        (lambda: Layer(4.0), TypeError, "hidden_size is 4.0; expected a whole number"),
        (lambda: Layer("4"), TypeError, "hidden_size is '4'"),
        (lambda: Layer(True), TypeError, "hidden_size is True"),
        (lambda: Layer(4, bidirectional=1), TypeError, "bidirectional is 1; expected True or"),
        (lambda: Layer(4, bidirectional=True, merge="summ"), ValueError, "did you mean 'sum'"),
        (lambda: Layer(4, merge="sum"), ValueError, "nothing to merge"),
        (lambda: Layer(4, reverse=True, bidirectional=True), ValueError, "already runs both"),
        (lambda: Layer(4, dropout=1.0), ValueError, "at least 0 and below 1"),
        (lambda: Layer(4, dropout=-0.1), ValueError, "dropout is -0.1"),
        (lambda: Layer(4, dropout="half"), TypeError, "expected a number"),
        (lambda: Layer(4, forget_bias=float("nan")), ValueError, "finite"),
        (lambda: Layer(4, cell_clip=10**400), ValueError, "cell_clip is inf; expected a finite"),
        (lambda: Layer(4, activation="elu(nan)"), ValueError, "'nan' is not a finite number"),
        (lambda: Layer(4, activation="elu(1e39)"), ValueError, "'1e39' is not a finite number in"),
        (lambda: Layer(4, forget_bias=1e39), ValueError, "forget_bias is 1e+39; expected a number"),
        (lambda: Layer(4, cell_clip=1e39), ValueError, "cell_clip is 1e+39; expected a number"),
        (lambda: Layer(4, activation=Unhashable()), TypeError, "cannot be hashed"),
        (lambda: Layer(4, activation=np.linalg.inv), TypeError, "is a function that JAX cannot"),
        (
            lambda: Layer(4, cell_activation=lambda x: x.sum()),
            ValueError,
            "returns ShapeDtypeStruct",
        ),
        (lambda: Layer(4, bias=False, forget_bias=2.0), ValueError, "no bias to add it to"),
        (lambda: Config(0, (Layer(4),)), ValueError, "input_size is 0"),
        (lambda: Config(3, ()), ValueError, "at least one layer"),
        (lambda: Config(3, Layer(4)), TypeError, "expected a tuple of Layer"),
        (lambda: Config(3, (4, 5)), TypeError, "layers holds 4"),
        (lambda: Config(3, (Layer(4, residual=True),)), ValueError, "3 inputs and 4 outputs"),
        (lambda: Config(3, (Layer(4),), dtype="float16"), ValueError, "dtype is 'float16'"),
        (lambda: Config(3, (Layer(4),), dtype=float), TypeError, "expected a name"),
        (lambda: Config(3, (Layer(4),), dtype=np.ones(3)), TypeError, "expected a name"),
        (lambda: Config(3, (Layer(4),), initializer="kers"), ValueError, "did you mean 'keras'"),
        (lambda: Config.stack(3, 4), TypeError, "one size a layer"),
        (lambda: Config.stack(3, [4], biass=False), ValueError, "did you mean 'bias'"),
        (lambda: Config.stack(3, [4], dtype="bfloat16"), ValueError, "of the whole network"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, words):
    """Contract 12."""
    with pytest.raises(error) as raised:
        make()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input_size = ", "not valid TOML"),
        ("input_sise = 3\n[[layers]]\nhidden_size = 4", "did you mean 'input_size'"),
        ("input_size = 3\n[[layers]]\nhiden_size = 4", "did you mean 'hidden_size'"),
        ("[[layers]]\nhidden_size = 4", "lacks the key 'input_size'"),
        ("input_size = 3", "at least one layer"),
        ("input_size = 3\nlayers = 4", "one [[layers]] heading per layer"),
        ("input_size = 3\n[layers]\nhidden_size = 4", "one [[layers]] heading per layer"),
        ("input_size = '3'\n[[layers]]\nhidden_size = 4", "input_size is '3'"),
        ("input_size = 3\n[[layers]]\nhidden_size = [4]", "hidden_size is [4]"),
        ("input_size = 3\n[[layers]]\nhidden_size = 4\ndropout = {a = 1}", "expected a number"),
        ("input_size = 3\ndtype = 2000-01-01\n[[layers]]\nhidden_size = 4", "expected a name"),
    ],
)
def test_text_that_is_no_config_is_refused(text, words):
    with pytest.raises((ValueError, TypeError)) as raised:
        config_toml.loads(text)
    assert words in str(raised.value)


def test_a_function_cannot_be_written_down():
    config = Config(3, (Layer(4),), initializer=lambda key, shape, dtype: None)
    with pytest.raises(ValueError, match="cannot be written as text"):
        config_toml.dumps(config)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.dtype("bfloat16"), ml_dtypes.bfloat16])
def test_dtypes_are_held_by_name(dtype):
    config = Config(3, (Layer(4),), dtype=dtype, param_dtype=dtype)
    assert config == Config(3, (Layer(4),), dtype="bfloat16", param_dtype="bfloat16")
    assert hash(config) == hash(dataclasses.replace(config, dtype="bfloat16"))
