"""Activation functions by name. A name may include constants: "leaky_relu(0.1)"."""

import functools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jlstm import validation

Activation = str | Callable[[jax.Array], jax.Array]


class _Named(NamedTuple):
    """A function of an array and constants, and the default constants."""

    function: Callable[..., Any]
    constants: tuple[float, ...] = ()


def _hard_sigmoid(x: jax.Array, slope: float, shift: float) -> jax.Array:
    return jnp.clip(x * slope + shift, 0, 1)


def _thresholded_relu(x: jax.Array, threshold: float) -> jax.Array:
    return jnp.where(x > threshold, x, jnp.zeros((), x.dtype))


_NAMED = {
    "affine": _Named(lambda x, slope, shift: slope * x + shift, (1.0, 0.0)),
    "elu": _Named(jax.nn.elu, (1.0,)),
    "exponential": _Named(jnp.exp),
    "gelu": _Named(lambda x: jax.nn.gelu(x, approximate=False)),
    "hard_sigmoid": _Named(_hard_sigmoid, (1 / 6, 0.5)),
    "leaky_relu": _Named(jax.nn.leaky_relu, (0.01,)),
    "linear": _Named(lambda x: x),
    "relu": _Named(jax.nn.relu),
    "scaled_tanh": _Named(lambda x, height, slope: height * jnp.tanh(slope * x), (1.7159, 2 / 3)),
    "selu": _Named(jax.nn.selu),
    "sigmoid": _Named(jax.nn.sigmoid),
    "silu": _Named(jax.nn.silu),
    "softplus": _Named(jax.nn.softplus),
    "softsign": _Named(jax.nn.soft_sign),
    "tanh": _Named(jnp.tanh),
    "thresholded_relu": _Named(_thresholded_relu, (1.0,)),
}
NAMES = tuple(_NAMED)


def check(what: str, activation: Activation) -> None:
    """Raises TypeError or ValueError unless the option `what` holds an activation.

    An activation is a known name, or a hashable function that keeps the shape of its argument.
    """
    if callable(activation):
        _check_function(what, activation)
        return
    if not isinstance(activation, str):
        raise TypeError(f"{what} is {activation!r}; expected a name, one of {NAMES}, or a function")
    try:
        function(activation)
    except ValueError as error:
        raise ValueError(str(error).replace("activation", what, 1)) from None


def function(activation: Activation) -> Callable[[jax.Array], jax.Array]:
    """The function with the name `activation`; a function is returned as it is.

    A name may be followed by constants in parentheses, such as "elu(0.5)". The defaults are:

    - affine(1, 0): slope and shift
    - elu(1)
    - hard_sigmoid(1/6, 0.5): slope and shift, as in Keras 3, torch and JAX. TensorFlow and ONNX use
      hard_sigmoid(0.2, 0.5).
    - leaky_relu(0.01)
    - scaled_tanh(1.7159, 2/3): height and slope
    - thresholded_relu(1)

    Raises:
      TypeError, ValueError: `activation` is neither a name nor a function, the name is not known,
        or the number of constants is wrong.

    >>> function("hard_sigmoid(0.2, 0.5)")(jnp.array([-9.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 0.699999988079071]
    """
    return activation if callable(activation) else _parsed(activation)


def name_of(own: Callable[[jax.Array], jax.Array]) -> str | None:
    """The name for which `function` returns the function `own`, or None.

    >>> name_of(function("elu")), name_of(function("elu(0.5)")), name_of(jnp.cos)
    ('elu', 'elu(0.5)', None)
    """
    base, constants = own, ()
    if isinstance(own, functools.partial) and own.func is _with_constants:
        base, constants = own.args
    for name, known in _NAMED.items():
        if base is known.function and constants == known.constants:
            return name
        if base is known.function and constants:
            return f"{name}({', '.join(map(_text, constants))})"
    return None


def _check_function(what: str, activation: Callable[[jax.Array], jax.Array]) -> None:
    try:
        hash(activation)
    except TypeError:
        raise TypeError(
            f"{what} is a {type(activation).__name__}, which cannot be hashed; compiled programs "
            "are cached by the hash of their options: wrap it in a function"
        ) from None
    try:
        made = jax.eval_shape(activation, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    except Exception as error:
        raise TypeError(
            f"{what} is a function that JAX cannot trace for an array [2, 3]: "
            f"{str(error).splitlines()[0]} Write the function with jax.numpy"
        ) from error
    if getattr(made, "shape", None) != (2, 3):
        raise ValueError(
            f"{what} returns {made} for an array [2, 3]; expected an elementwise function, which "
            "returns an array of the same shape"
        )


@functools.cache
def _parsed(text: str) -> Callable[[jax.Array], jax.Array]:
    found = re.fullmatch(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*", text)
    name = found.group(1) if found else text
    validation.known_name("activation", name, NAMES)
    function, constants = _NAMED[name]
    if found and (found.group(2) or "").strip():
        given = [_number(text, part) for part in found.group(2).split(",")]
        if len(given) != len(constants):
            raise ValueError(
                f"activation {text!r} has {len(given)} constants; expected "
                f"{len(constants) or 'none'} for {name}"
            )
        constants = tuple(given)
    return functools.partial(_with_constants, function, constants) if constants else function


def _with_constants(
    function: Callable[..., Any], constants: tuple[float, ...], x: jax.Array
) -> jax.Array:
    return function(x, *constants)


def _text(number: float) -> str:
    """The shortest text that `float` reads as `number`."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _number(text: str, part: str) -> float:
    try:
        number = float(part)
    except ValueError:
        number = math.nan
    if not abs(number) <= validation.LARGEST_FLOAT:
        raise ValueError(
            f"activation {text!r}: {part.strip()!r} is not a finite number in float32; "
            "expected constants as in 'hard_sigmoid(0.2, 0.5)'"
        )
    return number
