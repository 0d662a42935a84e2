"""Programs in which JAX promotes neither ranks nor dtypes."""

import functools

import jax
import jax.numpy as jnp
import pytest

import jlstm
from jlstm import Config, Layer
from tests.examples import mostly_full
from tests.networks import make_call
from tests.test_variants import NETWORKS

ALL = {**NETWORKS, "plain": (Layer(4, bidirectional=True), Layer(4))}


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.mark.parametrize("dtype", mostly_full(["float32", "bfloat16"], default=["bfloat16"]))
@pytest.mark.parametrize("name", mostly_full(list(ALL), ["directions", "activations", "random"]))
def test_every_option_names_its_ranks_and_dtypes(name, dtype):
    config = Config(3, ALL[name], learn_initial_carry=True, dtype=dtype)
    call = make_call(config, 4, (2,), 0, ("lengths", "mask", "resets"))
    key = jax.random.key(0) if name == "random" else None

    def total(params):
        _, ys = jlstm.apply(config, params, None, call.xs, key=key, **call.times)
        return jnp.sum(ys.astype("float32"))

    assert jax.tree.leaves(jax.jit(jax.grad(total))(call.params))


def test_steps_and_traces_name_theirs():
    config = Config(3, (Layer(4, peepholes=True), Layer(4, highway=True)))
    call = make_call(config, 4, (2,), 0, ("resets",))
    jlstm.step(config, call.params, None, call.xs[0], reset=call.times["resets"][0])
    jlstm.trace(config, call.params, None, call.xs)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_lengths_may_have_any_integer_type(dtype, x64):
    call = make_call(Config.stack(3, [4]), 4, (2,), 0)
    of_type = [jnp.array([3, 1], name) for name in (dtype, "int32")]
    apply = jax.jit(functools.partial(jlstm.apply, call.config, call.params, None, call.xs))
    seen, wanted = (apply(lengths=lengths)[1] for lengths in of_type)
    assert jnp.array_equal(seen, wanted)
