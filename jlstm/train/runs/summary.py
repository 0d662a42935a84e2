"""What a model consists of: its arrays, their shapes, and how many parameters they have."""

import math
from typing import Any, NamedTuple

from jlstm.train.runs import fingerprints


class Part(NamedTuple):
    """An array of a model.

    Attributes:
      name: its path, such as "network.layers.0.w_x".
      shape: its shape.
      dtype: its dtype.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def parameters(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)


def parts(model: Any) -> list[Part]:
    """The arrays of a pytree of arrays, or of ShapeDtypeStructs.

    >>> import jax, jlstm
    >>> params = jlstm.init(jax.random.key(0), jlstm.Config.stack(6, [4]))
    >>> sum(part.parameters for part in parts(params))
    176
    """
    return [Part(n, tuple(shape), dtype) for n, (dtype, shape) in fingerprints.form(model).items()]


def table(model: Any) -> Any:
    """A rich table of `parts`, with the total. Print it by a rich Console."""
    from rich.table import Table

    found = parts(model)
    total = sum(part.parameters for part in found)
    made = Table(show_footer=True, box=None, pad_edge=False)
    made.add_column("part", "total")
    made.add_column("shape", justify="right")
    made.add_column("dtype")
    made.add_column("parameters", f"{total:,}", justify="right")
    for part in found:
        shape = " x ".join(map(str, part.shape)) or "-"
        made.add_row(part.name, shape, part.dtype, f"{part.parameters:,}")
    return made
