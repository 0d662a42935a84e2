"""The layers of a serialised Keras model, nested models included, and how they are connected."""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from jlstm.interop.keras.parts import MODELS, Part

_DEEPEST = 16  # levels of nested models
_WRAPPERS = ("TimeDistributed", "SpectralNormalization")  # of Keras; .h5 files name no modules


class Leaf(NamedTuple):
    """A layer that is not a model.

    `name` is its path of names, such as "encoder/lstm". `below` is the position, in the list of all
    leaves, of the layer whose output it reads; None if it reads an input or if that is not known.
    `fed` says that another layer computes its initial state, and `sources` has a bit for the
    position of each layer that takes part in it. `repeated` says that the model applies it more
    than once. `within` names the custom model or wrapper that holds it, which may compute anything
    around it. `wrapper` is the kind of Keras's wrapper around it. `alias` is a second name for the
    layer.
    """

    name: str
    serialized: Any
    arrays: Callable[[], list[np.ndarray]]
    below: int | None = None
    fed: bool = False
    within: str = ""
    wrapper: str = ""
    repeated: bool = False
    sources: int = 0
    alias: str = ""


class Place(Protocol):
    """Where the arrays of a layer are: in a file or in a live object."""

    def arrays(self) -> list[np.ndarray]:
        """The arrays of the layer, in Keras's order."""
        ...

    def inside(self, layers: Sequence[Any]) -> "Sequence[Place]":
        """The places of a model's layers, whose serialised forms are `layers`."""
        ...

    def wrapped(self) -> "Place":
        """The place of the layer that a wrapper holds."""
        ...


def leaves(serialized: Any, place: Place) -> list[Leaf]:
    """All layers of a model, or of a single layer, lowest first.

    Raises:
      ValueError: the serialised form is not valid.
    """
    found: list[Leaf] = []
    _walk(serialized, place, None, False, "", (), found)
    return found


def _walk(
    serialized: Any,
    place: Place,
    below: int | None,
    fed: bool,
    within: str,
    path: tuple[str, ...],
    found: list[Leaf],
) -> int | None:
    """Adds the leaves of a layer. Returns the position of the leaf whose output is the layer's."""
    part = Part(serialized, [])
    if len(path) > _DEEPEST:
        raise ValueError(f"models are nested more than {_DEEPEST} deep, which Keras never writes")
    layers, inner = part.options.get("layers"), part.options.get("layer")
    if part.kind in MODELS and not isinstance(layers, list):
        raise ValueError(f"{part.name} is a {part.kind} without a list of layers")
    if isinstance(layers, list):
        own = (*path, part.name) if path else ("",)
        places = place.inside(layers)
        within = within or (f"the custom class {part.kind}" if part.custom else "")
        if part.kind == "Sequential" and not part.custom:
            for layer, its in zip(layers, places, strict=True):
                below = _walk(layer, its, below, False, within, own, found)
            return below
        graph = part.options if part.kind in MODELS and not part.custom else {}
        return _graph(graph, layers, places, below, within, own, found)
    name = "/".join(filter(None, (*path, part.name)))
    if isinstance(inner, dict) and part.kind != "Bidirectional":
        if part.custom or part.kind not in _WRAPPERS:
            within = within or f"the custom class {part.kind}"
        start = len(found)
        _walk(inner, place.wrapped(), None, False, within, (*path, part.name), found)
        if part.kind in _WRAPPERS:
            found[start:] = [leaf._replace(wrapper=part.kind) for leaf in found[start:]]
        return None
    if part.kind == "InputLayer":
        return below
    found.append(Leaf(name, serialized, place.arrays, below, fed, within))
    return len(found) - 1


def _graph(
    options: dict[str, Any],
    layers: list[Any],
    places: Sequence[Place],
    below: int | None,
    within: str,
    path: tuple[str, ...],
    found: list[Leaf],
) -> int | None:
    """As `_walk`, for a model whose layers say what they read. {} means that this is unknown."""
    inputs, outputs = (list(_tensors(options.get(f"{way}_layers"))) for way in ("input", "output"))
    made: dict[Any, int | None] = {}
    # Bits for the positions of all leaves below a layer, and its own. Sets would take much memory.
    taken: dict[Any, int] = {}
    for layer, place in zip(layers, places, strict=True):
        part = Part(layer, [])
        name = part.name
        nodes = layer.get("inbound_nodes") if options else None
        read = list(_tensors(nodes)) if isinstance(nodes, list) and len(nodes) == 1 else []
        own = made.get(read[0][0]) if read and read[0][1:] == (0, 0) else None
        if [name] == [first for first, *_ in inputs]:
            own = below
        start = len(found)
        output = _walk(layer, place, own, len(read) > 1, within, path, found)
        repeated = isinstance(nodes, list) and len(nodes) > 1
        made[name] = None if repeated else output
        before, state = (
            functools.reduce(operator.or_, (taken.get(tensor[0], 0) for tensor in tensors), 0)
            for tensors in (read, read[1:])
        )
        if isinstance(part.options.get("layers"), list):
            state = before  # any of the inputs of a nested model may be a state in it
        taken[name] = before | (1 << len(found)) - (1 << start)
        found[start:] = [
            leaf._replace(
                repeated=leaf.repeated or repeated,
                sources=leaf.sources | state if leaf.fed else leaf.sources,
            )
            for leaf in found[start:]
        ]
    known = len(inputs) == len(outputs) == 1 and outputs[0][1:] == (0, 0)
    return made.get(outputs[0][0]) if known else None


def _tensors(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """(layer, node, number) of each tensor in a call's arguments, except masks.

    Keras 3 writes {"keras_history": [layer, node, number]}; Keras 2 writes [layer, node, number,
    options].
    """
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [inner for name, inner in value.items() if name != "mask"][::-1]
        elif isinstance(value, (list, tuple)):
            if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int:
                yield value[0], value[1], value[2]
                value = value[3:]
            waiting += value[::-1]
