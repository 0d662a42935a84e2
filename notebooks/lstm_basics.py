# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/lstm_basics.ipynb)

# %% [markdown]
# # LSTM basics
#
# An LSTM reads a sequence one step at a time. Between steps it keeps two vectors. The cell state `c` is
# its memory. The hidden state `h` is also its output. Four gates decide what is written to the memory,
# what is forgotten and what is output.
#
# We start with one step of a single cell. Then we stack two layers and run them over a batch of
# sequences. We compile, vectorise and differentiate the same function, and finally plot the gates.
#
# All cells together take less than a minute on a CPU. They run unchanged on CPU, GPU and TPU.

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
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

# GPUs and TPUs may multiply in a shorter number format; full float32 looks the same everywhere.
jax.config.update("jax_default_matmul_precision", "highest")
np.set_printoptions(precision=4, suppress=True)

# %% [markdown]
# ## One cell, one step
#
# From the input $x$ and the previous state $(c', h')$, the cell computes
#
# $$
# \begin{aligned}
# i &= \sigma(x W_x^i + h' W_h^i + b^i) && \text{input gate: how much to write} \\
# f &= \sigma(x W_x^f + h' W_h^f + b^f) && \text{forget gate: how much to keep} \\
# g &= \tanh(x W_x^g + h' W_h^g + b^g) && \text{candidate: what to write} \\
# o &= \sigma(x W_x^o + h' W_h^o + b^o) && \text{output gate: how much to show} \\
# c &= f \odot c' + i \odot g && \text{cell state} \\
# h &= o \odot \tanh(c) && \text{hidden state, the output}
# \end{aligned}
# $$
#
# where $\sigma$ is the logistic sigmoid and $\odot$ multiplies element by element. The weights
# of the four gates are side by side in one matrix, always in the order **i, f, g, o**.
#
# We create a cell of 4 units that reads 6 features. Functions and parameters are separate: `init`
# draws the parameters from a random key, and we pass them to every call.

# %%
one_layer = jlstm.Config.stack(6, [4])
cell = jlstm.init(jax.random.key(0), one_layer).layers[0]

{"w_x": cell.w_x.shape, "w_h": cell.w_h.shape, "b": cell.b.shape}

# %% [markdown]
# Each matrix has $4 \cdot 4 = 16$ columns, four for each gate. The biases are zero, except those of
# the forget gate. These start at 1, so that a new cell remembers rather than forgets:

# %%
cell.b.reshape(4, 4)  # rows i, f, g, o

# %% [markdown]
# Now we take one step. The input is a batch of one example, and the state starts at zero.

# %%
x = jnp.array([[3, 2, 2, 2, 2, 2]], jnp.float32)
zero_state = jlstm.Carry(c=jnp.zeros([1, 4]), h=jnp.zeros([1, 4]))

state, output = jlstm.lstm_cell(cell, zero_state, x)
print("c", state.c)
print("h", state.h)

# %% [markdown]
# The cell returns its new state and its output. The output is simply `h`:

# %%
print("output", output)
assert (output == state.h).all()

# %% [markdown]
# Six lines of plain array code, one for each equation, give the same numbers:

# %%
i, f, g, o = jnp.split(x @ cell.w_x + zero_state.h @ cell.w_h + cell.b[None], 4, axis=-1)
i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
c = f * zero_state.c + i * g
h = o * jnp.tanh(c)

assert jnp.allclose(c, state.c, atol=1e-6) and jnp.allclose(h, state.h, atol=1e-6)
h

# %% [markdown]
# ## Two layers over a batch of sequences
#
# In a stack, the outputs of one layer are the inputs of the next. Ours has 4 units, then 5.

# %%
config = jlstm.Config.stack(6, [4, 5])
params = jlstm.init(jax.random.key(1), config)

[(layer.w_x.shape, layer.w_h.shape) for layer in params.layers]

# %% [markdown]
# The batch has 2 sequences of 3 steps with 6 features each, so its shape is (2, 3, 6). By default, the
# first axis is time. Here the first axis is the batch, so we pass `time_major=False`. `None` stands for
# the initial state, which is zero.

# %%
batch = jnp.array(
    [
        [[1, 2, 3, 4, 3, 2], [1, 2, 1, 1, 1, 2], [1, 2, 2, 2, 2, 2]],
        [[1, 2, 3, 4, 3, 2], [3, 2, 2, 1, 1, 2], [0, 0, 0, 0, 3, 2]],
    ],
    jnp.float32,
)

carry, outputs = jlstm.apply(config, params, None, batch, time_major=False)
print(outputs.shape)
print(outputs)

# %% [markdown]
# The outputs have the shape (2, 3, 5): 2 sequences, 3 steps, and the 5 units of the last layer. The
# first step is the same in both sequences, so their first outputs are the same too.
#
# The carry is the state after the last step, with one `c` and one `h` for each layer:

# %%
for number, layer in enumerate(carry, start=1):
    print(f"layer {number}: c {layer.c.shape}, h {layer.h.shape}")
    print(layer.h)

# %% [markdown]
# The last output is the `h` of the last layer's carry:

# %%
assert (outputs[:, -1] == carry[-1].h).all()

# %% [markdown]
# The carry contains everything that the network remembers. Read two steps, then continue from the
# carry with `step`: the result is the same as for the whole sequence.

