"""How large a network and a run of it are, and whether this machine has memory for them."""

import os

from jlstm.config import Config


def weights(config: Config) -> int:
    """The number of elements in the matrices of the gates.

    >>> weights(Config.stack(6, [4]))
    160
    """
    total = 0
    for layer, size in zip(config.layers, config.input_sizes, strict=True):
        directions = 2 if layer.bidirectional else 1
        total += directions * (size + layer.state_size) * 4 * layer.hidden_size
    return total


def require_memory(what: str, size: int) -> None:
    """ValueError if `size` bytes are more than the memory of this machine.

    The system may grant more than it has, and then end the process without a word.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not every system tells
        return
    if size > memory > 0:
        raise ValueError(
            f"{what} needs at least {size / 1e9:,.0f} GB of memory, but this machine has "
            f"{memory / 1e9:,.0f} GB; choose smaller sizes"
        )
