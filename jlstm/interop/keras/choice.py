"""Chooses the LSTMs to read among the layers of a model."""

import functools
import operator
from collections.abc import Sequence
from typing import Any

from jlstm.interop.keras.chains import chain, silent, silent_below
from jlstm.interop.keras.parts import SILENT, Part
from jlstm.interop.keras.tree import Leaf
from jlstm.interop.report import Report

_SHOWN = 12  # layers that a message names


def names(layer: Any) -> list[str] | None:
    """The option `layer` as a list of names; None if it is not given.

    Raises:
      TypeError, ValueError: it is not a name, or a list of at least one name without repetition.
    """
    if layer is None:
        return None
    found = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    for name in found:
        if not isinstance(name, str):
            raise TypeError(
                f"layer holds {name!r:.80}; expected the name of an LSTM layer, such as 'lstm', or "
                "a list of names, lowest layer first"
            )
    if not found or len(set(found)) < len(found):
        raise ValueError(
            f"layer is {found}; expected one name at least, and each only once; leave layer out to "
            "read the only stack of a model"
        )
    return found


def parts(
    leaves: Sequence[Leaf], layer: list[str] | None, report: Report, source: str
) -> list[Part]:
    """The LSTMs with these names, or all if they form one chain, and the Dropouts between them.

    Args:
      leaves: all layers of the model.
      layer: names of LSTMs, lowest first; None reads all.
      report: receives lines about the layers that are left out.
      source: what error messages call the model.

    Raises:
      ValueError: the model has no LSTM, none with such a name, or several that are not one chain.
    """
    kinds = [Part(leaf.serialized, []) for leaf in leaves]
    lstms = [n for n, kind in enumerate(kinds) if kind.is_lstm]
    if not lstms:
        others = [kind for kind in kinds if kind.kind not in SILENT]
        named = [n for n, leaf in enumerate(leaves) if leaf.name]  # or variables of no layer
        if len(others) == 1 and named:
            others[0].require_lstm()
        raise ValueError(
            f"{source} has no LSTM layer; expected at least one. "
            f"Its layers are {_listed(leaves, named) or 'none'}"
        )
    if layer is None:
        chosen = chain(leaves, kinds, lstms)
        held = next((leaves[n].within for n in lstms if leaves[n].within), "")
        if held:
            raise ValueError(
                f"{source} is, or has within it, {held}, which may compute anything around its "
                f"LSTMs: {_listed(leaves, lstms)}. {how(leaves[lstms[0]].name)}"
            )
        if chosen is None:
            raise ValueError(
                f"{source} has several LSTMs that are not known to form one stack: "
                f"{_listed(leaves, lstms)}. {how(leaves[lstms[0]].name)}"
            )
        repeated = [n for n in lstms if leaves[n].repeated]
        if repeated:
            raise ValueError(
                f"{source} applies {_listed(leaves, repeated)} more than once; one network cannot "
                f"do this. {how(leaves[repeated[0]].name)}"
            )
    else:
        chosen = [_named(name, leaves, lstms, source) for name in layer]
        if len(chosen) > 1 and chosen != chain(leaves, kinds, sorted(chosen)):
            report.add(
                f"{', '.join(layer)} were stacked in this order as you chose, whatever the model "
                "computes between them"
            )
    among = functools.reduce(operator.or_, (1 << n for n in chosen))
    for n in chosen:
        lower = leaves[n].sources & among & ~(1 << n)
        if lower:
            last = leaves[lower.bit_length() - 1]
            raise ValueError(
                f"{leaves[n].name} gets its initial state from {last.name}; one stack "
                "cannot do this: read them one at a time, and pass the state as the carry. "
                + how(leaves[n].name)
            )
    taken = [n for lstm in chosen for n in (*silent_below(leaves, kinds, lstm), lstm)]
    above = [n for n, leaf in enumerate(leaves) if leaf.below == chosen[-1] and silent(kinds[n])]
    taken += above[:1]
    _report(leaves, kinds, chosen, taken, report)
    made = []
    for n in taken:
        arrays = [] if silent(kinds[n]) else leaves[n].arrays()
        made.append(Part(leaves[n].serialized, arrays))
        made[-1].name = leaves[n].name
    return made


def how(name: str) -> str:
    """The advice that says how to choose among several LSTMs, one of which has this name."""
    return (
        f'Choose one by its name, such as layer="{name}", or a stack by a list of names, lowest '
        f"first. In jlstm convert: --layer {name}"
    )


def _named(name: str, leaves: Sequence[Leaf], lstms: Sequence[int], source: str) -> int:
    for given in (
        lambda leaf: leaf.name == name,
        lambda leaf: leaf.name.endswith(f"/{name}"),
        lambda leaf: leaf.alias == name,
    ):
        found = [n for n in lstms if given(leaves[n])]
        if len(found) == 1:
            return found[0]
        if found:
            apart = len({leaves[n].name for n in found}) == len(found)
            raise ValueError(
                f"{source} has several LSTMs named {name!r}: {_listed(leaves, found)}; "
                + ("write the whole name" if apart else "pass the layer itself to from_keras")
            )
    raise ValueError(f"{source} has no LSTM named {name!r}; its LSTMs are {_listed(leaves, lstms)}")


def _listed(leaves: Sequence[Leaf], which: Sequence[int]) -> str:
    """The layers' names and kinds, as far as a message has room."""
    texts = [
        f"{leaves[n].name} ({Part(leaves[n].serialized, []).described})"
        for n in list(which)[:_SHOWN]
    ]
    more = len(which) - len(texts)
    return ", ".join([*texts, f"and {more} more"] if more else texts)


def _report(
    leaves: Sequence[Leaf],
    kinds: Sequence[Part],
    chosen: Sequence[int],
    taken: Sequence[int],
    report: Report,
) -> None:
    """Says what stands around the chosen LSTMs."""
    read = set(taken)
    others = [n for n, kind in enumerate(kinds) if n not in read and not silent(kind)]
    if others:
        report.add(f"only the LSTM was read; these layers were left out: {_listed(leaves, others)}")
    below = leaves[taken[0]].below
    if below is not None:
        report.add(
            f"{leaves[taken[0]].name} reads the outputs of {leaves[below].name}: pass them to apply"
        )
    for n in others:
        if kinds[n].kind == "Masking" or kinds[n].options.get("mask_zero"):
            report.add(
                f"{leaves[n].name} makes a mask of the padding: pass it to apply by mask= or "
                "lengths=. apply then returns zeros at the padding"
            )
            if any(kinds[lower].options.get("go_backwards") for lower in chosen[:-1]):
                report.add(
                    "Keras does not reverse the mask with the outputs of a go_backwards layer: the "
                    "LSTMs above it give other results for padded sequences"
                )
    for n in chosen:
        around = leaves[n].within or leaves[n].wrapper
        if around:
            report.add(f"{leaves[n].name} was read without what {around} computes around it")
        if leaves[n].repeated:
            report.add(f"the model applies {leaves[n].name} more than once; apply does so once")
        if leaves[n].fed:
            report.add(
                f"the initial state of {leaves[n].name} is an output of another layer: pass it as "
                "the carry"
            )
