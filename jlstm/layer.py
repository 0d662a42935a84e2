"""What one layer is: sizes, direction, and which of the LSTM's many variants."""

import dataclasses

from jlstm import activations, validation
from jlstm.activations import Activation

MERGES = ("concat", "sum", "mul", "average", "none")
COUPLINGS = ("input", "forget")
NORMS = ("gates_and_cell", "products_and_output", "products_and_cell")
DROPPED = ("h", "candidate")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One LSTM layer of a stack. `jlstm.cell` has the equations and their sources.

    Attributes:
      hidden_size: units H of each direction, at least 1.
      projection_size: features P of the hidden state where it is a projection of the units'
        outputs (LSTMP); P = H, without one, by default.
      bidirectional: run a second set of units backwards in time beside the first.
      merge: how the outputs of the two directions join: "concat" (size 2P), elementwise "sum",
        "mul", "average" (size P), or "none": outputs [..., 2, P], for the last layer of a stack.
      reverse: run backwards in time; outputs keep the order of the inputs.
      bias: add a bias to the gate pre-activations.
      forget_bias: added to the forget part of the bias when parameters are initialised, and
        nowhere else. Without a bias there is nothing to add it to.
      peepholes: let i and f see the cell state before the step, and o the one after it.
      coupled_gates: "input" for i = 1 - f, "forget" for f = 1 - i. The columns of the gate that
        follows from the other stay in w_x, w_h and b, and are not read.
      layer_norm: what is normalised, and whether the carry is: "gates_and_cell", each gate's
        pre-activation and the carried cell state, as TensorFlow does; "products_and_cell", both
        products and the carried cell state, as PyTorch's fastrnns; "products_and_output", both
        products without shift, and the cell state on its way to the output only, as haste.
      activation: of the candidate; a name of `jlstm.activations`, or a function of an array, whose
        slope is finite everywhere: padded steps are computed too, of zeros, before they are left
        out. It closes over nothing that is differentiated, and is made once, as programs are
        compiled for each function anew.
      recurrent_activation: of the gates.
      cell_activation: of the cell state on its way to the output.
      gate_clip: bound of the gates' and the candidate's pre-activations, as ONNX Runtime's clip.
      cell_clip: bound of the new cell state, as TensorFlow's.
      projection_clip: bound of the projected hidden state.
      residual: add the layer's input to its output, both of one size; the input as it is after
        dropout.
      highway: mix the layer's input into its output by a learned gate (Srivastava et al., 2015).
      skip: read the network's input beside the outputs of the layer below (Graves, 2013).
      dropout: the fraction of the layer's input that is zeroed, the rest being scaled up by
        1/(1-dropout), in calls that are given a random key; at least 0, below 1. So are the next.
      recurrent_dropout: the same of what `recurrent_dropout_on` names: "h", the hidden state that
        a step reads, or the "candidate" (Semeniuta et al., 2016).
      held_masks: draw the masks of both once a sequence, and hold them over time (Gal &
        Ghahramani, 2016), in place of anew at each step.
      weight_dropout: the same of w_h, once a sequence (DropConnect in AWD-LSTM).
      zoneout_c, zoneout_h: the chance that a unit keeps its cell state, or hidden state, from the
        step before; without a key, the share of it that is kept (Krueger et al., 2017).

    Raises:
      TypeError, ValueError: a value of the wrong type, out of range, or without effect.

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

        keep("hidden_size", validation.positive_int("hidden_size", self.hidden_size))
        if self.projection_size is not None:
            size = validation.positive_int("projection_size", self.projection_size)
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
        keep("forget_bias", validation.number("forget_bias", self.forget_bias))
        for name in ("gate_clip", "cell_clip", "projection_clip"):
            if getattr(self, name) is not None:
                keep(name, validation.number(name, getattr(self, name), above=0.0))
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
    def without_key(self) -> "Layer":
        """The layer as it runs in calls without a random key."""
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
        """Whether the layer can run one step at a time, first to last."""
        return not (self.bidirectional or self.reverse)


def require_joinable(what: str, layer: Layer, input_size: int) -> None:
    """ValueError where a layer's input cannot be joined to its output."""
    if (layer.residual or layer.highway) and layer.output_size != input_size:
        kind = "residual" if layer.residual else "highway"
        raise ValueError(
            f"{what} has {kind}=True, but {input_size} inputs and {layer.output_size} "
            "outputs, which cannot be added; make the two sizes equal"
        )


def _without_effect(layer: Layer) -> list[str]:
    """What is wrong with options that contradict each other, or would change nothing."""
    wrong = []
    if layer.merge != "concat" and not layer.bidirectional:
        wrong.append(
            f"merge is {layer.merge!r}, but there is one direction and nothing to merge; "
            "set bidirectional=True or leave merge out"
        )
    if layer.reverse and layer.bidirectional:
        wrong.append(
            "reverse=True with bidirectional=True; a bidirectional layer already runs both "
            "ways: leave one of the two out"
        )
    if not layer.bias and layer.forget_bias not in (0.0, 1.0):
        wrong.append(
            f"forget_bias is {layer.forget_bias:g}, but bias=False leaves no bias to add it "
            "to; set bias=True or leave forget_bias out"
        )
    if layer.coupled_gates == "forget" and layer.forget_bias not in (0.0, 1.0):
        wrong.append(
            f"forget_bias is {layer.forget_bias:g}, but coupled_gates='forget' takes f from i, "
            "whose bias it would have to be; leave forget_bias out"
        )
    if layer.projection_clip is not None and layer.projection_size is None:
        wrong.append(
            "projection_clip bounds a projection, and there is none; set projection_size, or "
            "leave projection_clip out"
        )
    if layer.residual and layer.highway:
        wrong.append(
            "residual=True with highway=True; both join the layer's input to its output: leave "
            "one of the two out"
        )
    if (layer.residual or layer.highway) and layer.merge == "none":
        wrong.append(
            "merge='none' keeps two outputs apart, to which one input cannot be joined; leave "
            "residual and highway out, or merge"
        )
    if layer.recurrent_dropout_on != "h" and layer.recurrent_dropout == 0.0:
        wrong.append(
            f"recurrent_dropout_on is {layer.recurrent_dropout_on!r}, but recurrent_dropout is 0 "
            "and drops nothing; set recurrent_dropout, or leave recurrent_dropout_on out"
        )
    if layer.held_masks and layer.dropout == 0.0 and layer.recurrent_dropout == 0.0:
        wrong.append(
            "held_masks=True, but dropout and recurrent_dropout are 0, so that there is no mask "
            "to hold; set one of them, or leave held_masks out"
        )
    return wrong
