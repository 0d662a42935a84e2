"""What is here: versions, device, driver, which implementations can run, and a first call."""

import dataclasses
import json
import subprocess
from typing import Any

import jax
import jax.numpy as jnp
import lines

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


def driver() -> str:
    """What nvidia-smi says of the GPU and its driver."""
    words = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return _said(lambda: subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def torch_versions() -> str:
    """Versions of torch, of its CUDA and of its cuDNN, and whether it has a GPU."""

    def told() -> str:
        import torch

        cudnn, gpu = torch.backends.cudnn.version(), torch.cuda.is_available()
        return f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}, GPU: {gpu}"

    return _said(told)


def cudnn_of_jax() -> str:
    """The version of the cuDNN that jaxlib calls; JAX has no public way to ask."""

    def told() -> str:
        from jax._src.lib import cuda_versions

        return str(cuda_versions.cudnn_get_version())

    return _said(told)


def first_call(implementation: str) -> str:
    """How far a small network is from the scan, forward and in gradients."""

    def told() -> str:
        ours, scan = calls.made(implementation), calls.made("scan")
        with jax.default_matmul_precision("highest"):
            seen, wanted = ((c.run(), jax.grad(c.loss)(c.params)) for c in (ours, scan))
        return f"{calls.apart(seen, wanted):.1e} from the scan"

    return _said(told)


def _said(told: Any) -> str:
    """What a function says, or the error that it raises: a finding too."""
    try:
        return told().strip()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


if __name__ == "__main__":
    asked = lines.arguments(__doc__)
    found = {
        "versions": info.versions((*info.PACKAGES, *records.PACKAGES)),
        "devices": [f"{d.device_kind} ({d.platform})" for d in info.devices()],
        "driver": driver(),
        "torch": torch_versions(),
        "cuDNN of JAX": cudnn_of_jax(),
        "implementations": {
            name: jlstm.implementations(config) for name, config in NETWORKS.items()
        },
        "first call": {name: first_call(name) for name in ("cudnn", "auto")},
        "sum of ones": float(jnp.ones(8).sum()),
    }
    text = json.dumps(found, indent=2)
    (asked.out / "inventory.json").write_text(text + "\n", encoding="utf-8")
    print(text)
