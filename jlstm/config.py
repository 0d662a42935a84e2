"""What a network is: sizes, directions and number formats, as frozen, hashable values."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from jlstm import validation

MERGES = ("concat", "sum", "mul", "average")
DTYPES = ("float32", "bfloat16", "float64")
INITIALIZERS = ("keras", "torch", "flax", "haiku")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One LSTM layer of a stack.

    Attributes:
      hidden_size: units H of each direction, at least 1.
      bidirectional: run a second set of units backwards in time beside the first.
      merge: how the outputs of the two directions join: "concat" (size 2H), or elementwise
        "sum", "mul", "average" (size H). Only for bidirectional layers.
      reverse: run backwards in time; outputs keep the order of the inputs.
      bias: add a bias to the gate pre-activations.
      forget_bias: added to the forget part of the bias when parameters are initialised, and
        nowhere else. Without a bias there is nothing to add it to.
      residual: add the layer's input to its output; both must have one size.
      dropout: the fraction of the layer's input that is zeroed, the rest being scaled up by
        1/(1-dropout), in calls that are given a random key; at least 0, below 1.

    Raises:
      TypeError, ValueError: a value of the wrong type, out of range, or without effect.

    >>> Layer(4).output_size, Layer(4, bidirectional=True).output_size
    (4, 8)
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    bidirectional: bool = False
    merge: str = "concat"
    reverse: bool = False
    bias: bool = True
    forget_bias: float = 1.0
    residual: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        keep("hidden_size", validation.positive_int("hidden_size", self.hidden_size))
        for name in ("bidirectional", "reverse", "bias", "residual"):
            validation.boolean(name, getattr(self, name))
        validation.known_name("merge", self.merge, MERGES)
        keep("forget_bias", validation.number("forget_bias", self.forget_bias))
        keep("dropout", validation.number("dropout", self.dropout, low=0.0, below=1.0))
        if self.merge != "concat" and not self.bidirectional:
            raise ValueError(
                f"merge is {self.merge!r}, but there is one direction and nothing to merge; "
                "set bidirectional=True or leave merge out"
            )
        if self.reverse and self.bidirectional:
            raise ValueError(
                "reverse=True with bidirectional=True; a bidirectional layer already runs both "
                "ways: leave one of the two out"
            )
        if not self.bias and self.forget_bias not in (0.0, 1.0):
            raise ValueError(
                f"forget_bias is {self.forget_bias:g}, but bias=False leaves no bias to add it "
                "to; set bias=True or leave forget_bias out"
            )

    @property
    def output_size(self) -> int:
        """Features of the layer's output: H, or 2H for two concatenated directions."""
        both = self.bidirectional and self.merge == "concat"
        return 2 * self.hidden_size if both else self.hidden_size

    @property
    def streams(self) -> bool:
        """Whether the layer can run one step at a time, first to last."""
        return not (self.bidirectional or self.reverse)


@dataclasses.dataclass(frozen=True)
class Config:
    """A stack of LSTM layers, each reading the outputs of the one below.

    Attributes:
      input_size: features I of the input.
      layers: the layers, lowest first; at least one.
      dtype: what inputs and weights are rounded to before they are multiplied, and the dtype of
        the outputs: "float32", "bfloat16" or "float64" (which needs jax_enable_x64). With
        "bfloat16", products accumulate, and the carry and the gates stay, in float32.
      param_dtype: what parameters are stored in; the same three names.
      initializer: "keras", "torch", "flax", "haiku", or a function (key, shape, dtype) -> array
        that makes w_x and w_h, as those in jax.nn.initializers do.
      learn_initial_carry: make the initial carry a parameter, starting from zeros.

    Raises:
      TypeError, ValueError: a value of the wrong type, unknown, or sizes that do not fit.

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
        size = validation.positive_int("input_size", self.input_size)
        object.__setattr__(self, "input_size", size)
        object.__setattr__(self, "layers", _layers(self.layers))
        validation.known_name("dtype", self.dtype, DTYPES)
        validation.known_name("param_dtype", self.param_dtype, DTYPES)
        if not callable(self.initializer):
            validation.known_name("initializer", self.initializer, INITIALIZERS)
        validation.boolean("learn_initial_carry", self.learn_initial_carry)
        for n, (layer, size) in enumerate(zip(self.layers, self.input_sizes, strict=True)):
            if layer.residual and layer.output_size != size:
                raise ValueError(
                    f"layer {n} has residual=True, but {size} inputs and {layer.output_size} "
                    "outputs, which cannot be added; make the two sizes equal"
                )

    @classmethod
    def stack(cls, input_size: int, hidden_sizes: Sequence[int], **layer_options: Any) -> "Config":
        """A stack of layers that differ in size only; `layer_options` are those of Layer.

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
        if isinstance(hidden_sizes, (str, int)) or not isinstance(hidden_sizes, Sequence):
            raise TypeError(
                f"hidden_sizes is {hidden_sizes!r}; expected a list with one size a layer: [4, 5]"
            )
        return cls(input_size, tuple(Layer(size, **layer_options) for size in hidden_sizes))

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Input features of each layer."""
        return (self.input_size, *(layer.output_size for layer in self.layers[:-1]))

    @property
    def output_size(self) -> int:
        """Output features of the last layer."""
        return self.layers[-1].output_size


def _layers(layers: Any) -> tuple[Layer, ...]:
    if isinstance(layers, Layer) or not isinstance(layers, Sequence):
        raise TypeError(f"layers is {layers!r}; expected a tuple of Layer: (Layer(4), Layer(5))")
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(f"layers holds {layer!r}; expected Layer objects such as Layer(4)")
    if not layers:
        raise ValueError("layers is empty; a network has at least one layer")
    return tuple(layers)


def require_config(value: Any) -> None:
    """TypeError unless `value` is a Config."""
    if not isinstance(value, Config):
        text = repr(value)
        raise TypeError(
            f"config is {type(value).__name__} {text if len(text) < 60 else text[:57] + '...'}; "
            "expected a Config such as Config.stack(6, [4, 5])"
        )
