"""The options of one layer: its sizes, its direction, and its LSTM variant."""

import dataclasses

from jlstm import activations, validation
from jlstm.activations import Activation

MERGES = ("concat", "sum", "mul", "average", "none")
COUPLINGS = ("input", "forget")
# Forms of layer_norm, and the epsilon of each in TensorFlow's contrib.layers, haste and PyTorch.
NORMS = {"gates_and_cell": 1e-12, "products_and_output": 1e-5, "products_and_cell": 1e-5}
DROPPED = ("h", "candidate")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One LSTM layer of a stack. `jlstm.cell` has the equations and their sources.

    Attributes:
      hidden_size: units H of each direction, at least 1.
      projection_size: features P of the hidden state, if the units' outputs are projected (LSTMP).
        By default there is no projection, and P = H.
      bidirectional: run a second set of units backward in time beside the first.
      merge: how to combine the outputs of the two directions: "concat" (size 2P); elementwise
        "sum", "mul" or "average" (size P); or "none", which keeps them apart as [..., 2, P] and is
        for the last layer of a stack only.
      reverse: run backward in time. The outputs keep the time order of the inputs.
      bias: add a bias to the gate pre-activations.
      forget_bias: constant that `init` adds to the forget part of the bias. It is used nowhere
        else. With bias=False or coupled_gates="forget", values other than 0 and 1 raise ValueError.
      peepholes: let i and f depend on the cell state before the step, and o on the one after it.
      coupled_gates: "input" sets i = 1 - f, "forget" sets f = 1 - i. The columns of the gate that
        is computed from the other stay in w_x, w_h and b, but have no effect.
      layer_norm: what to normalise. "gates_and_cell": each gate's pre-activation, and the carried
        cell state, as TensorFlow does. "products_and_cell": the product with the input, the
        product with the hidden state, and the carried cell state, as PyTorch's fastrnns does.
        "products_and_output": both products, without a shift, and the cell state that the output
        reads, while the carried cell state is not normalised, as haste does.
      layer_norm_epsilon: number that layer_norm adds to each variance, at least 1e-30. By default
        it is that of the frameworks above: 1e-12 for "gates_and_cell", otherwise 1e-5.
      activation: activation function of the candidate: a name of `jlstm.activations`, or a function
        from an array to an array of the same shape. The function's derivative must be finite
        everywhere: padded steps are computed too, from zeros, before their results are discarded.
        It must not close over differentiated values. Define it once: every new function object
        recompiles.
      recurrent_activation: activation function of the gates: a name or a function, as above.
      cell_activation: activation function of the cell state that the output reads, as above.
      gate_clip: bound on the pre-activations of the gates and the candidate, as in ONNX Runtime.
      cell_clip: bound on the new cell state, as in TensorFlow.
      projection_clip: bound on the projected hidden state.
      residual: add the layer's input, after dropout, to its output. Both must have the same size.
      highway: mix the layer's input into its output by a learned gate (Srivastava et al., 2015).
      skip: read the network's input in addition to the outputs of the layer below (Graves, 2013).
      dropout: fraction of the layer's input to zero, at least 0 and below 1. The rest is scaled by
        1/(1-dropout). Only calls with a random key drop anything. The same range and the same rule
        hold for recurrent_dropout and weight_dropout.
      recurrent_dropout: fraction of the hidden state, or of the candidate, to drop at each step.
      recurrent_dropout_on: what recurrent_dropout drops: "h", the hidden state that a step reads,
        or "candidate" (Semeniuta et al., 2016).
      held_masks: draw the masks of dropout and recurrent_dropout once per sequence and use them at
        every step (Gal & Ghahramani, 2016), instead of drawing new ones at each step.
      weight_dropout: fraction of w_h to drop, drawn once per sequence (DropConnect in AWD-LSTM).
      zoneout_c, zoneout_h: probability that a unit keeps its cell state, or its hidden state, from
        the step before (Krueger et al., 2017). Without a key, the old and the new state are
        averaged, with this weight on the old one.

    Raises:
      TypeError, ValueError: a value has the wrong type, is out of range, or has no effect.

    >>> Layer(4).output_size, Layer(4, bidirectional=True, projection_size=3).output_size
    (4, 6)
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    projection_size: int | None = None
    bidirectional: bool = False
    merge: str = "concat"
    reverse: bool = False
    bias: bool = True
    forget_bias: float = 1.0
    peepholes: bool = False
    coupled_gates: str | None = None
    layer_norm: str | None = None
    layer_norm_epsilon: float | None = None
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    cell_activation: Activation = "tanh"
    gate_clip: float | None = None
    cell_clip: float | None = None
    projection_clip: float | None = None
    residual: bool = False
    highway: bool = False
    skip: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    recurrent_dropout_on: str = "h"
    held_masks: bool = False
    weight_dropout: float = 0.0
    zoneout_c: float = 0.0
    zoneout_h: float = 0.0

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        keep("hidden_size", validation.size("hidden_size", self.hidden_size))
        if self.projection_size is not None:
            size = validation.size("projection_size", self.projection_size)
            keep("projection_size", size)
        flags = ("bidirectional", "reverse", "bias", "peepholes", "residual", "highway", "skip")
        for name in (*flags, "held_masks"):
            keep(name, validation.boolean(name, getattr(self, name)))
        validation.known_name("merge", self.merge, MERGES)
        validation.known_name("recurrent_dropout_on", self.recurrent_dropout_on, DROPPED)
        for name, known in (("coupled_gates", COUPLINGS), ("layer_norm", NORMS)):
            if getattr(self, name) is not None:
                validation.known_name(name, getattr(self, name), known)
        for name in ("activation", "recurrent_activation", "cell_activation"):
            activations.check(name, getattr(self, name))
        keep("forget_bias", validation.single("forget_bias", self.forget_bias))
        for name in ("gate_clip", "cell_clip", "projection_clip"):
            if getattr(self, name) is not None:
                keep(name, validation.single(name, getattr(self, name), above=0.0))
        if self.layer_norm_epsilon is not None:
            # Far below, float32 divides by zero.
            epsilon = validation.single("layer_norm_epsilon", self.layer_norm_epsilon, low=1e-30)
            keep("layer_norm_epsilon", epsilon)
        for name in ("dropout", "recurrent_dropout", "weight_dropout"):
            keep(name, validation.number(name, getattr(self, name), low=0.0, below=1.0))
        for name in ("zoneout_c", "zoneout_h"):
            keep(name, validation.number(name, getattr(self, name), low=0.0, high=1.0))
        wrong = _without_effect(self)
        if wrong:
            raise ValueError(wrong[0])

    @property
    def state_size(self) -> int:
        """Features P of the hidden state."""
        return self.projection_size or self.hidden_size

    @property
    def output_size(self) -> int:
        """Features of the layer's output: P, or 2P for two concatenated directions."""
        both = self.bidirectional and self.merge == "concat"
        return 2 * self.state_size if both else self.state_size

    @property
    def norm_epsilon(self) -> float:
        """The number that layer_norm adds to each variance."""
        return self.layer_norm_epsilon or NORMS[self.layer_norm or "products_and_cell"]

    @property
    def without_key(self) -> "Layer":
        """The layer as calls without a random key run it: without dropout."""
        return dataclasses.replace(
            self,
            dropout=0.0,
            recurrent_dropout=0.0,
            recurrent_dropout_on="h",
            held_masks=False,
            weight_dropout=0.0,
        )

    @property
    def streams(self) -> bool:
        """Whether the layer can run one step at a time, from first to last."""
        return not (self.bidirectional or self.reverse)


