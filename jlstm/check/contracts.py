"""The contracts of every implementation, one function each.

Each function returns a difference that should be 0, up to rounding. The functions do not need the
test suite, so they run wherever jlstm is installed. `command` runs them with matrix products of the
highest precision, and prints the docstrings.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jlstm
from jlstm.check.calls import BATCH, STEPS, Call, apart, made
from jlstm.kernels.choice import RefusedError


def one_step_at_a_time(name: str) -> float:
    """1: scanning `step` over time equals `apply`."""
    call = made(name, jlstm.Layer(20), jlstm.Layer(9))
    step = functools.partial(jlstm.step, call.config, call.params)
    return apart(jax.lax.scan(step, call.carry, call.xs), call.run())


def time_split(name: str) -> float:
    """2: two parts of a sequence, the carry passed on, equal the whole."""
    call = made(name, jlstm.Layer(20), jlstm.Layer(9))
    carry, first = call.run(xs=call.xs[:11])
    last, second = call.run(carry=carry, xs=call.xs[11:])
    return apart((last, jnp.concatenate([first, second])), call.run())


def mapped(name: str) -> float:
    """3: vmap over sequences, or over an ensemble's parameters, equals separate calls."""
    call = made(name)
    _, ys = call.run()
    start = jlstm.initial_carry(call.config)
    alone = jax.vmap(lambda xs: call.run(carry=start, xs=xs)[1], 1, 1)(call.xs)
    together = call.run(carry=jlstm.initial_carry(call.config, batch_shape=(BATCH,)))[1]
    members = jax.tree.map(lambda a: jnp.stack([a, a / 2]), call.params)
    of_all = jax.vmap(lambda params: call.run(params)[1])(members)
    of_each = jnp.stack([ys, call.run(jax.tree.map(lambda a: a / 2, call.params))[1]])
    return max(apart(alone, together), apart(of_all, of_each))


def from_nothing(name: str) -> float:
    """4: carry=None starts from the initial carry."""
    call = dataclasses.replace(made(name), carry=None)
    start = jlstm.initial_carry(call.config, batch_shape=(BATCH,))
    return apart(call.run(), call.run(carry=start))


def lengths(name: str) -> float:
    """5 and 7: a padded sequence equals the same sequence alone, even with NaN padding."""
    call = made(name)
    sizes = np.array([0, 1, 7, STEPS, STEPS - 1, 12])
    valid = np.arange(STEPS)[:, None] < sizes
    broken = jnp.where(valid[..., None], call.xs, jnp.nan)
    carry, ys = call.run(xs=broken, lengths=sizes)
    worst = float(jnp.abs(jnp.where(valid[..., None], 0.0, ys)).max())
    for n, size in enumerate(sizes):
        alone = call.run(carry=_of_sequence(n, call.carry), xs=call.xs[:size, n : n + 1])
        worst = max(worst, apart((_of_sequence(n, carry), ys[:size, n : n + 1]), alone))
    slopes = jax.grad(call.loss)(call.params, broken, lengths=sizes)
    clean = jnp.where(valid[..., None], call.xs, 0.0)
    return max(worst, apart(slopes, jax.grad(call.loss)(call.params, clean, lengths=sizes)))


def masks(name: str) -> float:
    """5: masking steps out equals removing them."""
    call = made(name)
    mask = np.random.default_rng(3).random((STEPS, BATCH)) < 0.6
    carry, ys = call.run(mask=mask)
    worst = 0.0
    for n in range(BATCH):
        taken = mask[:, n], slice(n, n + 1)
        alone = call.run(carry=_of_sequence(n, call.carry), xs=call.xs[taken])
        worst = max(worst, apart((_of_sequence(n, carry), ys[taken]), alone))
    return worst


def resets(name: str) -> float:
    """6: an episode after a reset equals the episode alone; no gradient crosses the reset."""
    call = made(name, jlstm.Layer(20))
    flags = np.zeros((STEPS, BATCH), bool)
    flags[9] = True
    start = jlstm.initial_carry(call.config, batch_shape=(BATCH,))
    _, first = call.run(xs=call.xs[:9])
    last, second = call.run(carry=start, xs=call.xs[9:])
    seen = call.run(resets=flags)
    worst = apart(seen, (last, jnp.concatenate([first, second])))
    after = jax.grad(lambda xs: jnp.sum(call.run(xs=xs, resets=flags)[1][9:]))(call.xs)
    return max(worst, float(jnp.abs(after[:9]).max()))


def differentiated(name: str) -> float:
    """8: grad, jvp, second derivatives and jax.checkpoint equal those of the scan."""
    call, scan = made(name), made("scan")
    seen, wanted = (jax.grad(c.loss, (0, 1))(c.params, c.xs) for c in (call, scan))
    kept = jax.grad(jax.checkpoint(call.loss))(call.params)
    moved = jax.tree.map(jnp.cos, call.params)
    slope = jax.jvp(call.loss, (call.params,), (moved,))[1]
    along = sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), wanted[0], moved)))
    second, of_scan = (jax.jvp(jax.grad(c.loss), (c.params,), (moved,))[1] for c in (call, scan))
    return max(
        apart(seen, wanted), apart(kept, wanted[0]), apart(slope, along), apart(second, of_scan)
    )


