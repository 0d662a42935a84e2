"""Writes inventory.json: versions, device, driver, usable implementations, and a first call."""

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import jax
import stage

import jlstm
from jlstm import info
from jlstm.bench import records
from jlstm.check import calls

PLAIN = jlstm.Config.stack(5, [20])
NETWORKS = {
    "plain, float32": PLAIN,
    "plain, bfloat16": dataclasses.replace(PLAIN, dtype="bfloat16"),
    "peepholes, float32": jlstm.Config.stack(5, [20], peepholes=True),
}
ASKED_OF_DRIVER = "name,driver_version,memory.total,utilization.gpu,clocks.sm,clocks.max.sm"


def driver() -> str:
    """The GPU and its driver, from nvidia-smi."""
    words = ["nvidia-smi", f"--query-gpu={ASKED_OF_DRIVER}", "--format=csv,noheader"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def torch_versions() -> str:
    """The versions of torch, its CUDA and its cuDNN, and whether it sees a GPU."""
    import torch

    cudnn, gpu = torch.backends.cudnn.version(), torch.cuda.is_available()
    return f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}, GPU: {gpu}"


def cudnn_of_jax() -> str:
    """The version of the cuDNN that jaxlib calls. JAX has no public function for it."""
    from jax._src.lib import cuda_versions

    return str(cuda_versions.cudnn_get_version())


def implementations() -> dict[str, Any]:
    """For each network, the implementations that can run it, and why others cannot."""
    return {name: jlstm.implementations(config) for name, config in NETWORKS.items()}


def first_call(implementation: str) -> str:
    """The difference of a small network's results and gradients from those of the scan."""
    ours, scan = calls.made(implementation), calls.made("scan")
    with jax.default_matmul_precision("highest"):
        seen, wanted = ((c.run(), jax.grad(c.loss)(c.params)) for c in (ours, scan))
    return f"{calls.apart(seen, wanted):.1e} from the scan"


# In the order of writing. Those that may hang come last.
QUESTIONS: dict[str, Callable[[], Any]] = {
    "driver": driver,
    "versions": lambda: info.versions((*info.PACKAGES, *records.PACKAGES)),
    "devices": lambda: [f"{d.device_kind} ({d.platform})" for d in info.devices()],
    "implementations": implementations,
    "cuDNN of JAX": cudnn_of_jax,
    "torch": torch_versions,
    "first call of cudnn": lambda: first_call("cudnn"),
    "first call of auto": lambda: first_call("auto"),
}


def write(path: pathlib.Path) -> None:
    """Writes the answers to a JSON file, which is rewritten after each answer."""
    found: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        found[name] = stage.or_error(question)
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {found[name]}", flush=True)


if __name__ == "__main__":
    write(stage.arguments(__doc__).out / "inventory.json")
