# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/forecasting.ipynb)

# %% [markdown]
# # Forecasting
#
# What comes next, and how certain is it? We draw an hourly load with daily and weekly rhythms. The model
# learns to predict the next day from the last three, as a range instead of one number. The chapter takes
# half a minute on a CPU.

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
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import optax

from jlstm.train import loop, predicting, step, trained
from jlstm.train.data import batches
from jlstm.train.data.split import Meaning, Split
from jlstm.train.tasks.forecast import Forecast

# %% [markdown]
# ## A series with habits
#
# The load is high by day, lower at weekends, rises with cold, and has noise that is larger at noon.
# A good forecast must find both rhythms, and a good *range* must be wider by day than by night.

# %%
rng = np.random.default_rng(0)
hours = np.arange(24 * 7 * 30)
day, weekend = hours % 24, hours // 24 % 7 >= 5
cold = np.cumsum(rng.normal(0, 0.15, len(hours)))
cold -= np.convolve(cold, np.ones(200) / 200, "same")
busy = np.exp(-(((day - 13) / 4.5) ** 2))
load = 50 + 60 * busy * np.where(weekend, 0.45, 1) + 4 * cold
load += rng.normal(0, 1, len(hours)) * (1 + 7 * busy)

figure, axis = plt.subplots(figsize=(11, 2.8), layout="constrained")
axis.plot(hours[: 24 * 14] / 24, load[: 24 * 14], linewidth=1)
axis.set(xlabel="day", ylabel="load", title="two weeks")
plt.show()

# %% [markdown]
# ## Windows
#
# A sample is three days of load, with the hour and the weekday as waves, and the day after them.
# The first four fifths of the series are for training. The test comes *later in time*: a random choice
# would let the model see the future of its own test.

# %%
HISTORY, HORIZON = 72, 24
mean, scale = load[: len(load) * 4 // 5].mean(), load[: len(load) * 4 // 5].std()
turn = 2 * np.pi * hours[:, None] / np.array([24, 168])
features = np.column_stack([(load - mean) / scale, np.sin(turn), np.cos(turn)]).astype("float32")


def windows(first, last):
    """All windows whose target ends before the hour `last`."""
    starts = np.arange(first, last - HISTORY - HORIZON)
    xs = features[starts[:, None] + np.arange(HISTORY)]
    targets = features[starts[:, None] + HISTORY + np.arange(HORIZON), :1]
    return Split(xs, targets)


train, test = windows(0, len(load) * 4 // 5), windows(len(load) * 4 // 5, len(load))
print("xs", train.xs.shape, "targets", train.targets.shape, "test", len(test.xs))

# %% [markdown]
# ## Quantiles in place of one number
#
# The task predicts three quantiles of each hour. The loss of a quantile weighs errors on one side more
# than on the other: 9 to 1 for the quantile 0.9. At its minimum, one tenth of the values are above the
# prediction.
# `relative=True` predicts the change from the last value.

# %%
config = jlstm.Config.stack(features.shape[1], [48])
task = Forecast(horizon=HORIZON, quantiles=(0.1, 0.5, 0.9), relative=True)
steps = 40 if SMALL else 600
optimizer = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, steps))
)

state = step.new_state(jax.random.key(0), config, task, optimizer)
train_step = step.make_train_step(config, task, optimizer)
losses = []
for update in loop.updates(
    train_step,
    state,
    batches.training(train, 32),
    jax.random.key(1),
    steps=steps,
    stops=lambda done: 20,
):
    state = update.state
    losses.extend(update.metrics["loss"])

meaning = Meaning(
    inputs=("load", "hour sine", "week sine", "hour cosine", "week cosine"),
    targets=("load",),
    input_mean=(mean, 0, 0, 0, 0),
    input_scale=(scale, 1, 1, 1, 1),
    target_mean=(mean,),
    target_scale=(scale,),
)
model = trained.Trained(config, task, state.model, meaning, {}, None)
errors = predicting.forecast_errors(model, test)["load"]
yesterday = (test.xs[:, -HORIZON:, :1] - test.targets) * scale

print(f"mean absolute error of the model        {errors['model']['mae']:.1f}")
print(f"of repeating the last value             {errors['persistence']['mae']:.1f}")
print(f"of repeating yesterday                  {np.abs(yesterday).mean():.1f}")

# %% [markdown]
# Repeating the last value is a weak baseline for a series with rhythms. Repeating yesterday is a better
# one. It fails on Mondays and Saturdays.

# %%
quantiles = predicting.predicted(model, test.xs)[:, :, 0] * scale + mean  # [N, HORIZON, 3]
true = test.targets[:, :, 0] * scale + mean
past = test.xs[:, :, 0] * scale + mean

figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True, layout="constrained")
for axis, n in zip(axes, (24 * 3, 24 * 7 + 30), strict=True):
    axis.plot(np.arange(-HISTORY, 0), past[n], color="gray", linewidth=1)
    axis.plot(np.arange(HORIZON), true[n], color="black", label="what came")
    axis.plot(np.arange(HORIZON), quantiles[n, :, 1], color="tab:blue", label="median")
    low, high = quantiles[n, :, 0], quantiles[n, :, 2]
    axis.fill_between(np.arange(HORIZON), low, high, alpha=0.3, label="0.1 to 0.9")
    axis.set(xlabel="hours from now")
axes[0].set_ylabel("load")
axes[1].legend(loc="upper left")
plt.show()

# %% [markdown]
# The range is narrow at night and wide at noon, like the noise. Is it calibrated? Eight of ten true
# values should be inside.

# %%
inside = (quantiles[..., 0] <= true) & (true <= quantiles[..., 2])
hour = (len(load) * 4 // 5 + np.arange(len(test.xs))[:, None] + HISTORY + np.arange(HORIZON)) % 24
by_hour = [inside[hour == h].mean() for h in range(24)]

figure, axis = plt.subplots(figsize=(8, 2.8), layout="constrained")
axis.bar(range(24), by_hour)
axis.axhline(0.8, color="black", linestyle="--")
axis.set(xlabel="hour of the day", ylabel="share inside", ylim=(0, 1))
plt.show()
print(f"inside at all hours together: {inside.mean():.0%}")

# %% [markdown]
# ## One file
#
# The file holds the network, the head, the task and the scaling of the data.

# %%
with tempfile.TemporaryDirectory() as folder:
    trained.save(f"{folder}/load.safetensors", model)
    again = trained.load(f"{folder}/load.safetensors")
assert (predicting.predicted(again, test.xs[:5]) == predicting.predicted(model, test.xs[:5])).all()

# %% [markdown]
# For a series in a CSV file, `jlstm train configs/forecast.toml` does all of this with your columns: see
# docs/training.md.
