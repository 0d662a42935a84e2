# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/tpu_speed.ipynb)

# %% [markdown]
# # How fast is it on this machine?
#
# An LSTM is a loop: a step needs the one before it. On a TPU, each step of a loop waits for weights to
# come from memory. Can a kernel that keeps them on the chip be faster than `lax.scan`? And how fast is
# Flax?
#
# The chapter runs on every machine. Run it on yours: the stored pictures were made on a CPU that other
# programs used too. It is written for a TPU, where `auto` chooses a Pallas kernel. On a CPU, `auto`
# chooses a C++ kernel, and the sizes are smaller.

# %%
# Installs jlstm if it is missing, as in Colab, and keeps the installed JAX.
import importlib.util
import os
from importlib.metadata import version

if importlib.util.find_spec("jlstm") is None:
    kept = " ".join(f"{name}=={version(name)}" for name in ("jax", "jaxlib", "flax", "numpy"))
    # %pip install -q "jlstm[cli] @ git+https://github.com/jlstm/jlstm" {kept}

import jax

import jlstm

print(*(f"{name} {version(name)}" for name in ("jlstm", "jax", "jaxlib", "flax")), sep=", ")
print(f"{jax.device_count()} device: {jax.devices()[0].device_kind}")
if jax.default_backend() != "tpu":
    print(f"There is no TPU here, so all cells run on the {jax.default_backend().upper()}.")

SMALL = "JLSTM_SMALL" in os.environ  # the tests run a short version

# %%
import dataclasses
import subprocess
import sys
import time

import flax.linen as nn
import jax.numpy as jnp
import matplotlib.pyplot as plt

# %% [markdown]
# ## What is available
#
# `implementations` lists the implementations of a network, and says why some cannot run here.

# %%
for name, usable, why in jlstm.implementations(jlstm.Config.stack(256, [256])):
    print(f"{name:6} {'yes' if usable else 'no: ' + why}")

# %% [markdown]
# ## First: is it right?
#
# Speed means nothing if the results differ. We compare the outputs and gradients of every implementation
# with those of the plain scan, at full precision.

# %%
config = jlstm.Config.stack(64, [128])
params = jlstm.init(jax.random.key(0), config)
xs = jax.random.normal(jax.random.key(1), (50, 8, 64))
names = [name for name, usable, _ in jlstm.implementations(config) if usable]


def loss(params, xs, name):
    """The mean square of the outputs."""
    return (jlstm.apply(config, params, None, xs, implementation=name)[1] ** 2).mean()


with jax.default_matmul_precision("highest"):
    found = {n: jax.jit(jax.value_and_grad(loss), static_argnums=2)(params, xs, n) for n in names}
worst = {}
for name, value in found.items():
    pairs = zip(jax.tree.leaves(value), jax.tree.leaves(found["scan"]), strict=True)
    worst[name] = max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)
    print(f"{name:6} differs from the scan by {worst[name]:.1e}, relative to the largest value")

# %% [markdown]
# ## Timing
#
# There are three traps. The first call compiles. Calls return before the device is done. Other programs
# disturb single measurements. So we call each function once before, block, alternate the functions, and
# take the least time of each.


# %%
def seconds(functions, rounds=3 if SMALL else 20):
    """The least seconds of functions by name, each called in every round."""
    times = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(rounds):
        for name, function in functions.items():
            begun = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - begun)
    return {name: min(taken) for name, taken in times.items()}


def rivals(units, batch, steps, training):
    """Compiled functions by name: the forward pass, or with the gradient for all parameters."""
    config = jlstm.Config.stack(units, [units])
    params = jlstm.init(jax.random.key(0), config)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, units))
    rnn = nn.RNN(nn.OptimizedLSTMCell(units), time_major=True)
    variables = rnn.init(jax.random.key(2), xs)

    def compiled(outputs, params):
        function = jax.jit(lambda p, xs: (outputs(p, xs) ** 2).mean())
        if training:
            function = jax.jit(jax.grad(function))
        return lambda: function(params, xs)

    made = {"Flax": compiled(rnn.apply, variables)}
    for name in ("scan", "auto"):
        made[name] = compiled(
            lambda p, xs, name=name: jlstm.apply(config, p, None, xs, implementation=name)[1],
            params,
        )
    return made


