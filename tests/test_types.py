"""What type checkers say of programs that use the library."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import jax
import jax.numpy as jnp
import numpy as np
import jlstm

config = jlstm.Config.stack(6, [4])
a = np.ones((6, 16), "float32")
layer = jlstm.LayerParams(
    w_x=a,
    w_h=a[:4],
    b=a[0],
    initial_carry=jlstm.Carry(a[0, :4], a[0, :4]),
    peepholes=a[:3, :4],
    projection=a[:4, :4],
    norms=jlstm.Norms(c=jlstm.Affine(a[0, :4], a[0, :4])),
    highway=jlstm.Highway(a, a[0]),
)
params = jlstm.Params((layer,))
xs = np.ones((3, 2, 6), "float32")
lengths, flags = np.array([3, 1]), np.zeros((3, 2), bool)
carry, ys = jlstm.apply(config, params, None, xs, lengths=lengths, mask=flags, resets=flags)
carry, y = jlstm.step(config, params, carry, xs[0], reset=flags[0])
jlstm.trace(config, params, None, xs, lengths=lengths)
jlstm.apply_truncated(config, params, None, xs, 2, mask=flags)
jlstm.lstm(layer, jlstm.Carry(a[:2, :4], a[:2, :4]), xs, lengths=lengths)
jlstm.conv_lstm(jlstm.ConvParams(a, a), None, xs, mask=flags)
jlstm.params_from_dict(config, {"layers": [{"w_x": a}]})
mask: jlstm.Params = jlstm.decay_mask(params)


def of_jax(a: jax.Array) -> jax.Array:
    return a


# What is read is still an array of JAX.
of_jax(params.layers[0].w_x)
of_jax(carry[-1].h)
params.layers[0].w_x.at[0].set(1.0)
of_jax(ys)
"""
WRONG = """
jlstm.apply(config, params, None, "text")
jlstm.apply(config, layer, None, xs)
of_jax(params)
"""


@pytest.mark.full
@pytest.mark.parametrize(("program", "wrong"), [(PROGRAM, 0), (PROGRAM + WRONG, 3)])
def test_numpy_arrays_and_jax_arrays_are_accepted(program, wrong, tmp_path):
    pytest.importorskip("pyright")
    (tmp_path / "program.py").write_text(program)
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    run = subprocess.run([*command, str(tmp_path / "program.py")], capture_output=True, text=True)
    found = json.loads(run.stdout)["generalDiagnostics"]
    assert len([one for one in found if one["severity"] == "error"]) == wrong, found
    lines = program.count("\n") - len(WRONG.splitlines()) if wrong else 0
    assert all(one["range"]["start"]["line"] > lines for one in found)
