# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/ensembles.ipynb)

# %% [markdown]
# # Many networks at once, and a gradient for each example
#
# Can one call train sixteen networks? Can another one tell which example has the largest gradient? Both
# take one word in JAX: `vmap`. This chapter maps over parameters, and then over examples. It takes half a
# minute on a CPU.

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

# %% [markdown]
# ## A task with a gap
#
# A network reads 12 noisy values of a wave and predicts the next one. The training data have slow waves
# and fast waves, but none in between. What does the network predict for those?


# %%
def waves(key, frequencies):
    """Waves [N, 13] with the frequencies [N], a random phase and noise."""
    k_phase, k_noise = jax.random.split(key)
    phase = jax.random.uniform(k_phase, (*frequencies.shape, 1), maxval=2 * jnp.pi)
    values = jnp.sin(frequencies[:, None] * jnp.arange(13) + phase)
    return values + 0.05 * jax.random.normal(k_noise, values.shape)


k_choice, k_slow, k_fast, k_draw = jax.random.split(jax.random.key(0), 4)
slow = jax.random.uniform(k_slow, [256], minval=0.2, maxval=0.6)
fast = jax.random.uniform(k_fast, [256], minval=1.4, maxval=1.8)
seen = waves(k_draw, jnp.concatenate([slow, fast]))

config = jlstm.Config.stack(1, [16])


def new(key):
    """Random parameters of a network and of its head."""
    k_network, k_head = jax.random.split(key)
    return jlstm.init(k_network, config), 0.3 * jax.random.normal(k_head, [16])


def predict(params, wave):
    """The next value of one wave [12]."""
    carry, _ = jlstm.apply(config, params[0], None, wave[:, None])
    return carry[-1].h @ params[1]


def loss(params, wave):
    """The squared error on one wave [13]."""
    return (predict(params, wave[:12]) - wave[12]) ** 2


# %% [markdown]
# All functions are written for **one** network and **one** wave. `vmap` adds the axes. Nothing below needs
# a loop over networks, or a class for an ensemble.
#
# ## Sixteen networks

# %%
MEMBERS, STEPS = 16, 20 if SMALL else 400
optimizer = optax.adam(5e-3)


def update(params, moments, batch):
    """One step of one network."""
    gradients = jax.grad(lambda p: jax.vmap(loss, (None, 0))(p, batch).mean())(params)
    changes, moments = optimizer.update(gradients, moments)
    return optax.apply_updates(params, changes), moments


@jax.jit
def train(params, moments, key):
    """All steps of all members, each on different batches."""

    def one(training, key):
        chosen = jax.random.randint(key, [MEMBERS, 64], 0, len(seen))
        return jax.vmap(update)(*training, seen[chosen]), None

    return jax.lax.scan(one, (params, moments), jax.random.split(key, STEPS))[0]


members = jax.vmap(new)(jax.random.split(jax.random.key(1), MEMBERS))
print("the recurrent weights of all members:", members[0].layers[0].w_h.shape)
members, _ = train(members, jax.vmap(optimizer.init)(members), jax.random.key(2))

# %% [markdown]
# Each member predicts waves of every frequency. Where they agree, the data determine the prediction.
# Where they differ, the random start and batches do.

# %%
asked = jnp.linspace(0.1, 2.2, 80)
tests = waves(jax.random.key(3), jnp.repeat(asked, 40))
answers = jax.vmap(jax.vmap(predict, (None, 0)), (0, None))(members, tests[:, :12])
spread = answers.std(0).reshape(80, 40).mean(1)
error = jnp.abs(answers.mean(0) - tests[:, 12]).reshape(80, 40).mean(1)

figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
axis.axvspan(0.2, 0.6, color="tab:green", alpha=0.15)
axis.axvspan(1.4, 1.8, color="tab:green", alpha=0.15)
axis.plot(asked, error, color="black", label="error of the mean")
axis.plot(asked, spread, color="tab:red", label="spread of the members")
axis.set(xlabel="frequency (green: seen in training)", ylabel="size")
axis.legend()
plt.show()

# %% [markdown]
# The members do not know about the gap, and yet they disagree there. The spread is a warning, but not a
# measure of the error: beyond the fastest waves all members are wrong in the same way.
#
# How much do sixteen networks cost?


# %%
def seconds(function, *arguments):
    """The least time of five calls."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - begun)
    return min(times)


one = jax.tree.map(lambda a: a[0], members)
each = jax.jit(jax.vmap(predict, (None, 0)))
together = jax.jit(jax.vmap(jax.vmap(predict, (None, 0)), (0, None)))
alone_ms = 1e3 * seconds(each, one, tests[:256, :12])
all_ms = 1e3 * seconds(together, members, tests[:256, :12])
print(f"one network {alone_ms:.2f} ms, sixteen together {all_ms:.2f} ms")

# %% [markdown]
# It is sixteen times the work. A chip that one network does not fill needs less than sixteen times as
# long.
#
# ## A gradient for each example
#
# The gradient of a batch is only the mean over its examples. `vmap` of `grad` returns all of them. Here we
# give ten waves wrong targets, and look at the norm of each example's gradient.

# %%
wrong = jnp.arange(0, 500, 50)
spoilt = seen.at[wrong, 12].multiply(-1.0).at[wrong, 12].add(0.7)

gradients = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(one, spoilt)
print("a gradient for each of", gradients[0].layers[0].w_h.shape[0], "examples")
norms = jnp.sqrt(sum((g.reshape(len(g), -1) ** 2).sum(1) for g in jax.tree.leaves(gradients)))

figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
planted = np.isin(np.arange(len(seen)), wrong)
axis.scatter(np.flatnonzero(~planted), norms[~planted], s=6, color="silver")
axis.scatter(np.flatnonzero(planted), norms[planted], s=25, color="tab:red", label="wrong target")
axis.set(xlabel="example", ylabel="length of its gradient", yscale="log")
axis.legend()
plt.show()

largest = jnp.argsort(norms)[-10:]
print(f"of the ten longest, {np.isin(largest, wrong).sum()} are wrong targets")

# %% [markdown]
# The mean of these gradients is the gradient of the mean, as it must be:

# %%
whole = jax.grad(lambda p: jax.vmap(loss, (None, 0))(p, spoilt).mean())(one)
for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(whole), strict=True):
    np.testing.assert_allclose(a.mean(0), b, atol=1e-5)

# %% [markdown]
# Training with differential privacy clips each of these gradients before it takes their mean.
#
# `vmap` over examples becomes a batch axis, so it uses the same fast kernels as a batch.
