"""The cases of a benchmark: networks, shapes of their input, and modes."""

import collections
import dataclasses
import pathlib
from typing import Any

from jlstm import sizes, validation
from jlstm.config import Config, Layer
from jlstm.files import config_toml

MODES = ("forward", "training", "step", "compile")
# A saved network may have some 1500 layers. The layers of all cases of a suite are built at once.
MOST_LAYERS, _MOST_IN_SUITE = 1500, 5000
# Tables of a config that `jlstm train` reads.
_OF_TRAINING = ("data", "task", "optimizer", "train", "mesh")
# With fewer operations than this, dispatch is a large part of a call, so a null call is timed too.
SMALL = 100_000_000
_LONGEST_NAME = 100  # characters
QUICK = pathlib.Path(__file__).with_name("quick.toml")


@dataclasses.dataclass(frozen=True)
class Shape:
    """The shape of a network's input, and the modes; the [bench] table of a config.

    Attributes:
      time_steps: number of steps, T.
      batch_size: number of sequences, B.
      shortest: length of the shortest sequence as a fraction of T. Lengths are spread evenly from
        there to T. With 1, all sequences have T steps and no lengths are passed.
      resets: fraction of all steps at which the carry is reset. With 0, no resets are passed.
      modes: the modes to time. "forward"; "training": value and gradients with respect to
        parameters and input; "step": one step per call, passing the carry on; "compile": lowering
        and compiling a training step.
    """

    time_steps: int = 100
    batch_size: int = 32
    shortest: float = 1.0
    resets: float = 0.0
    modes: tuple[str, ...] = ("forward", "training")

    def __post_init__(self) -> None:
        validation.size("time_steps", self.time_steps)
        validation.size("batch_size", self.batch_size)
        validation.number("shortest", self.shortest, low=0.0)
        if self.shortest > 1:
            raise ValueError(f"shortest is {self.shortest:g}; expected a fraction of T, at most 1")
        validation.number("resets", self.resets, low=0.0, below=1.0)
        if isinstance(self.modes, str) or not self.modes:
            raise ValueError(f"modes is {self.modes!r}; expected a list of {', '.join(MODES)}")
        for mode in self.modes:
            validation.known_name("modes", mode, MODES)
        object.__setattr__(self, "modes", tuple(self.modes))
        if "step" in self.modes and (self.shortest < 1 or self.resets > 0):
            raise ValueError(
                'mode "step" supports neither lengths nor resets; put it into a separate case'
            )


@dataclasses.dataclass(frozen=True)
class Case:
    """A named network with the shape of its input."""

    name: str
    config: Config
    shape: Shape

    def flops(self, mode: str) -> int:
        """Floating-point operations of one call, in its input and recurrent products.

        A "training" step counts as three "forward" passes, because each product has two
        derivatives. Padding counts, because most frameworks compute it.
        """
        cells = self.shape.batch_size * (1 if mode == "step" else self.shape.time_steps)
        return (3 if mode == "training" else 1) * 2 * sizes.weights(self.config) * cells

    def bytes_moved(self, mode: str) -> int:
        """The smallest possible memory traffic of one call: weights, input and outputs, once each.

        A "training" step also reads them again and writes gradients of the same size.
        """
        cells = self.shape.batch_size * (1 if mode == "step" else self.shape.time_steps)
        features = self.config.input_size + self.config.output_size
        numbers = sizes.weights(self.config) + cells * features
        itemsize = {"bfloat16": 2, "float32": 4, "float64": 8}[self.config.dtype]
        return (3 if mode == "training" else 1) * itemsize * numbers


def from_file(path: pathlib.Path) -> tuple[Case, ...]:
    """The cases in a TOML file: its [[case]] tables, or its [network] and [bench] tables.

    A [[case]] has a name, the fields of Shape, and these keys: input_size; either hidden_size and
    layers (their number, 1 by default) or hidden_sizes; directions (1 or 2, or a list with one per
    layer); and dtype.

    Raises:
      TypeError, ValueError: the file cannot be read, or a table or value is missing or wrong.
    """
    tables = config_toml.read(path)
    with validation.plain_errors(path):
        return _cases(path, tables)


def _cases(path: pathlib.Path, tables: dict[str, Any]) -> tuple[Case, ...]:
    validation.known_keys(str(path), tables, ("case", "network", "bench", *_OF_TRAINING))
    if "case" in tables:
        if "network" in tables:
            raise ValueError(f"{path} needs either [[case]] tables or a [network], not both")
        if not isinstance(tables["case"], list) or not tables["case"]:
            raise ValueError(
                f"{path}: case is {validation.shown(tables['case'])}; expected at least one "
                "[[case]] table"
            )
        cases, layers = [], 0
        for n, table in enumerate(tables["case"]):
            cases.append(case := _case(f"case {n} of {path}", table))
            layers += len(case.config.layers)
            if layers > _MOST_IN_SUITE:
                raise ValueError(
                    f"{path}: the cases up to {n} have {layers:,} layers together; expected at "
                    f"most {_MOST_IN_SUITE:,}: divide the suite into several files"
                )
        counts = collections.Counter(case.name for case in cases)
        if repeated := sorted(name for name, count in counts.items() if count > 1):
            raise ValueError(f"{path} has several cases named {repeated[0]!r}; rename one")
        return tuple(cases)
    if "network" not in tables:
        raise ValueError(f"{path} lacks the table [network]; add it, or a list of [[case]] tables")
    config = config_toml.network(tables["network"])
    shape = config_toml.section("[bench]", Shape, tables.get("bench", {}))
    return (Case(validation.fitting(path.stem), config, shape),)


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
        raise ValueError(f"{what} is {validation.shown(table)}; expected a [[case]] table")
    table = dict(table)
    name = table.pop("name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{what} lacks a name; add a line 'name = \"...\"'")
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(
            f"{what} has the name {validation.shown(name)}; expected at most {_LONGEST_NAME} "
            "characters, all of them printable"
        )
    of_network = [field.name for field in dataclasses.fields(_Network)]
    of_shape = [field.name for field in dataclasses.fields(Shape)]
    validation.known_keys(what, table, (*of_network, *of_shape))
    network = config_toml.section(
        what, _Network, {k: v for k, v in table.items() if k in of_network}
    )
    shape = config_toml.section(what, Shape, {k: v for k, v in table.items() if k in of_shape})
    if bool(network.hidden_size) == bool(network.hidden_sizes):
        raise ValueError(f"{what} needs either hidden_size or hidden_sizes")
    layers = validation.positive_int(f"{what}: layers", network.layers)
    if not isinstance(network.hidden_sizes, (list, tuple)):
        raise ValueError(
            f"{what} has hidden_sizes = {validation.shown(network.hidden_sizes)}; expected a list "
            "with one size a layer, such as [4, 5]"
        )
    if max(layers, len(network.hidden_sizes)) > MOST_LAYERS:
        raise ValueError(f"{what} has more than {MOST_LAYERS} layers; choose fewer")
    hidden = list(network.hidden_sizes) or [network.hidden_size] * layers
    directions = network.directions
    each = directions if isinstance(directions, list) else [directions] * len(hidden)
    if len(each) != len(hidden) or any(d not in (1, 2) for d in each):
        raise ValueError(
            f"{what} has directions = {validation.shown(directions)}; expected 1 or 2, or a list "
            f"with one of them for each of the {len(hidden)} layers"
        )
    layers = tuple(Layer(h, bidirectional=d == 2) for h, d in zip(hidden, each, strict=True))
    return Case(name, Config(network.input_size, layers, dtype=network.dtype), shape)
