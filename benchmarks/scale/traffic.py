"""What one step of training sends over the network, counted in the compiled program.

    python benchmarks/scale/traffic.py

prints the table of docs/scale.md. It compiles for up to 256 virtual CPU devices in one process,
runs nothing, and takes a few minutes on 2 cores.
"""

import math
import re
import sys
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from jlstm import Config
from jlstm.train import devices, step
from jlstm.train.model import Batch
from jlstm.train.sections import MeshSizes
from jlstm.train.tasks.classify import Classify

CONFIG, TASK, STEPS = Config.stack(32, [512, 512]), Classify(10), 20
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
SIZES = [(n, 1) for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)] + [(1, 8), (8, 8), (32, 8)]
BYTES = {"f32": 4, "bf16": 2, "f16": 2, "f64": 8, "s32": 4, "u32": 4, "s64": 8, "u64": 8, "pred": 1}


class Collective(NamedTuple):
    """One collective operation of a program.

    Attributes:
      kind: one of KINDS.
      bytes: the bytes of its result on one device.
      group: the number of devices that take part together.
    """

    kind: str
    bytes: int
    group: int

    def sent(self) -> float:
        """The bytes that each device sends in a ring, which no algorithm can do with less."""
        if self.kind == "collective-permute":
            return self.bytes
        if self.kind == "reduce-scatter":
            return self.bytes * (self.group - 1)
        passes = 2 if self.kind == "all-reduce" else 1
        return passes * self.bytes * (self.group - 1) / self.group


def collectives(text: str) -> list[Collective]:
    """The collectives in the text of a compiled program.

    Raises:
      ValueError: the text has a form that this does not know.
    """
    found = []
    for line in text.splitlines():
        seen = re.search(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(", line)
        if seen is None:
            continue
        if seen[3]:
            raise ValueError(f"an asynchronous operation, whose result is more: {line[:200]}")
        size = sum(
            BYTES[kind] * math.prod(int(n) for n in shape.split(",") if n)
            for kind, shape in re.findall(r"(\w+)\[([\d,]*)\]", re.sub(r"/\*.*?\*/", "", seen[1]))
        )
        found.append(Collective(seen[2], size, _group(line)))
    return found


def _group(line: str) -> int:
    """The size of the groups of devices: three ways to write them, by versions of XLA."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return len(listed[1].split(","))
    if counted := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(counted[1])
    if named := re.search(r"replica_groups=mesh\[(.*?)\].*?\{((?:'\w+',? ?)+)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        return math.prod(int(sizes[name]) for name in re.findall(r"'(\w+)'", named[2]))
    raise ValueError(f"cannot read which devices take part: {line[:300]}")


def compiled(data: int, model: int, config: Config = CONFIG, **options: Any) -> str:
    """The text of the compiled step of training over data x model devices."""
    batch_size = data * model
    mesh = devices.mesh_of(MeshSizes(data, model), batch_size)
    optimizer = devices.optimizer(mesh, optax.adam(1e-3))
    one = devices.train_step(mesh, step.make_train_step(config, TASK, optimizer))

    def new(key: jax.Array) -> step.State:
        return step.new_state(key, config, TASK, optimizer)

    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(new, key)
    struct = jax.ShapeDtypeStruct
    batch = Batch(
        struct((batch_size, STEPS, config.input_size), np.float32),
        struct((batch_size,), np.int32),
        struct((batch_size,), np.int32),
    )
    if mesh is not None:

        def over(tree: Any, where: Any) -> Any:
            return jax.tree.map(lambda a, s: struct(a.shape, a.dtype, sharding=s), tree, where)

        rows = NamedSharding(mesh, PartitionSpec(devices.AXES))
        whole = NamedSharding(mesh, PartitionSpec())
        state = over(state, devices.shardings(mesh, state))
        batch = over(batch, jax.tree.map(lambda _: rows, batch))
        key = over(key, whole)
    return jax.jit(one, **options).lower(state, batch, key).compile().as_text()


def size_of_gradients(config: Config = CONFIG) -> int:
    """Bytes of all gradients once."""
    shapes = jax.eval_shape(lambda key: TASK.new(key, config), jax.random.key(0))
    return sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(shapes))


def main() -> None:
    """Prints the table."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", max(data * model for data, model in SIZES))
    print(f"jax {jax.__version__}, gradients {size_of_gradients():,} bytes\n")
    print("| devices | data | model | all-reduce, bytes | all-gather, bytes | sent by each, MB |")
    print("|---|---|---|---|---|---|")
    for data, model in SIZES:
        seen = collectives(compiled(data, model))
        if others := {each.kind for each in seen} - {"all-reduce", "all-gather"}:
            sys.exit(f"there are other collectives: {others}")
        totals = [
            sum(each.bytes for each in seen if each.kind == kind)
            for kind in ("all-reduce", "all-gather")
        ]
        sent = sum(each.sent() for each in seen) / 1e6
        print(
            f"| {data * model} | {data} | {model} | {totals[0]:,} | {totals[1]:,} | {sent:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
