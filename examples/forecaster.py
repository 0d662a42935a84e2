"""A forecaster of quantiles: three for each of the next 20 values of noisy series.

It reads 60 values of a sum of two sines and noise. The baseline repeats the last value. 80 % of the
true values should be between the outer quantiles. The model is saved to one file and loaded again.

    python examples/forecaster.py --steps 2000
"""

import argparse
import pathlib
import tempfile

import jax
import numpy as np
import optax

import jlstm
from jlstm.train import loop, predicting, step, trained
from jlstm.train.data import batches, sources
from jlstm.train.tasks.forecast import Forecast


def main(steps: int = 2000, hidden_size: int = 64) -> dict[str, float]:
    """Trains and measures a forecaster; returns its figures."""
    table = {"source": "noisy_sines", "steps": 60, "horizon": 20, "noise": 0.1}
    data = sources.load(table)
    config = jlstm.Config.stack(1, [hidden_size])
    task = Forecast(horizon=20, quantiles=(0.1, 0.5, 0.9), relative=True)
    rate = optax.cosine_decay_schedule(5e-3, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    state = step.new_state(jax.random.key(0), config, task, optimizer)
    train_step = step.make_train_step(config, task, optimizer)
    source = batches.training(data.train, 64)
    for update in loop.updates(train_step, state, source, jax.random.key(1), steps=steps):
        state = update.state
        if update.step % 250 == 0:
            print(f"step {update.step}: loss {update.metrics['loss'].mean():.4f}")

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "forecaster.safetensors"
        trained.save(path, trained.Trained(config, task, state.model, data.meaning, table, None))
        model = trained.load(path)

    errors = predicting.forecast_errors(model, data.test)["value"]
    quantiles = predicting.predicted(model, data.test.xs)[:, :, 0]  # [N, horizon, quantiles]
    true = data.test.targets[:, :, 0]
    between = (quantiles[..., 0] <= true) & (true <= quantiles[..., 2])
    figures = {
        "mean absolute error": errors["model"]["mae"],
        "of repeating the last value": errors["persistence"]["mae"],
        "between the outer quantiles": float(np.mean(between)),
    }
    print(*(f"{name}: {value:.3f}" for name, value in figures.items()), sep="\n")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--hidden-size", type=int, default=64)
    main(**vars(parser.parse_args()))