# %% [markdown]
# ## How it grows with the size

# %%
on_tpu = jax.default_backend() == "tpu"
sizes = (128, 256, 512, 1024) if on_tpu else (32, 64) if SMALL else (32, 64, 128, 256)
steps, rows = (512, 32) if on_tpu else (50, 16)
results = {}
for training in (False, True):
    for units in sizes:
        results[training, units] = seconds(rivals(units, rows, steps, training))

# %%
STYLE = {"Flax": ("gray", "s"), "scan": ("tab:blue", "o"), "auto": ("tab:red", "D")}
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for training, axis in zip((False, True), axes, strict=True):
    for name, (colour, marker) in STYLE.items():
        steps_us = [1e6 * results[training, units][name] / steps for units in sizes]
        axis.plot(sizes, steps_us, color=colour, marker=marker, label=name)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="units",
        ylabel="microseconds a step",
        title="forward and gradient" if training else "forward",
    )
    axis.set_xticks(sizes, sizes)
    axis.minorticks_off()
    axis.legend()
plt.show()

last = results[True, sizes[-1]]
print(f"training, {sizes[-1]} units: {last['Flax'] / last['auto']:.1f} times as fast as Flax")

# %% [markdown]
# Lower is better. Where the lines of `scan` and `auto` meet, matrix products take most of the time, and
# no kernel makes them cheaper. Where the lines differ, the loop itself took the time.
#
# ## The batch
#
# Each step reads the weights from memory once, whatever the size of the batch. More sequences therefore
# cost little until the matrix units of the chip are busy.

# %%
batches = (8, 32, 128, 512) if on_tpu else (1, 4) if SMALL else (1, 4, 16, 64)
units = sizes[-2]
by_batch = {batch: seconds(rivals(units, batch, steps, True)) for batch in batches}

figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
for name, (colour, marker) in STYLE.items():
    rate = [batch * steps / by_batch[batch][name] / 1e6 for batch in batches]
    axis.plot(batches, rate, color=colour, marker=marker, label=name)
axis.set(xscale="log", yscale="log", xlabel="sequences in a batch", ylabel="million steps a second")
axis.set_xticks(batches, batches)
axis.minorticks_off()
axis.set_title(f"training, {units} units")
axis.legend()
plt.show()

# %% [markdown]
# In the stored picture, of a shared CPU, the rate falls again at 64 sequences. What does yours do?
#
# ## bfloat16
#
# A TPU multiplies bfloat16 natively. `dtype="bfloat16"` computes products in it, and keeps the cell state
# and the gates in float32. The parameters stay float32.

# %%
wide = jlstm.Config.stack(units, [units])
narrow = dataclasses.replace(wide, dtype="bfloat16")
weights = jlstm.init(jax.random.key(0), wide)
inputs = jax.random.normal(jax.random.key(1), (steps, rows, units))
run = jax.jit(lambda config, p, xs: jlstm.apply(config, p, None, xs)[1], static_argnums=0)
taken = seconds(
    {
        "float32": lambda: run(wide, weights, inputs),
        "bfloat16": lambda: run(narrow, weights, inputs.astype("bfloat16")),
    }
)
error = jnp.abs(run(wide, weights, inputs) - run(narrow, weights, inputs)).max()
print({name: f"{1e3 * value:.2f} ms" for name, value in taken.items()}, f"error {error:.4f}")

# %% [markdown]
# ## All guarantees, on this chip
#
# `jlstm check` tests every implementation against the documented guarantees, and times it. On a TPU that
# nobody has tried before, run it first, and add its output to any bug report. It takes a minute or more.

# %%
if not SMALL:
    command = [sys.executable, "-m", "jlstm", "check"]
    plain = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    plain.pop("FORCE_COLOR", None)
    check = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    print(check.stdout or check.stderr)

# %% [markdown]
# `jlstm bench` also times torch, Keras, Haiku, Equinox and ONNX Runtime, each in a separate process.
# `docs/performance.md` has recorded results, and lists what was tried.
