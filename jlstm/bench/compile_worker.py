"""Compiles one program for a chip that need not be present, and describes the result.

    python -m jlstm.bench.compile_worker '{"target": "v5e", ...}'

prints one line of JSON. It is a separate process because the compiler may exit when it cannot
analyse a program.
"""

import functools
import json
import pathlib
import re
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jlstm
from jlstm.bench import old_libtpu
from jlstm.files import config_toml

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")


def compiled(
    target: str,
    network: str,
    time_steps: int,
    batch_size: int,
    mode: str,
    implementation: str,
    precision: str | None = None,
) -> dict[str, Any]:
    """Compiles a network for one chip, or for a slice of several such as "v5e:2x2".

    Args:
      target: "h100", or a TPU by libtpu's name. Without the shape of a slice it is one chip.
      network: a config as TOML.
      time_steps, batch_size: the shape of the input. The batch is sharded over the chips.
      mode: "forward", or "training": gradients with respect to parameters and input.
      implementation: "scan"; "auto" for the fastest on the target; or "divided" to shard hidden
        units over two chips and the batch over the others.
      precision: precision of float32 products; None for JAX's default.
    """
    config = config_toml.loads(network)
    chips = devices(target)
    across = 2 if implementation == "divided" else 1
    mesh = Mesh(np.array(chips).reshape(-1, across), ("batch", "units"))

    def placed(a: Any, *axes: str | None) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(
            a.shape, a.dtype, sharding=NamedSharding(mesh, PartitionSpec(*axes))
        )

    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    params = jax.eval_shape(functools.partial(jlstm.init, config=config), key)
    xs = jax.ShapeDtypeStruct((time_steps, batch_size, config.input_size), jnp.float32)

    def of_one_chip(params: Any, xs: jax.Array) -> jax.Array:
        return jlstm.apply(config, params, None, xs, implementation=implementation)[1]

    divided = PartitionSpec(None, "batch")
    forward = of_one_chip
    if implementation == "divided":

        def forward(params: Any, xs: jax.Array) -> jax.Array:
            return jlstm.apply_sharded(config, params, None, xs, mesh, batch="batch")[1]

    elif len(chips) > 1:
        forward = jax.shard_map(
            of_one_chip, mesh=mesh, in_specs=(PartitionSpec(), divided), out_specs=divided
        )

    def training(params: Any, xs: jax.Array) -> Any:
        def loss(params: Any, xs: jax.Array) -> jax.Array:
            return jnp.sum(jnp.square(forward(params, xs).astype(jnp.float32)))

        return jax.grad(loss, (0, 1))(params, xs)

    start = time.perf_counter()
    with jax.default_matmul_precision(precision or "default"):
        lowered = jax.jit(training if mode == "training" else forward).lower(
            jax.tree.map(placed, params), placed(xs, None, "batch")
        )
        program = lowered.compile()
    text, memory = program.as_text() or "", program.memory_analysis()
    return {
        "chips": len(chips),
        "seconds": time.perf_counter() - start,
        "temporary_bytes": memory.temp_size_in_bytes if memory else None,
        "collectives": {
            name: len(re.findall(rf"= [^=\n]* {name}(?:-start)?\(", text)) for name in COLLECTIVES
        },
        "kernels": kernels(text),
        "in_loops": in_loops(text),
        "turns": [int(n) for n in re.findall(r'"known_trip_count":\{"n":"(\d+)"\}', text)],
        "bfloat16": "bf16[" in text,
    }


def kernels(text: str) -> list[str]:
    """The names of the Pallas kernel calls in a compiled program."""
    return re.findall(r"%([\w.\-]+) = [^\n]*custom_call_target=\"tpu_custom_call\"", text)


def in_loops(text: str) -> list[str]:
    """The names of the operations inside loop bodies."""
    bodies = set(re.findall(r"body=%([\w.\-]+)", text))
    found, inside = [], False
    for line in text.splitlines():
        begins = re.match(r"(?:ENTRY )?%([\w.\-]+) \(", line)
        if begins:
            inside = begins.group(1) in bodies
        elif inside and (operation := re.match(r"\s+(?:ROOT )?%([\w.\-]+) = ", line)):
            found.append(operation.group(1))
    return found


def devices(target: str) -> list[Any]:
    """The devices of a target."""
    if target == "h100":
        described = pathlib.Path(__file__).with_name("h100.txtpb").read_text()
        one = {"target_config": described, "topology": "1x1x1"}
        return topologies.get_topology_desc(platform="cuda", **one).devices
    if ":" in target:
        return topologies.get_topology_desc(platform="tpu", topology_name=target).devices
    whole = f"{target}:1x1x1" if target in ("v4", "v5p", "tpu7x") else f"{target}:1x1"
    one = {"chips_per_host_bounds": (1, 1, 1)}
    return topologies.get_topology_desc(platform="tpu", topology_name=whole, **one).devices[:1]


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if asked["target"] != "h100":
        old_libtpu.adapt()
    print(json.dumps(compiled(**asked)))
