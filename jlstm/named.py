"""Parameters by name: as a file holds them, and from the nested dictionaries of a checkpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jlstm import quantized, validation
from jlstm.config import Config, require_config
from jlstm.dtypes import require_floating
from jlstm.params import Params, shaped


def named(params: Params) -> dict[str, Any]:
    """The parameters by their names in a file, such as "layers.0.w_x"."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def params_from_dict(config: Config, tree: Any) -> Params:
    """Params from a tree without named tuples, as a checkpoint gives it back.

    Orbax without a target, Flax's msgpack and pickled dictionaries give back such trees. Layers may
    be a list, or a dictionary with the keys "0", "1" and so on. Names may also be joined:
    {"layers.0.w_x": ...}. None and empty dictionaries stand for absent parameters. A matrix of
    `quantize` is a dictionary of its values and its scale.

    For a stacked ensemble, use jax.vmap(functools.partial(jlstm.params_from_dict, config))(tree).

    Args:
      config: the network that the parameters belong to.
      tree: the nested dictionaries, lists and tuples, with arrays as leaves.

    Returns:
      Params that hold the same arrays: layers[0].w_x is [I, 4H].

    Raises:
      TypeError: tree is no dictionary, or a leaf is no array of floating-point numbers.
      ValueError: a parameter is missing, superfluous, or has another shape than config says.

    >>> from jlstm.params import init
    >>> config = Config.stack(6, [4])
    >>> layer = init(jax.random.key(0), config).layers[0]
    >>> tree = {"layers": {"0": {"w_x": layer.w_x, "w_h": layer.w_h, "b": layer.b}}}
    >>> params_from_dict(config, tree).layers[0].w_x.shape
    (6, 16)
    """
    require_config(config)
    if not isinstance(tree, (Mapping, Params)):
        raise TypeError(
            f'tree is {type(tree).__name__}; expected a dictionary with the key "layers", as a '
            "checkpoint holds it"
        )
    found: dict[str, Any] = {}
    for name, leaf in _leaves("", tree):
        if name in found:
            raise ValueError(f"the tree holds {name} twice, under keys that read the same")
        found[name] = leaf
    expected = named(shapes := quantized.where_found(shaped(config), found))
    if differs := validation.difference(found, expected):
        raise ValueError(
            f"the tree does not hold the parameters of the config; {differs}"
            f"{_place(found.keys() - expected)}"
        )
    for name, wanted in expected.items():
        shape = np.shape(found[name])
        if shape != wanted.shape:
            raise ValueError(
                f"{name} has shape {shape}, but the config needs {wanted.shape}; the tree belongs "
                "to another config, or to an ensemble: convert that within jax.vmap"
            )
        if wanted.dtype != "int8":
            require_floating(name, found[name].dtype)
        elif found[name].dtype != "int8":
            raise TypeError(f"{name} has dtype {found[name].dtype}; expected int8")
    leaves = [found[name] for name in expected]
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _leaves(name: str, tree: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of nested dictionaries, lists and tuples, by their names joined with dots."""
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, (list, tuple)):
        tree = dict(enumerate(tree))
    if isinstance(tree, Mapping):
        for key, part in tree.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), part)
    elif tree is not None:
        if not hasattr(tree, "dtype"):
            raise TypeError(f"{name} is {type(tree).__name__} {tree!r:.60}; expected an array")
        yield name, tree


def _place(surplus: Any) -> str:
    """A hint if the parameters are deeper in the tree."""
    for name in sorted(surplus):
        above, found, _ = name.partition(".layers.")
        if found:
            keys = "".join(f"[{key!r}]" for key in above.split("."))
            return f". The parameters seem to be deeper in the tree: pass tree{keys}"
    return ""
