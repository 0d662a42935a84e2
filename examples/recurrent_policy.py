"""A policy that must remember: the first step of a corridor shows which way to turn at its end.

64 corridors of random length run at once. When one ends, the next begins in the same row, and the
carry is reset inside the scan. Advantage actor-critic (Mnih et al. 2016) raises the share of right
turns from half to nearly all. With 0 as the second argument, every step resets the carry.

    python examples/recurrent_policy.py 400
"""

import sys

import jax
import jax.numpy as jnp
import optax

import jlstm

ROWS, STEPS, LONGEST, DISCOUNT = 64, 32, 20, 0.95
CONFIG = jlstm.Config.stack(3, [32])
OPTIMIZER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(3e-3))


def corridors(key):
    """New corridors: the way to turn, the step at the end, the present step; each [ROWS]."""
    way, end = jax.random.randint(key, [2, ROWS], 0, jnp.array([[2], [LONGEST - 3]]))
    return way, end + 3, jnp.zeros([ROWS], int)


def advance(params, state, key, memory):
    """One step of all corridors: observation, action and reward."""
    carry, (way, end, at), resets = state
    k_act, k_new = jax.random.split(key)
    done = at == end
    x = jnp.stack([(at == 0) & (way == 0), (at == 0) & (way == 1), done], axis=1) * 1.0
    carry, y = jlstm.step(CONFIG, params[0], carry, x, reset=resets)
    action = jax.random.categorical(k_act, (y @ params[1])[:, :2])
    reward = jnp.where(done, jnp.where(action == way, 1.0, -1.0), 0.0)
    world = jax.tree.map(lambda a, b: jnp.where(done, a, b), corridors(k_new), (way, end, at + 1))
    return (carry, world, done | (not memory)), (x, resets, action, reward, done)


def loss(params, carry, xs, resets, actions, rewards, done):
    """The loss of actor and critic over a rollout [STEPS, ROWS, ...]."""
    _, ys = jlstm.apply(CONFIG, params[0], carry, xs, resets=resets)
    log_p, values = jax.nn.log_softmax((ys @ params[1])[..., :2]), (ys @ params[1])[..., 2]

    def back(later, now):
        return (now[0] + DISCOUNT * later * ~now[1],) * 2

    fixed = jax.lax.stop_gradient(values)
    _, returns = jax.lax.scan(back, fixed[-1], (rewards[:-1], done[:-1]), reverse=True)
    chosen = jnp.take_along_axis(log_p, actions[..., None], axis=-1)[:-1, :, 0]
    actor, critic = -chosen * (returns - fixed[:-1]), jnp.square(returns - values[:-1])
    return (actor + 0.5 * critic).mean() + 0.01 * (jnp.exp(log_p) * log_p).sum(-1).mean()


def main(updates: int = 400, memory: int = 1) -> float:
    """Trains a policy; returns the share of right turns in the last tenth of the updates."""
    key, *keys = jax.random.split(jax.random.key(0), 4)
    params = (jlstm.init(keys[0], CONFIG), 0.1 * jax.random.normal(keys[1], [32, 3]))
    state = (jlstm.initial_carry(CONFIG, None, (ROWS,)), corridors(keys[2]), jnp.ones(ROWS, bool))

    def update(training, keys):
        params, moments, state = training
        after, seen = jax.lax.scan(lambda s, k: advance(params, s, k, memory), state, keys)
        changes, moments = OPTIMIZER.update(jax.grad(loss)(params, state[0], *seen), moments)
        right = (seen[3] > 0).sum() / jnp.maximum(seen[4].sum(), 1)
        return (optax.apply_updates(params, changes), moments, after), right

    training = (params, OPTIMIZER.init(params), state)
    run = jax.jit(lambda training, keys: jax.lax.scan(update, training, keys))
    for n, k in enumerate(jax.random.split(key, 10)):
        training, right = run(training, jax.random.split(k, (updates // 10, STEPS)))
        print(f"after {(n + 1) * (updates // 10)} updates: {right.mean():.1%} right turns")
    return float(right.mean())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