def require_joinable(what: str, layer: Layer, input_size: int) -> None:
    """Raises ValueError if the layer combines its input and its output but their sizes differ."""
    if (layer.residual or layer.highway) and layer.output_size != input_size:
        kind = "residual" if layer.residual else "highway"
        raise ValueError(
            f"{what} has {kind}=True, but {input_size} inputs and {layer.output_size} "
            "outputs, which cannot be added; make the two sizes equal"
        )


def _without_effect(layer: Layer) -> list[str]:
    """Error messages for options that contradict each other or have no effect."""
    wrong = []
    if layer.merge != "concat" and not layer.bidirectional:
        wrong.append(
            f"merge is {layer.merge!r}, but one direction leaves nothing to merge; "
            "set bidirectional=True or leave merge out"
        )
    if layer.reverse and layer.bidirectional:
        wrong.append(
            "reverse=True with bidirectional=True; a bidirectional layer already runs both "
            "directions: leave one of the two options out"
        )
    if not layer.bias and layer.forget_bias not in (0.0, 1.0):
        wrong.append(
            f"forget_bias is {layer.forget_bias:g}, but bias=False leaves no bias to add it "
            "to; set bias=True or leave forget_bias out"
        )
    if layer.coupled_gates == "forget" and layer.forget_bias not in (0.0, 1.0):
        wrong.append(
            f"forget_bias is {layer.forget_bias:g}, but with coupled_gates='forget', f = 1 - i "
            "has no bias of its own; leave forget_bias out"
        )
    if layer.projection_clip is not None and layer.projection_size is None:
        wrong.append(
            "projection_clip bounds a projection, but projection_size is None; set "
            "projection_size, or leave projection_clip out"
        )
    if layer.layer_norm_epsilon is not None and layer.layer_norm is None:
        wrong.append(
            f"layer_norm_epsilon is {layer.layer_norm_epsilon:g}, but layer_norm is None, so there "
            "is no variance to add it to; set layer_norm, or leave layer_norm_epsilon out"
        )
    if layer.residual and layer.highway:
        wrong.append(
            "residual=True with highway=True; both combine the layer's input with its output: "
            "leave one of the two out"
        )
    if (layer.residual or layer.highway) and layer.merge == "none":
        wrong.append(
            "merge='none' keeps the outputs of two directions apart, so residual and highway "
            "cannot combine them with one input; leave these two out, or choose another merge"
        )
    if layer.recurrent_dropout_on != "h" and layer.recurrent_dropout == 0.0:
        wrong.append(
            f"recurrent_dropout_on is {layer.recurrent_dropout_on!r}, but recurrent_dropout is 0 "
            "and drops nothing; set recurrent_dropout, or leave recurrent_dropout_on out"
        )
    if layer.held_masks and layer.dropout == 0.0 and layer.recurrent_dropout == 0.0:
        wrong.append(
            "held_masks=True, but dropout and recurrent_dropout are 0, so there is no mask to "
            "hold; set one of them, or leave held_masks out"
        )
    return wrong
