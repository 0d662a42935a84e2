"""Which parameters an optimiser's weight decay applies to."""

from typing import Any, TypeVar

import jax

from jlstm.convolution import ConvParams
from jlstm.params import MATRICES, LayerParams, Params, hint

_T = TypeVar("_T", Params, LayerParams, ConvParams)


def decay_mask(params: _T) -> _T:
    """True for each matrix among the parameters, False for the others.

    Matrices are w_x, w_h, the projection and the weights of a highway. Biases, peepholes, scales
    and shifts of layer normalisations, and learned initial carries are not. The number of axes does
    not tell them apart: a bias of two directions is [2, 4H], peepholes are [3, H], and the
    parameters of an ensemble have one more axis. The names of the fields do.

    Pass it to optax: optax.adamw(1e-3, weight_decay=1e-2, mask=jlstm.decay_mask). In a larger tree,
    call it on the part that is a network.

    Args:
      params: Params, LayerParams or ConvParams. Leaves may be anything, such as arrays of
        gradients; they are not read.

    Returns:
      A tree like `params` with a bool in place of each leaf.

    Raises:
      TypeError: params is something else.

    >>> from jlstm.config import Config
    >>> from jlstm.params import init
    >>> params = init(jax.random.key(0), Config.stack(6, [4], bidirectional=True))
    >>> mask = decay_mask(params).layers[0]
    >>> mask.w_x, mask.w_h, mask.b
    (True, True, False)
    """
    if not isinstance(params, (Params, LayerParams, ConvParams)):
        raise TypeError(
            f"params is {type(params).__name__}; expected Params, as init(key, config) returns. "
            "For a larger tree, put the mask together: "
            'lambda tree: {"lstm": jlstm.decay_mask(tree["lstm"]), "head": ...}'
            f"{hint(params)}"
        )

    def is_matrix(path: Any, _: Any) -> bool:
        return any(getattr(key, "name", None) in MATRICES for key in path)

    return jax.tree_util.tree_map_with_path(is_matrix, params)