# %%
halfway, _ = jlstm.apply(config, params, None, batch[:, :2], time_major=False)
resumed, last_output = jlstm.step(config, params, halfway, batch[:, 2])

assert jnp.allclose(last_output, outputs[:, -1], atol=1e-6)
last_output

# %% [markdown]
# ## The same function, transformed
#
# `apply` is a pure function of its arguments, so it works with every JAX transformation of functions.
# The same parameters read batches and sequences of any size:

# %%
for sequences, steps in [(1, 1), (4, 10), (32, 7)]:
    zeros = jnp.zeros([sequences, steps, 6])
    print(jlstm.apply(config, params, None, zeros, time_major=False)[1].shape)


# %% [markdown]
# Sequences in a batch often have different lengths. `lengths` gives the length of each. Past it, the
# outputs are zero and the carry does not change. We write a function that uses lengths, and compile it
# with `jit`.

# %%
@jax.jit
def read(params, xs, lengths):
    """Final carry and outputs of the stack for a batch of padded sequences."""
    return jlstm.apply(config, params, None, xs, lengths=lengths, time_major=False)


lengths = jnp.array([3, 2])
padded_carry, padded_outputs = read(params, batch, lengths)
print(padded_outputs)

# %% [markdown]
# The second sequence ends after two steps. Its third row is therefore zero, and its carry is the one
# after the second step.

# %%
assert (padded_outputs[1, 2] == 0).all()
assert jnp.allclose(padded_carry[-1].h[1], outputs[1, 1], atol=1e-6)


# %% [markdown]
# Batch axes are optional. `vmap` turns a function of one sequence [time, features] into a function of
# many:

# %%
def read_one(sequence, length):
    """Outputs of the stack for one sequence."""
    return jlstm.apply(config, params, None, sequence, lengths=length)[1]


vmapped_outputs = jax.vmap(read_one)(batch, lengths)
assert jnp.allclose(vmapped_outputs, padded_outputs, atol=1e-6)
vmapped_outputs.shape


# %% [markdown]
# `grad` differentiates through all steps and layers. A gradient has the same structure and shapes as
# the value it belongs to. The gradient for the parameters can therefore go directly to any optimizer:

# %%
def loss(params, xs, lengths):
    """Mean square of the outputs."""
    return (read(params, xs, lengths)[1] ** 2).mean()


gradients, input_gradients = jax.grad(loss, argnums=(0, 1))(params, batch, lengths)
jax.tree.map(jnp.shape, gradients)

# %% [markdown]
# Padding has no effect on the result, so its gradient is exactly zero. The last row of the second
# sequence shows this:

# %%
assert (input_gradients[1, 2] == 0).all()
print(input_gradients[1])

# %% [markdown]
# ## Looking inside
#
# `trace` takes the same parameters, carry and inputs as `apply`. It returns every gate and state of
# every layer at every step. As an input with visible structure we use 40 steps of six waves, each
# slower than the one before. The sequence length is 32, so the last 8 steps are padding.

# %%
time = jnp.arange(40)[:, None]
periods = jnp.array([[4, 6, 9, 14, 21, 32]])
waves = 2 * jnp.sin(2 * jnp.pi * time / periods)
length = 32

seen = jlstm.trace(config, params, None, waves, lengths=jnp.array(length))
[layer.f.shape for layer in seen.layers]

# %% [markdown]
# There is one heat map for each gate and state, with units from top to bottom and time from left to
# right. Sigmoid gates are between 0 (closed) and 1 (open). $g$ and $h$ are between -1 and 1. $c$ is
# unbounded, and its colours are cut off at -2 and 2. The dashed line marks the end of the sequence.

# %%
PANELS = {
    "i": ("input gate i", "viridis", 0, 1),
    "f": ("forget gate f", "viridis", 0, 1),
    "g": ("candidate g", "RdBu_r", -1, 1),
    "o": ("output gate o", "viridis", 0, 1),
    "c": ("cell state c", "RdBu_r", -2, 2),
    "h": ("hidden state h", "RdBu_r", -1, 1),
}


def show(layer, title):
    """Heat maps of one layer's gates and states [time, units]."""
    figure, axes = plt.subplots(3, 2, figsize=(11, 7), layout="constrained")
    for axis, (name, (label, colours, low, high)) in zip(axes.flat, PANELS.items(), strict=True):
        values = np.asarray(getattr(layer, name)).T
        image = axis.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
        axis.axvline(length - 0.5, color="black", linestyle="--")
        axis.set(title=label, xlabel="step", ylabel="unit", yticks=range(len(values)))
        figure.colorbar(image, ax=axis, extend="both" if name == "c" else "neither")
    figure.suptitle(title)
    plt.show()


show(seen.layers[0], "Layer 1: 4 units")

# %%
show(seen.layers[1], "Layer 2: 5 units")

# %% [markdown]
# Past the dashed line the gates are zero, because nothing is computed there, and $c$ and $h$ do not
# change. Before it, the forget gates are mostly open, because their bias is 1. $c$ therefore changes
# more slowly than the candidate $g$. The second layer sees only the $h$ of the first. These values are
# smaller than the waves, so the gates of the second layer vary less.
#
# The weights here are random. In a trained network the plots show what it has learned: a forget gate
# that closes at the end of a word, for example, or an input gate that opens only for one kind of step.
