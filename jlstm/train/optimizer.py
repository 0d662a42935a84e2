"""The optimiser of a run: any of optax by name, its schedule, clipping and accumulation."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jlstm import validation
from jlstm.train.model import Head, Model
from jlstm.weight_decay import decay_mask


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """The table [optimizer] of a run.

    Attributes:
      name: a function of optax that takes a learning rate, such as "adam", "adamw", "sgd" or
        "rmsprop".
      learning_rate: the rate, or the rate that the schedule begins with or rises to.
      schedule: a schedule of optax by name, such as "cosine_decay_schedule", or a table of a name
        and its options. The rate, and the steps it takes, are those of the run unless it says
        otherwise. None: the rate is constant.
      weight_decay: decay of matrices, for optimisers that have it, such as "adamw". Biases,
        peepholes, normalisations, learned carries and the embedding do not decay.
      clip_norm: the largest norm of all gradients together. None: any.
      accumulate: batches whose mean gradient makes one update. Each batch weighs the same, however
        many of its steps count, as in torch if each loss is divided by `accumulate`.
      average: the decay, at each update, of an exponential moving average of the parameters, which
        evaluation and the saved model then use; such as 0.999. None: no average.
      options: further options of the function, such as {"b1": 0.9}.

    >>> made = transformation(Optimizer(learning_rate=1e-3, clip_norm=1.0), steps=100)
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    schedule: str | dict[str, Any] | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    average: float | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        validation.number("learning_rate", self.learning_rate, low=0.0)
        validation.number("weight_decay", self.weight_decay, low=0.0)
        validation.size("accumulate", self.accumulate)
        if self.clip_norm is not None:
            validation.number("clip_norm", self.clip_norm, above=0.0)
        if self.average is not None:
            validation.number("average", self.average, above=0.0, below=1.0)
        if not isinstance(self.options, dict):
            raise TypeError(f"options is {self.options!r}; expected a table of options")
        transformation(self, steps=10**9)  # unknown names and options are found now


def transformation(settings: Optimizer, steps: int) -> optax.GradientTransformation:
    """The gradient transformation of optax that the settings describe.

    Args:
      settings: the settings.
      steps: the number of batches of the run. A schedule takes it where its table gives no number.

    Raises:
      TypeError, ValueError: optax has no such function or option. The message names the nearest.
    """
    make = _function(optax, settings.name, "optimizer")
    options = dict(settings.options)
    if settings.weight_decay:
        known = inspect.signature(make).parameters
        if "weight_decay" not in known or "mask" not in known:
            raise ValueError(
                f"weight_decay is {settings.weight_decay:g}, but {settings.name} has none; use "
                "adamw, lamb, lion or another optimiser with weight decay"
            )
        options |= {"weight_decay": settings.weight_decay, "mask": decayed}
    rate = _rate(settings, max(1, math.ceil(steps / settings.accumulate)))
    made = _called(make, f"optimizer {settings.name}", {"learning_rate": rate} | options)
    if settings.clip_norm is not None:
        made = optax.chain(optax.clip_by_global_norm(settings.clip_norm), made)
    if settings.accumulate > 1:
        made = optax.MultiSteps(made, settings.accumulate).gradient_transformation()
    return made


def spans_run(settings: Optimizer) -> bool:
    """Whether the schedule takes its number of steps from the run.

    >>> spans_run(Optimizer(schedule="cosine_decay_schedule")), spans_run(Optimizer())
    (True, False)
    """
    if settings.schedule is None:
        return False
    table, make = _schedule(settings.schedule)
    known = _parameters(make)
    return any(key in known and key not in table for key in ("decay_steps", "transition_steps"))


def decayed(model: Model) -> Model:
    """True for each parameter of a model that weight decay applies to: its matrices.

    An embedding's rows are vectors of single tokens, most of which a batch does not touch, so they
    do not decay.
    """
    network = decay_mask(model.network)
    head = Head(*(None if a is None else name == "w" for name, a in model.head._asdict().items()))
    return Model(None if model.embedding is None else False, network, head)


def _rate(settings: Optimizer, steps: int) -> Any:
    """The learning rate, or its schedule."""
    # NumPy would warn of an overflow in converting a rate that float32 cannot hold.
    largest = float(np.finfo("float32").max)
    rate = settings.learning_rate if settings.learning_rate <= largest else math.inf
    if settings.schedule is None:
        return rate
    table, make = _schedule(settings.schedule)
    known = _parameters(make)
    options = {"init_value": rate} if "peak_value" not in known else {"init_value": 0.0}
    options |= {"peak_value": rate, "value": rate, "decay_steps": steps, "transition_steps": steps}
    options = {name: value for name, value in options.items() if name in known}
    options |= {name: value for name, value in table.items() if name != "name"}
    return _called(make, f"schedule {table['name']}", options)


def _schedule(given: Any) -> tuple[dict[str, Any], Callable[..., Any]]:
    """The table of a schedule, and the function of optax that it names."""
    table = {"name": given} if isinstance(given, str) else given
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise TypeError(
            f'schedule is {table!r}; expected a name such as "cosine_decay_schedule", or a table '
            'with a name: { name = "warmup_cosine_decay_schedule", warmup_steps = 100 }'
        )
    return table, _function(optax.schedules, table["name"], "schedule")


def _function(module: Any, name: str, what: str) -> Callable[..., Any]:
    """A public function of a module by name."""
    known = {
        each
        for each in dir(module)
        if not each.startswith("_") and inspect.isfunction(getattr(module, each))
    }
    if what == "optimizer":
        known = {n for n in known if "learning_rate" in _parameters(getattr(module, n))}
    validation.known_name(what, name, known)
    return getattr(module, name)


def _parameters(function: Callable[..., Any]) -> Any:
    return inspect.signature(function).parameters


def _called(make: Callable[..., Any], what: str, options: dict[str, Any]) -> Any:
    known = _parameters(make)
    validation.known_keys(what, options, known)
    required = {n for n, p in known.items() if p.default is inspect.Parameter.empty}
    if missing := required - set(options):
        raise ValueError(f"{what} needs {validation.some(missing)}; add them to its table")
    try:
        return make(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from None


def updates_made(state: Any, steps: jax.Array) -> jax.Array:
    """The number of updates of the parameters, int32 [].

    Args:
      state: the state of an optimiser. If optax.MultiSteps is in it, this counts the updates.
      steps: the number of gradients that the optimiser got. Without MultiSteps, each is an update.
    """

    def counts(part: Any) -> bool:
        return isinstance(part, optax.MultiStepsState)

    found = [part for part in jax.tree.leaves(state, is_leaf=counts) if counts(part)]
    return found[0].gradient_step if found else steps


def average_of(before: Any, model: Any, decay: float, updates: jax.Array) -> Any:
    """The next exponential moving average of parameters.

    The first updates weigh more than `decay` says: an average that began with random parameters
    would keep these for long.

    Args:
      before: the average so far.
      model: the parameters after an update.
      decay: the share of `before` in the result, after many updates.
      updates: the number of updates before this one.
    """
    kept = jnp.minimum(decay, (1.0 + updates) / (10.0 + updates))
    return jax.tree.map(
        lambda old, new: (kept * old + (1 - kept) * new).astype(old.dtype), before, model
    )
