# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/recurrent_ppo.ipynb)

# %% [markdown]
# # An agent that must remember
#
# At the start of a corridor a sign points left or right. At its end the agent must turn that way. In
# between, every step looks the same. Can an agent without a memory do it? Can one with an LSTM?
#
# We write the corridors, the agent and proximal policy optimisation (PPO, Schulman et al. 2017) in pure
# JAX. Two things need care. The carry must be reset **within** a rollout when an episode ends. Training
# must use the same carries as acting. It takes half a minute on a CPU.

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

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

# %% [markdown]
# ## The corridors
#
# 64 corridors run at once. Each has a random length of 4 to 25 steps, so that counting does not help. The
# agent sees three numbers: sign left, sign right, and whether this is the end. A right turn gives +1, a
# wrong one -1. Then the next corridor begins in the same row.

# %%
ROWS, STEPS = 64, 32


def begun(key):
    """New corridors: the way to turn, the step at the end, the present step; each [ROWS]."""
    k_way, k_end = jax.random.split(key)
    way = jax.random.randint(k_way, [ROWS], 0, 2)
    return way, jax.random.randint(k_end, [ROWS], 3, 25), jnp.zeros([ROWS], int)


def looked(world):
    """What the agent sees [ROWS, 3]."""
    way, end, at = world
    first = at == 0
    return 1.0 * jnp.stack([first & (way == 0), first & (way == 1), at == end], axis=1)


def walked(world, action, key):
    """The corridors after a step, the reward and whether the corridor ended, each [ROWS]."""
    way, end, at = world
    done = at == end
    reward = jnp.where(done, jnp.where(action == way, 1.0, -1.0), 0.0)
    onward = (way, end, at + 1)
    return jax.tree.map(lambda a, b: jnp.where(done, a, b), begun(key), onward), reward, done


# %% [markdown]
# ## The agent
#
# Both agents have the same layer and the same number of parameters. The one without a memory gets a reset
# at *every* step, which replaces its carry by zeros. It is a feed-forward network.
#
# `step` computes one step, for acting. `apply` computes a whole rollout again, for training. `resets`
# marks the steps at which a row starts a new episode. No gradient crosses a reset.

# %%
config = jlstm.Config.stack(3, [32])


def new_agent(key):
    """The parameters: an LSTM, and a head of two scores and a value."""
    k_network, k_head = jax.random.split(key)
    return jlstm.init(k_network, config), 0.1 * jax.random.normal(k_head, [32, 3])


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Rollout:
    """What one rollout saw, each [STEPS, ROWS, ...]."""

    xs: jax.Array
    resets: jax.Array
    actions: jax.Array
    log_p: jax.Array
    values: jax.Array
    rewards: jax.Array
    done: jax.Array


def act(agent, state, key, memory):
    """One step of all rows, in acting."""
    carry, world, resets = state
    k_act, k_world = jax.random.split(key)
    xs = looked(world)
    carry, ys = jlstm.step(config, agent[0], carry, xs, reset=resets)
    head = ys @ agent[1]
    action = jax.random.categorical(k_act, head[:, :2])
    log_p = jax.nn.log_softmax(head[:, :2])[jnp.arange(ROWS), action]
    world, reward, done = walked(world, action, k_world)
    seen = Rollout(xs, resets, action, log_p, head[:, 2], reward, done)
    return (carry, world, done | (not memory)), seen


# %% [markdown]
# Acting and training must agree. Before any training, we compare the log-probabilities of single calls of
# `step` with those of `apply` over the whole rollout.


# %%
def read(agent, carry, seen):
    """Log-probabilities of the actions, all log-probabilities and values, in training."""
    _, ys = jlstm.apply(config, agent[0], carry, seen.xs, resets=seen.resets)
    head = ys @ agent[1]
    every = jax.nn.log_softmax(head[..., :2])
    return jnp.take_along_axis(every, seen.actions[..., None], -1)[..., 0], every, head[..., 2]


agent = new_agent(jax.random.key(0))
start = (
    jlstm.initial_carry(config, agent[0], (ROWS,)),
    begun(jax.random.key(1)),
    jnp.ones(ROWS, bool),
)
keys = jax.random.split(jax.random.key(2), STEPS)
_, seen = jax.lax.scan(lambda state, key: act(agent, state, key, True), start, keys)
difference = jnp.abs(read(agent, start[0], seen)[0] - seen.log_p).max()
print(f"{int(seen.done.sum())} corridors ended; largest difference: {difference:.1e}")
assert difference < 1e-5

# %% [markdown]
# ## PPO
#
# Advantages come from a scan backwards in time (GAE, Schulman et al. 2016). The loss keeps the new policy
# near the old one. Minibatches are *rows*, not steps: a row keeps its order in time, which the LSTM
# needs. Each begins with the carry that acting had there.


