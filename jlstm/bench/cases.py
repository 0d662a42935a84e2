"""What is measured: networks, the shapes of their input, and the modes they are run in."""

import dataclasses
import pathlib
from typing import Any

from jlstm import validation
from jlstm.config import Config, Layer
from jlstm.files import config_toml

MODES = ("forward", "training", "step", "compile")
# Below this many operations a call costs little beside its dispatch, which is then timed too.
SMALL = 100_000_000
QUICK = pathlib.Path(__file__).with_name("quick.toml")


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the input of a network looks like; the [bench] table of a config.

    Attributes:
      time_steps: steps T.
      batch_size: sequences B.
      shortest: length of the shortest sequence as a share of T; lengths are spread evenly from
        there to T. At 1 all have T steps and no lengths are passed.
      resets: share of all steps at which an episode begins; at 0 no resets are passed.
      modes: what is timed, of "forward"; "training", value and gradients for parameters and input;
        "step", one step a call, passing the carry on; "compile", lowering and compiling a training
        step.
    """

    time_steps: int = 100
    batch_size: int = 32
    shortest: float = 1.0
    resets: float = 0.0
    modes: tuple[str, ...] = ("forward", "training")

    def __post_init__(self) -> None:
        validation.positive_int("time_steps", self.time_steps)
        validation.positive_int("batch_size", self.batch_size)
        validation.number("shortest", self.shortest, low=0.0)
        if self.shortest > 1:
            raise ValueError(f"shortest is {self.shortest:g}; expected a share of T, at most 1")
        validation.number("resets", self.resets, low=0.0, below=1.0)
        if isinstance(self.modes, str) or not self.modes:
            raise ValueError(f"modes is {self.modes!r}; expected a list of {', '.join(MODES)}")
        for mode in self.modes:
            validation.known_name("modes", mode, MODES)
        object.__setattr__(self, "modes", tuple(self.modes))
        if "step" in self.modes and (self.shortest < 1 or self.resets > 0):
            raise ValueError('mode "step" takes neither lengths nor resets; give it its own case')


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and the shape of its input, under a name."""

    name: str
    config: Config
    shape: Shape

    def flops(self, mode: str) -> int:
        """Floating-point operations of one call, in the input and recurrent products.

        A "training" step counts three times a "forward" pass: each product has two derivatives.
        Padding counts, as most frameworks compute it.
        """
        cells = self.shape.batch_size * (1 if mode == "step" else self.shape.time_steps)
        return (3 if mode == "training" else 1) * 2 * self._weights() * cells

    def bytes_moved(self, mode: str) -> int:
        """The least memory traffic of one call: weights, input and outputs, once each.

        A "training" step reads them again and writes gradients as large.
        """
        cells = self.shape.batch_size * (1 if mode == "step" else self.shape.time_steps)
        numbers = self._weights() + cells * (self.config.input_size + self.config.output_size)
        itemsize = {"bfloat16": 2, "float32": 4, "float64": 8}[self.config.dtype]
        return (3 if mode == "training" else 1) * itemsize * numbers

    def _weights(self) -> int:
        total = 0
        for layer, size in zip(self.config.layers, self.config.input_sizes, strict=True):
            directions = 2 if layer.bidirectional else 1
            total += directions * (size + layer.hidden_size) * 4 * layer.hidden_size
        return total


def from_file(path: pathlib.Path) -> tuple[Case, ...]:
    """The cases in a TOML file: its [[case]] tables, or its [network] with its [bench] table.

    A [[case]] has a name, the keys of Shape, and input_size, hidden_size with layers (how many, by
    default 1) or hidden_sizes, directions (1 or 2, or a list with one a layer) and dtype.

    Raises:
      TypeError, ValueError: the file cannot be read or does not say what it should.
    """
    tables = config_toml.read(path)
    validation.known_keys(str(path), tables, ("case", "network", "bench", "train"))
    if "case" in tables:
        if "network" in tables or not isinstance(tables["case"], list):
            raise ValueError(f"{path} needs either [[case]] tables or a [network], not both")
        cases = tuple(_case(f"case {n} of {path}", t) for n, t in enumerate(tables["case"]))
        names = [case.name for case in cases]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{path} has several cases named {sorted(repeated)[0]!r}; rename one")
        return cases
    if "network" not in tables:
        raise ValueError(f"{path} lacks the table [network], or a list of [[case]] tables")
    config = config_toml.network(tables["network"])
    shape = config_toml.section("[bench]", Shape, tables.get("bench", {}))
    return (Case(path.stem, config, shape),)


@dataclasses.dataclass(frozen=True)
class _Network:
    input_size: int
    hidden_size: int = 0
    layers: int = 1
    hidden_sizes: tuple[int, ...] = ()
    directions: Any = 1
    dtype: str = "float32"


def _case(what: str, table: Any) -> Case:
    if not isinstance(table, dict):
        raise ValueError(f"{what} is {table!r}; expected a [[case]] table")
    table = dict(table)
    name = table.pop("name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{what} lacks a name; add a line 'name = \"...\"'")
    of_network = [field.name for field in dataclasses.fields(_Network)]
    of_shape = [field.name for field in dataclasses.fields(Shape)]
    validation.known_keys(what, table, (*of_network, *of_shape))
    network = config_toml.section(
        what, _Network, {k: v for k, v in table.items() if k in of_network}
    )
    shape = config_toml.section(what, Shape, {k: v for k, v in table.items() if k in of_shape})
    if bool(network.hidden_size) == bool(network.hidden_sizes):
        raise ValueError(f"{what} needs either hidden_size or hidden_sizes")
    sizes = list(network.hidden_sizes) or [network.hidden_size] * network.layers
    directions = network.directions
    each = directions if isinstance(directions, list) else [directions] * len(sizes)
    if len(each) != len(sizes) or any(d not in (1, 2) for d in each):
        raise ValueError(
            f"{what} has directions = {directions!r}; expected 1 or 2, or a list of them with one "
            f"for each of {len(sizes)} layers"
        )
    layers = tuple(Layer(h, bidirectional=d == 2) for h, d in zip(sizes, each, strict=True))
    return Case(name, Config(network.input_size, layers, dtype=network.dtype), shape)
