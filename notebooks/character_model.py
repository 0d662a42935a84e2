# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/character_model.ipynb)

# %% [markdown]
# # A character model
#
# Can a network learn to write by reading one character after the other? Its only task is to predict the
# next character. Nothing tells it what a word is, or a sentence.
#
# We train a model of one layer on the language reference that comes with Python, look at which characters
# surprise it, and let it write. It takes one minute on two CPU cores.

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
import optax

from jlstm.train import loop, sampling, step
from jlstm.train.data import batches, vocabulary
from jlstm.train.data.split import Meaning, Stream
from jlstm.train.model import Batch
from jlstm.train.tasks.language import Language
from jlstm.train.trained import Trained

# %% [markdown]
# ## A text as numbers
#
# The text is in every Python installation. For a text of your own, read its file into `text`. The
# vocabulary is the list of all characters. The last 5 % of the text are kept for the test.

# %%
from pydoc_data.topics import topics

text = "\n".join(topics.values())
known = vocabulary.characters(text)
tokens = vocabulary.encode(text, known)
cut = len(tokens) * 95 // 100
train, test = Stream(tokens[:cut]), Stream(tokens[cut:])

print(f"{len(text)} characters, {len(known)} different ones")
print(text[200_000:200_400])

# %% [markdown]
# ## Training, with a carry from batch to batch
#
# The text is divided into 32 rows. A batch is the next 64 characters of every row. It starts from the last
# carry of the previous batch, so the network has seen the whole row up to there. Gradients reach back 64
# steps. This is truncated backpropagation through time.

# %%
config = jlstm.Config.stack(64, [32 if SMALL else 192])
task = Language(vocabulary=len(known))
steps = 60 if SMALL else 1500
optimizer = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, steps))
)

state = step.new_state(jax.random.key(0), config, task, optimizer, batch_size=32)
train_step = step.make_train_step(config, task, optimizer)
source = batches.training(train, 32, unroll=64)

bits = []
for update in loop.updates(
    train_step, state, source, jax.random.key(1), steps=steps, stops=lambda done: 20
):
    state = update.state
    bits.extend(update.metrics["bits"])
print(f"{bits[0]:.2f} bits a character at first, {np.mean(bits[-20:]):.2f} at the end")

# %%
figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
axis.plot(bits, color="tab:blue", linewidth=0.8)
axis.axhline(np.log2(len(known)), color="black", linestyle="--", linewidth=1)
axis.text(steps, np.log2(len(known)) - 0.1, "all characters alike", ha="right", va="top")
axis.set(xlabel="step", ylabel="bits a character", ylim=(0, 7.2))
plt.show()

# %% [markdown]
# One bit is one yes-or-no question about the next character. A model that knows nothing needs more than
# six. The loss falls quickly at first, because some characters are far more frequent than others. Words
# take longer to learn.
#
# On text that it has never seen:

# %%
eval_step = jax.jit(step.make_eval_step(config, task))
carry = jlstm.initial_carry(config, state.model.network, (8,))
measured = loop.evaluated(eval_step, state.model, test, 8, carry=carry, unroll=64)
print(f"{measured['bits']:.2f} bits a character; {measured['accuracy']:.0%} are guessed at once")

# %% [markdown]
# ## What surprises it
#
# The model gives every character of a sentence a probability. Bars show how many bits each one costs.

# %%
sentence = "If no expression is given, the statement returns the value of the object."
read = vocabulary.encode(" " + sentence, known)
batch = Batch(jnp.asarray(read[None, :-1]), jnp.asarray(read[None, 1:]))
_, scores = task.predict(config, state.model, batch)
costs = -jax.nn.log_softmax(scores[0])[np.arange(len(sentence)), read[1:]] / np.log(2)

figure, axis = plt.subplots(figsize=(11, 3), layout="constrained")
axis.bar(range(len(sentence)), costs, color=["tab:red" if c > 4 else "tab:blue" for c in costs])
axis.set_xticks(range(len(sentence)), sentence, family="monospace")
axis.set(ylabel="bits", xlim=(-1, len(sentence)))
plt.show()

# %% [markdown]
# The first letter of a word costs many bits, and the rest of it few. The model has learned where words
# begin and end, although nothing told it that there are words.
#
# ## Letting it write
#
# To write, we draw a character from the probabilities, feed it back, and so on. The *temperature*
# divides the scores before the draw. A low temperature keeps to what is likely.

# %%
model = Trained(config, task, state.model, Meaning(vocabulary=known), {}, 64)
for temperature in (0.3, 0.7, 1.2):
    drawn = sampling.sampled(
        model, vocabulary.encode("The statement", known), 200, temperature=temperature
    )
    print(f"--- temperature {temperature}\nThe statement{vocabulary.decode(drawn, known)}\n")

# %% [markdown]
# At a low temperature the text repeats itself. At a high one, words fall apart. In between, it has
# the look of the reference: its words, its indentation and its lists, but not its meaning.
#
# What next? A larger layer, a longer text and more steps: `configs/language.toml` is the same
# training as one command, `jlstm train configs/language.toml --set data.path=mine.txt`.