# %%
def advantages(seen, last, discount=0.97, trace=0.95):
    """Generalised advantages [STEPS, ROWS]. `last` is the value after the rollout."""

    def back(later, now):
        advantage, after = later
        reward, value, done = now
        error = reward + discount * after * ~done - value
        advantage = error + discount * trace * advantage * ~done
        return (advantage, value), advantage

    scanned = (seen.rewards, seen.values, seen.done)
    return jax.lax.scan(back, (jnp.zeros_like(last), last), scanned, reverse=True)[1]


def loss(agent, carry, seen, advantage):
    """The clipped loss of PPO."""
    log_p, every, values = read(agent, carry, seen)
    ratio = jnp.exp(log_p - seen.log_p)
    scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    gain = jnp.minimum(ratio * scaled, jnp.clip(ratio, 0.8, 1.2) * scaled)
    entropy = -(jnp.exp(every) * every).sum(-1)
    return (0.5 * (values - advantage - seen.values) ** 2 - gain - 0.01 * entropy).mean()


optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(2e-3))


def improve(agent, moments, state, key, memory):
    """A rollout, and two passes over four minibatches of its rows."""
    k_act, k_rows, k_last = jax.random.split(key, 3)
    keys = jax.random.split(k_act, STEPS)
    after, seen = jax.lax.scan(lambda s, k: act(agent, s, k, memory), state, keys)
    last = act(agent, after, k_last, memory)[1].values
    advantage = advantages(seen, last)

    def minibatch(training, rows):
        agent, moments = training
        carry = jax.tree.map(lambda a: a[rows], state[0])
        part = jax.tree.map(lambda a: a[:, rows], (seen, advantage))
        gradients = jax.grad(loss)(agent, carry, *part)
        changes, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(agent, changes), moments), None

    orders = [jax.random.permutation(k, ROWS).reshape(4, -1) for k in jax.random.split(k_rows)]
    training, _ = jax.lax.scan(minibatch, (agent, moments), jnp.concatenate(orders))
    right = (seen.rewards > 0).sum() / jnp.maximum(seen.done.sum(), 1)
    return *training, after, right


# %% [markdown]
# The whole training is one compiled call. `vmap` runs it for four seeds at once.

# %%
UPDATES, SEEDS = 50 if SMALL else 80, 1 if SMALL else 4


def trained(key, memory):
    """The agent at the end, and the share of right turns after each update."""
    k_agent, k_world, k_train = jax.random.split(key, 3)
    agent = new_agent(k_agent)
    carry = jlstm.initial_carry(config, agent[0], (ROWS,))
    state = (carry, begun(k_world), jnp.ones(ROWS, bool))

    def one(training, key):
        *training, right = improve(*training, key, memory)
        return tuple(training), right

    keys = jax.random.split(k_train, UPDATES)
    training, right = jax.lax.scan(one, (agent, optimizer.init(agent), state), keys)
    return training[0], right


seeds = jax.random.split(jax.random.key(3), SEEDS)
agents, with_memory = jax.jit(jax.vmap(lambda key: trained(key, True)))(seeds)
_, without = jax.jit(jax.vmap(lambda key: trained(key, False)))(seeds)

figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
for curves, colour, name in ((with_memory, "tab:red", "LSTM"), (without, "gray", "no memory")):
    for n, curve in enumerate(np.asarray(curves)):
        axis.plot(curve, color=colour, linewidth=1, label=name if n == 0 else None)
axis.axhline(0.5, color="black", linestyle="--", linewidth=1)
axis.set(xlabel="update", ylabel="right turns", ylim=(0, 1.05))
axis.legend()
plt.show()
last = [curves[:, -10:].mean() for curves in (with_memory, without)]
print(f"at the end: LSTM {last[0]:.0%}, no memory {last[1]:.0%}")

# %% [markdown]
# Without a memory the turn stays a coin toss, however long the training. With one, the agent learns to
# carry a single bit through the corridor.
#
# ## Where is the bit?
#
# `trace` returns every gate and state. We walk a corridor of 25 steps twice, once with each sign.

# %%
agent = jax.tree.map(lambda a: a[0], agents)
corridor = np.zeros((25, 2, 3), "float32")  # two rows: the sign says left, or right
corridor[0, 0, 0] = corridor[0, 1, 1] = corridor[-1, :, 2] = 1
cells = np.asarray(jlstm.trace(config, agent[0], None, jnp.asarray(corridor)).layers[0].c)
order = np.argsort(cells[-2, 0] - cells[-2, 1])

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
for row, (axis, title) in enumerate(zip(axes, ("sign: left", "sign: right"), strict=True)):
    image = axis.imshow(cells[:, row, order].T, cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
    axis.set(title=title, xlabel="step")
axes[0].set_ylabel("unit, sorted")
figure.colorbar(image, ax=axes, label="cell state c")
plt.show()

# %% [markdown]
# Most units have opposite signs in the two pictures. They grow over the first five steps. After that, a
# forget gate near 1 keeps them constant. The agent stores its one bit in many units.
