# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/flax_model.ipynb)

# %% [markdown]
# # Inside a Flax model
#
# A model in Flax has an `nn.RNN` over an LSTM cell. What happens if the LSTM of jlstm replaces it, which
# changes one line? This chapter checks that outputs and training stay the same, and measures what a step
# costs before and after. It takes one minute on a CPU.

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
import time

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import linen as nn
from flax.traverse_util import flatten_dict

from jlstm.modules.linen import LSTM, params_from
from jlstm.train.data import batches, sources

# %% [markdown]
# ## One line
#
# The model reads scikit-learn's digits row by row, as eight steps of eight pixels, and names the digit.
# Both versions are the same class. Only the layer differs.


# %%
class Classifier(nn.Module):
    """Scores of ten classes from the last output."""

    layer: nn.Module

    @nn.compact
    def __call__(self, xs):
        """Scores [N, 10]."""
        return nn.Dense(10)(self.layer(xs)[:, -1])


UNITS = 64
before = Classifier(nn.RNN(nn.OptimizedLSTMCell(UNITS)))
after = Classifier(LSTM(UNITS))

data = sources.load({"source": "digits"})
xs = jnp.asarray(data.test.xs[:5])
old = before.init(jax.random.key(0), xs)["params"]

# %% [markdown]
# ## The same outputs
#
# `params_from` takes the weights of Flax's cell. The readout is used as it is.

# %%
new = {"layer": params_from(old["layer"]), "Dense_0": old["Dense_0"]}
for name, array in flatten_dict(new, sep="/").items():
    print(f"{name:22}{array.shape!s:12}{array.dtype}")
apart = jnp.abs(before.apply({"params": old}, xs) - after.apply({"params": new}, xs)).max()
print(f"largest difference of the scores: {apart:.1e}")
assert apart < 1e-5

# %% [markdown]
# Flax's cell has eight matrices and four vectors. Here the four gates are side by side in `w_x`, `w_h`
# and `b`, in the order i, f, g, o. Each is a leaf with a path, so masks of optax and partitioning rules
# find it by name.
#
# ## The same training
#
# Both start from the same weights and see the same batches.

# %%
STEPS = 20 if SMALL else 300
optimizer = optax.adam(3e-3)


def trained(model, params):
    """The losses of all steps."""

    @jax.jit
    def update(params, moments, xs, targets):
        def loss_of(params):
            scores = model.apply({"params": params}, xs)
            return optax.softmax_cross_entropy_with_integer_labels(scores, targets).mean()

        loss, gradients = jax.value_and_grad(loss_of)(params)
        changes, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, changes), moments, loss

    moments, losses = optimizer.init(params), []
    for _, batch in zip(range(STEPS), batches.training(data.train, 64), strict=False):
        params, moments, loss = update(params, moments, batch.xs, batch.targets)
        losses.append(float(loss))
    scores = model.apply({"params": params}, data.test.xs)
    return losses, float((np.asarray(scores).argmax(-1) == data.test.targets).mean())


curves = {"nn.RNN": trained(before, old), "jlstm": trained(after, new)}
figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
for (name, (losses, accuracy)), style in zip(curves.items(), ("-", "--"), strict=True):
    axis.plot(losses, style, label=f"{name}: {accuracy:.1%} of the test digits")
axis.set(xlabel="step", ylabel="loss", yscale="log")
axis.legend()
plt.show()

# %% [markdown]
# At first the two curves coincide. Rounding differs in the last digit, and training makes such
# differences grow, so the last steps need not agree.
#
# ## What a step costs
#
# Longer sequences show more than eight steps do. The calls alternate, so that a slow moment of the
# machine affects both. The medians are compared.


# %%
def milliseconds(calls, rounds):
    """The median time of each call."""
    taken = {name: [] for name in calls}
    for call in calls.values():
        jax.block_until_ready(call())  # compiles
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.median(times) for name, times in taken.items()}


SHAPES = [(1, 100), (16, 100)] if SMALL else [(1, 200), (16, 200), (64, 200)]
figure, axes = plt.subplots(1, len(SHAPES), figsize=(8, 2.8), layout="constrained")
for axis, (batch, steps) in zip(axes, SHAPES, strict=True):
    long = jax.random.normal(jax.random.key(1), (batch, steps, 64))
    calls = {}
    for name, layer in (("nn.RNN", nn.RNN(nn.OptimizedLSTMCell(128))), ("jlstm", LSTM(128))):
        params = layer.init(jax.random.key(2), long)
        gradient = jax.jit(jax.grad(lambda p, xs, of=layer: (of.apply(p, xs) ** 2).mean()))
        calls[name] = lambda call=gradient, params=params, long=long: call(params, long)
    times = milliseconds(calls, 3 if SMALL else 20)
    bars = axis.bar(list(times), list(times.values()), color=["tab:gray", "tab:red"])
    axis.bar_label(bars, fmt="%.3g ms")
    axis.set(title=f"batch {batch}, {steps} steps", yticks=[])
    axis.margins(y=0.2)
figure.suptitle("one gradient, 128 units")
plt.show()

# %% [markdown]
# ## More options
#
# `LSTM` takes what `nn.RNN` takes, and more: several layers, both directions, every option of
# `jlstm.Layer`, and resets in the middle of a sequence.

# %%
deep = LSTM((64, jlstm.Layer(64, bidirectional=True, layer_norm="gates_and_cell")))
resets = jnp.zeros(xs.shape[:2], bool).at[:, 4].set(True)  # row 4 begins a new sequence
lengths = jnp.array([8, 6, 4, 2, 8])
variables = deep.init(jax.random.key(3), xs)
ys = deep.apply(variables, xs, seq_lengths=lengths, resets=resets)
print("outputs:", ys.shape, "- behind the length of a sequence:", float(jnp.abs(ys[1, 6:]).max()))

# %% [markdown]
# `jlstm.modules.nnx` has the same layer for nnx. [The page on modules](../docs/modules.md) lists what
# differs from Flax. For example, outputs past the length of a sequence are zero.
