"""What the kernels support of a layer's options; what they do not, they refuse."""

import dataclasses

import pytest

import jlstm
from jlstm import Layer
from jlstm.kernels import plain

# A value other than the only one that the kernels support.
UNSUPPORTED = {
    "projection_size": 2,
    "peepholes": True,
    "coupled_gates": "input",
    "layer_norm": "gates_and_cell",
    "layer_norm_epsilon": 1e-3,
    "activation": "relu",
    "recurrent_activation": "hard_sigmoid",
    "cell_activation": "linear",
    "gate_clip": 1.0,
    "cell_clip": 1.0,
    "projection_clip": 1.0,
    "recurrent_dropout": 0.1,
    "zoneout_c": 0.1,
    "zoneout_h": 0.1,
}

# Options without which others have no effect.
NEEDED = {
    "projection_clip": {"projection_size": 2},
    "layer_norm_epsilon": {"layer_norm": "gates_and_cell"},
}


def test_every_option_of_a_layer_is_either_supported_or_has_one_supported_value():
    fields = {field.name for field in dataclasses.fields(Layer)}
    assert plain.SUPPORTED | plain.ONLY.keys() == fields
    assert not plain.SUPPORTED & plain.ONLY.keys()


def test_the_only_supported_values_are_those_of_a_plain_layer():
    assert {name: getattr(plain.PLAIN, name) for name in plain.ONLY} == plain.ONLY


@pytest.mark.parametrize(("option", "value"), UNSUPPORTED.items())
def test_no_kernel_takes_a_layer_with_an_option_that_it_does_not_support(option, value):
    assert UNSUPPORTED.keys() == plain.ONLY.keys()
    more = NEEDED.get(option, {})
    layer = Layer(4, **{option: value}, **more)
    config = jlstm.Config(3, (layer,))
    for platform in ("cpu", "cuda", "tpu"):
        for name, usable, reason in jlstm.implementations(config, platform):
            assert usable == (name == "scan"), reason
    refused = plain.refusal(layer, "float32", ["float32"])
    named = next(iter(more), option)
    assert refused.startswith(f"its kernels do not support {named}")


def test_an_option_that_nobody_listed_is_refused():
    """Such as one that somebody adds to Layer and forgets here."""
    field = ("novelty", bool, dataclasses.field(default=False, kw_only=True))
    newer = dataclasses.make_dataclass("Newer", [field], bases=(Layer,), frozen=True)
    assert plain.refusal(newer(4), "float32", ["float32"]) is None
    reason = plain.refusal(newer(4, novelty=True), "float32", ["float32"])
    assert reason == "its kernels do not support novelty"


def test_a_dtype_that_the_kernels_do_not_support_is_refused():
    config = jlstm.Config(3, (Layer(4),), dtype="float64")
    reasons = {name: reason for name, _, reason in jlstm.implementations(config, "tpu")}
    assert reasons["tpu"] == "layer 0: its kernels compute in float32 or bfloat16, not in float64"
    reasons = {name: reason for name, _, reason in jlstm.implementations(config, "cuda")}
    assert reasons["cudnn"] == "layer 0: JAX calls it with float32 only, not with float64"
