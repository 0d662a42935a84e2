# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jlstm/jlstm/blob/main/notebooks/frameworks.ipynb)

# %% [markdown]
# # From torch and Keras to JAX, and to ONNX
#
# A network was trained in torch, or in Keras. Does it give the same results in JAX? And can it leave JAX
# again, for a server that has none of the three?
#
# This chapter converts networks from each to the next, and measures the difference each time.

# %%
# Installs jlstm if it is missing, as in Colab, and keeps the installed JAX.
import importlib.util
import os
from importlib.metadata import version

if importlib.util.find_spec("jlstm") is None:
    kept = " ".join(f"{name}=={version(name)}" for name in ("jax", "jaxlib", "flax", "numpy"))
    # %pip install -q "jlstm[cli] @ git+https://github.com/jlstm/jlstm" {kept}
    # %pip install -q torch keras h5py onnx onnxruntime

import jax

import jlstm

print(*(f"{name} {version(name)}" for name in ("jlstm", "jax", "jaxlib", "flax")), sep=", ")
print(f"{jax.device_count()} device: {jax.devices()[0].device_kind}")
if jax.default_backend() != "tpu":
    print(f"There is no TPU here, so all cells run on the {jax.default_backend().upper()}.")

SMALL = "JLSTM_SMALL" in os.environ  # the tests run a short version

# %%
os.environ.setdefault("KERAS_BACKEND", "jax")

import tempfile

import jax.numpy as jnp
import keras
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch

from jlstm.interop import Report, from_keras, from_onnx, from_torch, to_onnx, to_torch

# GPUs and TPUs may multiply in a shorter number format; full float32 makes numbers comparable.
jax.config.update("jax_default_matmul_precision", "highest")
differences = {}

# %% [markdown]
# ## Why copying weights is not enough
#
# All frameworks compute the same four gates, but store them in different orders. If a matrix is copied
# unchanged, the network runs, and its results are wrong.

# %%
orders = {"torch": "ifgo", "Keras": "ifgo", "TensorFlow 1": "igfo", "Haiku": "igfo", "ONNX": "iofg"}
colours = {"i": "tab:green", "f": "tab:blue", "g": "tab:orange", "o": "tab:red"}

figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
for row, order in enumerate(orders.values()):
    for place, gate in enumerate(order):
        axis.barh(row, 1, left=place, color=colours[gate], edgecolor="white")
        axis.text(place + 0.5, row, gate, ha="center", va="center", color="white", weight="bold")
axis.set_yticks(range(len(orders)), orders)
axis.invert_yaxis()
axis.set(xticks=[], xlim=(0, 4), title="the four gates in one weight matrix")
plt.show()

# %% [markdown]
# There are other differences. torch and ONNX have two biases, and torch has no forget bias. Inputs are
# rows of a matrix in Keras and columns in torch. A conversion function handles all of this.
#
# ## From torch
#
# Two layers that read in both directions. `report` lists what the conversion did.

# %%
torch.manual_seed(0)
in_torch = torch.nn.LSTM(6, 16, num_layers=2, bidirectional=True)
report = Report()
config, params = from_torch(in_torch, report=report)
print(report)

xs = np.random.default_rng(0).normal(size=(30, 4, 6)).astype("float32")  # [T, batch, features]
with torch.no_grad():
    expected = in_torch(torch.tensor(xs))[0].numpy()
carry, ys = jlstm.apply(config, params, None, xs)
differences["torch to JAX"] = np.abs(ys - expected).max()

figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
for unit, colour in zip((0, 5, 20), ("tab:blue", "tab:orange", "tab:green"), strict=True):
    axis.plot(expected[:, 0, unit], color=colour, linewidth=5, alpha=0.35)
    axis.plot(ys[:, 0, unit], color=colour, linewidth=1)
axis.set(xlabel="step", ylabel="output", title="three units: torch (wide), JAX (thin)")
plt.show()

# %% [markdown]
# ## What JAX adds
#
# The network is now a pure function, so it can be differentiated, vectorised and compiled. How much does
# the *last* output depend on each step of the input? `jacobian` of an ordinary function tells.

# %%
influence = jax.jacobian(lambda xs: jlstm.apply(config, params, None, xs)[1][-1])(xs[:, 0])
strength = jnp.sqrt((influence**2).sum((0, 2)))  # from [units, steps, features]

figure, axis = plt.subplots(figsize=(9, 2.6), layout="constrained")
axis.bar(range(30), strength)
axis.set(xlabel="step of the input", ylabel="influence on the last output", yscale="log")
plt.show()

# %% [markdown]
# The influence falls with the distance. In a network that has learned to remember, it falls less.
#
# ## From Keras, out of a file
#
# `from_keras` takes a layer, a model or a file. A file is read without Keras, and no code in it runs.

# %%
in_keras = keras.Sequential(
    [
        keras.Input((None, 6)),
        keras.layers.LSTM(16, return_sequences=True),
        keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True)),
    ]
)
batch = xs.swapaxes(0, 1)  # Keras has the batch first
with tempfile.TemporaryDirectory() as folder:
    in_keras.save(f"{folder}/model.keras")
    config_k, params_k = from_keras(f"{folder}/model.keras")

_, ys_k = jlstm.apply(config_k, params_k, None, batch, time_major=False)
differences["Keras to JAX"] = np.abs(ys_k - np.asarray(in_keras(batch))).max()
print("layers:", [(layer.hidden_size, layer.bidirectional) for layer in config_k.layers])

# %% [markdown]
# ## To ONNX
#
# `to_onnx` writes one native LSTM node for each layer. The model takes a batch of any size and
# sequences of any length. ONNX Runtime needs neither JAX nor jlstm to run it.

# %%
model = to_onnx(config, params, lengths=True)
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
lengths = np.array([30, 12, 1, 25], "int32")
(served,) = session.run(["ys"], {"xs": xs, "lengths": lengths})
_, wanted = jlstm.apply(config, params, None, xs, lengths=lengths)
differences["JAX to ONNX"] = np.abs(served - wanted).max()

size = len(model.SerializeToString())
print([node.op_type for node in model.graph.node if node.op_type == "LSTM"], size, "bytes")

# %% [markdown]
# ## And back to where it began
#
# From ONNX to JAX, and from JAX to torch. Is anything lost on the way?

# %%
with tempfile.TemporaryDirectory() as folder:
    with open(f"{folder}/model.onnx", "wb") as file:
        file.write(model.SerializeToString())
    config_o, params_o = from_onnx(f"{folder}/model.onnx")
same = [
    np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (params, params_o)), strict=True)
]
print("from ONNX:", "the same bits" if all(same) else "other bits")

back = to_torch(config_o, params_o)
with torch.no_grad():
    differences["around, in torch"] = np.abs(back(torch.tensor(xs))[0].numpy() - expected).max()

figure, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
bars = axis.barh(list(differences), [float(d) for d in differences.values()])
axis.bar_label(bars, [f" {d:.0e}" if d else " 0" for d in differences.values()])
axis.axvline(1e-5, color="black", linestyle="--")
axis.set(xscale="log", xlim=(1e-9, 1e-3), xlabel="largest difference of outputs (dashed: 1e-5)")
axis.invert_yaxis()
plt.show()

# %% [markdown]
# The remaining differences are the rounding of float32. The torch module at the end returns exactly the
# numbers of the one at the beginning. On the command line, `jlstm convert weights.pt model.onnx` does the
# same for files of torch, Keras, TensorFlow, Flax and ONNX.
