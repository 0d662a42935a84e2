"""The configuration of a network: its layers and dtypes, as a frozen, hashable value."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jax.core import Tracer

from jlstm import validation
from jlstm.dtypes import dtype_name
from jlstm.layer import Layer, require_joinable

DTYPES = ("float32", "bfloat16", "float64")
INITIALIZERS = ("keras", "torch", "flax", "haiku")


@dataclasses.dataclass(frozen=True)
class Config:
    """A stack of LSTM layers, each of which reads the outputs of the layer below it.

    Attributes:
      input_size: features I of the input.
      layers: the layers, lowest first; at least one.
      dtype: name of the dtype of the outputs, and of the operands of products: inputs and weights
        are rounded to it before they are multiplied. "float32", "bfloat16" or "float64" (which
        needs jax_enable_x64). With "bfloat16", products accumulate in float32, and the carry and
        the gates stay in float32. If a dtype such as jnp.bfloat16 is passed, the config holds its
        name.
      param_dtype: the same for the parameters.
      initializer: "keras", "torch", "flax", "haiku", or a function (key, shape, dtype) -> array
        for w_x and w_h, such as those in jax.nn.initializers.
      learn_initial_carry: make the initial carry a parameter. It starts at zero.

    Raises:
      TypeError, ValueError: a value has the wrong type or is not known, or sizes do not fit.

    >>> Config(6, (Layer(4), Layer(5))) == Config.stack(6, [4, 5])
    True
    """

    input_size: int
    layers: tuple[Layer, ...]
    _: dataclasses.KW_ONLY
    dtype: str = "float32"
    param_dtype: str = "float32"
    initializer: str | Callable[..., Any] = "keras"
    learn_initial_carry: bool = False

    def __post_init__(self) -> None:
        size = validation.size("input_size", self.input_size)
        object.__setattr__(self, "input_size", size)
        object.__setattr__(self, "layers", _layers(self.layers))
        for name in ("dtype", "param_dtype"):
            dtype = dtype_name(getattr(self, name))
            object.__setattr__(self, name, validation.known_name(name, dtype, DTYPES))
        if not callable(self.initializer):
            validation.known_name("initializer", self.initializer, INITIALIZERS)
        validation.boolean("learn_initial_carry", self.learn_initial_carry)
        for n, (layer, size) in enumerate(zip(self.layers, self.input_sizes, strict=True)):
            require_joinable(f"layer {n}", layer, size)
            if layer.merge == "none" and n + 1 < len(self.layers):
                raise ValueError(
                    f"layer {n} has merge='none', which keeps two outputs apart, but the layer "
                    "above it reads one; use merge='none' in the last layer only"
                )
        if self.layers[0].skip:
            raise ValueError(
                "layer 0 has skip=True, but it reads the network's input already; set skip on "
                "the layers above it only"
            )

    @classmethod
    def stack(cls, input_size: int, hidden_sizes: Sequence[int], **layer_options: Any) -> "Config":
        """A config whose layers differ in size only; `layer_options` are options of Layer.

        For options of the whole network write Config(6, (Layer(4), Layer(5)), dtype="bfloat16").

        >>> Config.stack(6, [4, 5], residual=False).output_size
        5
        """
        known = [field.name for field in dataclasses.fields(Layer) if field.name != "hidden_size"]
        for name in layer_options:
            if name in {field.name for field in dataclasses.fields(cls)}:
                raise ValueError(
                    f"{name!r} is an option of the whole network, not of a layer; write "
                    f"dataclasses.replace(Config.stack(...), {name}=...)"
                )
        validation.known_keys("Layer", layer_options, known)
        hidden_sizes = getattr(hidden_sizes, "tolist", lambda: hidden_sizes)()  # arrays have it
        if isinstance(hidden_sizes, (str, int)) or not isinstance(hidden_sizes, Sequence):
            raise TypeError(
                f"hidden_sizes is {hidden_sizes!r}; expected a list with one size a layer, such "
                "as [4, 5]"
            )
        return cls(input_size, tuple(Layer(size, **layer_options) for size in hidden_sizes))

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Input features of each layer."""
        above = zip(self.layers, self.layers[1:], strict=False)
        return (
            self.input_size,
            *(low.output_size + self.input_size * high.skip for low, high in above),
        )

    @property
    def output_size(self) -> int:
        """Output features of the last layer."""
        return self.layers[-1].output_size


def _layers(layers: Any) -> tuple[Layer, ...]:
    if isinstance(layers, Layer) or not isinstance(layers, Sequence):
        raise TypeError(f"layers is {layers!r}; expected a tuple of Layer, such as (Layer(4),)")
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"layers holds {layer!r}; expected Layer objects such as Layer(4)")
    if not layers:
        raise ValueError("layers is empty; expected at least one layer")
    return tuple(layers)


def require_config(value: Any) -> None:
    """Raises TypeError unless `value` is a Config."""
    if isinstance(value, Tracer):
        raise TypeError(
            "config is a traced argument of jax.jit; expected a static value: close over it, or "
            "pass static_argnums to jax.jit"
        )
    if not isinstance(value, Config):
        text = repr(value)
        raise TypeError(
            f"config is {type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}; "
            "expected a Config such as Config.stack(6, [4, 5])"
        )
