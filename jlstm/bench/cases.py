"""What is measured: networks and the shapes of their input."""

import dataclasses
import pathlib

from jlstm import config_toml, validation
from jlstm.config import Config


@dataclasses.dataclass(frozen=True)
class Shape:
    """The [bench] table of a config.

    Attributes:
      time_steps: steps T.
      batch_size: sequences B.
    """

    time_steps: int = 100
    batch_size: int = 32

    def __post_init__(self) -> None:
        validation.positive_int("time_steps", self.time_steps)
        validation.positive_int("batch_size", self.batch_size)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and a shape under a name."""

    name: str
    config: Config
    shape: Shape

    def flops(self, mode: str) -> int:
        """Floating-point operations of one call, in the input and recurrent products.

        A "training" step counts three times a "forward" pass: each product has two derivatives.
        """
        total = 0
        for layer, size in zip(self.config.layers, self.config.input_sizes, strict=True):
            directions = 2 if layer.bidirectional else 1
            total += directions * 2 * (size + layer.hidden_size) * 4 * layer.hidden_size
        passes = 3 if mode == "training" else 1
        return passes * total * self.shape.time_steps * self.shape.batch_size


def _plain(name: str, time_steps: int, batch_size: int, *sizes: int) -> Case:
    return Case(name, Config.stack(sizes[0], sizes[1:]), Shape(time_steps, batch_size))


QUICK = (
    _plain("tutorial, 4 and 5 units", 3, 2, 6, 4, 5),
    _plain("one sequence, 256 units", 150, 1, 256, 256),
    _plain("batch 32, 256 units", 100, 32, 128, 256),
)


def from_file(path: pathlib.Path) -> Case:
    """The case in a TOML file: its [network], and the shape in its [bench] if there is one."""
    tables = config_toml.read(path)
    validation.known_keys(str(path), tables, ("network", "bench", "train"))
    if "network" not in tables:
        raise ValueError(f"{path} lacks the table [network]")
    config = config_toml.network(tables["network"])
    shape = config_toml.section("[bench]", Shape, tables.get("bench", {}))
    return Case(path.stem, config, shape)
