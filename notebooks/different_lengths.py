# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/different_lengths.ipynb)

# %% [markdown]
# # Sequences of different lengths
#
# Nine men say two Japanese vowels, /ae/. Some take 7 steps for it, others 29. Which of them speaks?
#
# Arrays have one length, so short sequences are padded. How does the padding change the answer? In this
# chapter we train a classifier that ignores it, prove that it does, and watch how its prediction changes
# from step to step. It takes half a minute on a CPU.

# %%
# Installs jlstm if it is missing, as in Colab, and keeps the installed JAX.
import importlib.util
import os
from importlib.metadata import version

if importlib.util.find_spec("jlstm") is None:
    kept = " ".join(f"{name}=={version(name)}" for name in ("jax", "jaxlib", "flax", "numpy"))
    # %pip install -q "jlstm[cli] @ git+https://github.com/jlstm/jlstm" {kept}
    # %pip install -q --no-deps aeon

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
import optax

from jlstm.train import loop, step
from jlstm.train.data import batches, sources
from jlstm.train.data.split import Data, Meaning, Split
from jlstm.train.model import Batch
from jlstm.train.tasks.classify import Classify

# %% [markdown]
# ## The data
#
# The recordings come with the package aeon. If it is missing, the next cell draws sequences of the same
# shapes in their place.


# %%
def drawn(count, seed):
    """Noisy sequences of 7 to 29 steps, each around the 12 coefficients of one of 9 speakers."""
    rng = np.random.default_rng(seed)
    labels, lengths = rng.integers(0, 9, count), rng.integers(7, 30, count)
    speakers = np.random.default_rng(9).normal(0, 0.5, (9, 12))
    xs = speakers[labels][:, None] + rng.normal(0, 0.5, (count, 29, 12))
    xs *= (np.arange(29) < lengths[:, None])[:, :, None]
    return Split(xs.astype("float32"), labels.astype("int32"), lengths.astype("int32"))


try:
    data = sources.load({"source": "japanese_vowels"})
except ImportError as error:
    print(f"{error}\nThe cells below use drawn sequences in place of the recordings.")
    data = Data(drawn(270, 0), None, drawn(370, 1), Meaning(classes=tuple("123456789")))

print("to train on", data.train.xs.shape, "of lengths", data.train.lengths[:8], "...")

# %%
figure, axes = plt.subplots(2, 3, figsize=(11, 4.5), sharex=True, layout="constrained")
chosen = [int(np.flatnonzero(data.train.targets == man)[n]) for n in (0, 1) for man in (0, 3, 6)]
for axis, n in zip(axes.flat, chosen, strict=True):
    axis.imshow(data.train.xs[n].T, aspect="auto", cmap="RdBu_r", vmin=-1.5, vmax=1.5)
    axis.axvline(data.train.lengths[n] - 0.5, color="black", linestyle="--")
    axis.set(title=f"speaker {data.meaning.classes[data.train.targets[n]]}", ylabel="coefficient")
for axis in axes[1]:
    axis.set_xlabel("step")
plt.show()

# %% [markdown]
# Each picture is one recording: 12 coefficients of the sound in each of up to 26 steps. Each column of
# pictures is one speaker. The dashed line is the end of the recording. Padding follows it.
#
# ## The layer takes lengths and ignores padding
#
# `apply` takes the length of each sequence. A bidirectional layer needs it most: its backward direction
# starts at the *last valid step*, not in the padding. The classifier averages the outputs of
# the valid steps.

# %%
config = jlstm.Config.stack(12, [64], bidirectional=True, dropout=0.2)
task = Classify(9, readout="mean")
steps = 40 if SMALL else 300
optimizer = optax.adamw(optax.cosine_decay_schedule(3e-3, steps), weight_decay=1e-2)

state = step.new_state(jax.random.key(0), config, task, optimizer)
train_step = step.make_train_step(config, task, optimizer)
accuracies = []
for update in loop.updates(
    train_step,
    state,
    batches.training(data.train, 32),
    jax.random.key(1),
    steps=steps,
    stops=lambda done: 20,
):
    state = update.state
    accuracies.append(update.metrics["accuracy"].mean())

eval_step = jax.jit(step.make_eval_step(config, task))
accuracy = loop.evaluated(eval_step, state.model, data.test, 64)["accuracy"]
print(f"{accuracy:.1%} of {len(data.test.xs)} recordings of the test are recognised")

# %% [markdown]
# Does padding really not matter? We fill it with NaN, which spreads to every result that it enters, and
# make it three times as long:

# %%
predict = jax.jit(lambda batch: task.predict(config, state.model, batch)[1])
batch = next(batches.evaluation(data.test, 64))
inside = np.arange(29)[:, None] < batch.lengths[:, None, None]
spoilt = np.pad(
    np.where(inside, batch.xs, np.nan), ((0, 0), (0, 58), (0, 0)), constant_values=np.nan
)

difference = jnp.abs(predict(batch) - predict(batch._replace(xs=spoilt.astype("float32")))).max()
print("largest difference of the scores:", float(difference))
assert difference < 1e-5

# %% [markdown]
# ## What happens without lengths
#
# The same model, told that all recordings have 29 steps, reads the padding as if it were sound:

# %%
blind = data.test._replace(lengths=np.full(len(data.test.xs), 29, "int32"))
accuracy_blind = loop.evaluated(eval_step, state.model, blind, 64)["accuracy"]
short = data.test.lengths < np.median(data.test.lengths)
rates = []
for split in (data.test, blind):
    for part in (short, ~short):
        chosen = Split(*(a[part] for a in split))
        rates.append(loop.evaluated(eval_step, state.model, chosen, 64)["accuracy"])

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
bars = axis.bar([0, 1, 2.5, 3.5], rates, color=["tab:blue", "tab:cyan"] * 2)
axis.bar_label(bars, [f"{rate:.0%}" for rate in rates])
labels = [f"{part}\n{how} lengths" for how in ("with", "without") for part in ("short", "long")]
axis.set_xticks([0, 1, 2.5, 3.5], labels)
axis.set(ylim=(0, 1.1), ylabel="share that is right")
plt.show()

# %% [markdown]
# The shorter half of the recordings suffers most, because most of what the model averages is padding.
#
# ## How the prediction changes
#
# Lengths have another use. Copies of one recording, cut after 1, 2, 3 ... steps, make a batch. One call
# returns the prediction after each step.

# %%
n = int(np.argmax(data.test.lengths))
cuts = np.arange(1, data.test.lengths[n] + 1)
growing = Batch(np.repeat(data.test.xs[n][None], len(cuts), 0), np.zeros(len(cuts), "int32"), cuts)
believed = np.asarray(jax.nn.softmax(predict(growing)))

figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
true = data.test.targets[n]
for man in range(9):
    shown = {"color": "tab:red", "linewidth": 2.5} if man == true else {"color": "silver"}
    axis.plot(cuts, believed[:, man], **shown)
axis.set(xlabel="steps heard", ylabel="probability", ylim=(0, 1), title="red: the man who speaks")
plt.show()

# %% [markdown]
# That padding has no effect is one of the library's numbered contracts. Beyond the length, outputs and
# gradients are exact zeros, and the carry does not change. `jlstm check` tests this on your machine.