def beside_the_scan_on_cpu(name: str) -> float:
    """9: a thousand steps equal those of the scan on a CPU."""
    call = made(name)
    long = jnp.tile(call.xs, (42, 1, 1))[:1000]
    return apart(call.run(xs=long), _scanned_on_cpu(call, long))


def in_bfloat16(name: str) -> float:
    """9: bfloat16 results equal those of the scan on a CPU, to bfloat16 precision."""
    call = made(name, dtype="bfloat16")
    return apart(call.run(), _scanned_on_cpu(call, call.xs))


def chosen(name: str) -> float:
    """10: an implementation refuses unsupported networks; "auto" runs them like the scan."""
    call = made(name, jlstm.Layer(20, peepholes=True), jlstm.Layer(9))
    auto, scan = (dataclasses.replace(call, implementation=n) for n in ("auto", "scan"))
    served = {"auto": True} | {n: usable for n, usable, _ in jlstm.implementations(call.config)}
    if not served[name] and not _raises(RefusedError, call.run):
        return np.inf
    seen, wanted = ((c.run(), jax.grad(c.loss)(c.params)) for c in (auto, scan))
    return apart(seen, wanted)


def drawn(name: str) -> float:
    """11: the same key gives the scan's dropout; without a key nothing is dropped."""
    layers = jlstm.Layer(20, dropout=0.3), jlstm.Layer(9, weight_dropout=0.2)
    call, scan = made(name, *layers), made("scan", *layers)
    key = jax.random.key(7)
    quiet = made("scan", *(layer.without_key for layer in layers))
    return max(apart(call.run(key=key), scan.run(key=key)), apart(call.run(), quiet.run()))


def refused(name: str) -> float:
    """12: wrong arguments raise errors (the number counts those that do not)."""
    call = made(name)
    wrong: list[dict[str, Any]] = [
        {"xs": call.xs[..., :-1]},
        {"xs": call.xs.astype(int)},
        {"xs": call.xs[:, :-1]},
        {"lengths": np.full(BATCH, STEPS + 1)},
        {"carry": (call.carry or ())[:1]},
        {"params": call.params.layers[0]},
    ]
    return float(sum(not _raises((TypeError, ValueError), call.run, **given) for given in wrong))


def undisturbed(name: str) -> float:
    """13: two simultaneous calls give the same bits as each alone."""
    calls = made(name), made(name, seed=1)
    alone = [call.run() for call in calls]
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]

    def run(call: Call) -> Any:
        with jax.default_matmul_precision(asked):  # this setting is per thread
            return call.run()

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(run, calls * 4))
    return max(apart(seen, alone[n % 2]) for n, seen in enumerate(both))


def divided(name: str) -> float:
    """14: sharding the batch adds no communication, with jit or shard_map."""
    call, devices = dataclasses.replace(made(name), carry=None), jax.devices()
    xs = jnp.tile(call.xs[:, :2], (1, len(devices), 1))
    mesh, over = Mesh(np.array(devices), ("batch",)), PartitionSpec(None, "batch")
    spread = jax.device_put(xs, NamedSharding(mesh, over))
    params = jax.device_put(call.params, NamedSharding(mesh, PartitionSpec()))
    worst, wanted = 0.0, call.run(xs=xs)[1]

    def plain(params: Any, xs: jax.Array) -> jax.Array:
        return call.run(params, xs=xs)[1]

    apart_on_each = jax.shard_map(
        plain, mesh=mesh, in_specs=(PartitionSpec(), over), out_specs=over
    )
    for run in map(jax.jit, (plain, apart_on_each)):
        text = run.lower(params, spread).compile().as_text() or ""
        moved = re.findall(r" (?:all-|reduce-scatter|collective-permute)[\w-]*\(", text)
        worst = max(worst, float(len(moved)), apart(run(params, spread), wanted))
    return worst


def _scanned_on_cpu(call: Call, xs: jax.Array) -> Any:
    with jax.default_device(jax.devices("cpu")[0]):
        inputs = jax.device_put((call.params, call.carry, xs), jax.devices("cpu")[0])
        return jlstm.apply(call.config, *inputs, implementation="scan")


def _of_sequence(n: int, carry: Any) -> Any:
    return jax.tree.map(lambda a: a[..., n : n + 1, :], carry)


def _raises(kind: Any, function: Callable[..., Any], **given: Any) -> bool:
    try:
        function(**given)
    except kind:
        return True
    return False


# Each contract with the largest difference that rounding explains.
CONTRACTS: tuple[tuple[Callable[[str], float], float], ...] = (
    (one_step_at_a_time, 1e-5),
    (time_split, 1e-5),
    (mapped, 1e-5),
    (from_nothing, 0.0),
    (lengths, 1e-4),
    (masks, 1e-5),
    (resets, 1e-5),
    (differentiated, 1e-4),
    (beside_the_scan_on_cpu, 1e-4),
    (in_bfloat16, 3e-2),
    (chosen, 1e-4),
    (drawn, 1e-5),
    (refused, 0.0),
    (undisturbed, 0.0),
    (divided, 1e-5),
)
