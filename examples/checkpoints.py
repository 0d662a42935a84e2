"""Checkpoints with Orbax: interrupted training resumes with the same result, bit for bit.

One run trains without a break. A second run stops in the middle, and a third resumes from its
newest checkpoint. The whole training state is one pytree. Batches and keys depend on the number of
the step alone, so both ways end with the same parameters.

    python examples/checkpoints.py --steps 600
"""

import argparse
import tempfile

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

import jlstm
from jlstm.train import loop, step
from jlstm.train.data import batches, sources
from jlstm.train.tasks.classify import Classify

DATA = {"source": "digits"}
CONFIG = jlstm.Config.stack(8, [64], dropout=0.2)
TASK, OPTIMIZER = Classify(10), optax.adam(3e-3)


def train(folder: str, steps: int, until: int | None = None, every: int = 50) -> step.State:
    """Trains from the newest checkpoint in a folder, if there is one, and saves checkpoints.

    Args:
      folder: where the checkpoints are.
      steps: the number of steps of the whole run.
      until: the step to stop at; None for the last one.
      every: the number of steps between checkpoints.
    """
    data = sources.load(DATA)
    state = step.new_state(jax.random.key(0), CONFIG, TASK, OPTIMIZER)
    with ocp.CheckpointManager(folder, options=ocp.CheckpointManagerOptions(max_to_keep=2)) as kept:
        newest = kept.latest_step()
        if newest is not None:
            like = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
            state = kept.restore(newest, args=ocp.args.StandardRestore(like))
            print(f"resumes at step {int(state.step)}")
        train_step = step.make_train_step(CONFIG, TASK, OPTIMIZER)
        source = batches.training(data.train, 64, start=int(state.step))
        key, ends, stops = jax.random.key(1), until or steps, lambda _: every
        for update in loop.updates(train_step, state, source, key, steps=ends, stops=stops):
            state = update.state
            kept.save(update.step, args=ocp.args.StandardSave(state))
            if update.step % 100 == 0:
                print(f"step {update.step}: loss {update.metrics['loss'].mean():.4f}")
    eval_step = jax.jit(step.make_eval_step(CONFIG, TASK))
    accuracy = loop.evaluated(eval_step, state.model, data.test, 64)["accuracy"]
    print(f"after {int(state.step)} steps: {accuracy:.1%} of the test digits are right")
    return state


def main(steps: int = 600) -> bool:
    """Trains twice, once with a break; returns whether all parameters are the same."""
    every = max(1, steps // 4)
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as broken:
        expected = train(whole, steps, every=every)
        train(broken, steps, until=steps // 2, every=every)
        resumed = train(broken, steps, every=every)
    pairs = zip(jax.tree.leaves(expected), jax.tree.leaves(resumed), strict=True)
    same = all(np.array_equal(a, b) for a, b in pairs)
    print("the same parameters, bit for bit" if same else "the parameters differ")
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    main(**vars(parser.parse_args()))
