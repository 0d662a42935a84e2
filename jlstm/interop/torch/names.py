"""Finds LSTMs among the names of a state dict of torch."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

_DEEPEST = 4  # levels of nested mappings that are searched
_MOST = 1 << 23  # characters of all names; 10000 tensors have some 500000
_EACH = 32  # characters that a name counts as besides its own, for the memory that it takes
_LISTED = 20  # prefixes that an error lists
# A weight of an LSTM, plain or in one of the forms that weight dropout, weight norm, pruning and
# other parametrizations store instead. DOTALL bounds the time that a crafted name takes.
_NAME = re.compile(
    r"(?P<prefix>.*?)(?:parametrizations\.)?"
    r"(?P<weight>(?:weight_(?:ih|hh|hr)|bias_(?:ih|hh))(?:_l\d{1,4})?(?:_reverse)?)"
    r"(?P<form>(?:_raw|_g|_v|_u|_orig|_mask)+|\.original\d*|\.\d+\..+)?",
    re.DOTALL,
)
_OWN = re.compile(r"(weight|bias)(_|$)|parametrizations\.")

# The full names of one weight by form; {"": ...} is a plain weight.
Forms = dict[str, str]


def flat(state: Mapping[Any, Any]) -> dict[str, Any]:
    """The named values of nested mappings: {"model": {"a.b": ...}} has the name "model.a.b".

    Raises:
      ValueError: two weights of an LSTM have one name, or there are very many names, which is
        possible where mappings hold others several times.
    """
    found: dict[str, Any] = {}
    for name, value in _flat(state, "", 0, [0]):
        if found.setdefault(name, value) is not value and _NAME.fullmatch(name):
            raise ValueError(
                f"the state dict holds {name} twice, as one name and in nested mappings; expected "
                "one: remove the other"
            )
    return found


def _flat(
    state: Mapping[Any, Any], above: str, depth: int, taken: list[int]
) -> Iterator[tuple[str, Any]]:
    for name, value in state.items():
        taken[0] += _EACH + (len(above) + len(name) if isinstance(name, str) else 0)
        if taken[0] > _MOST:
            raise ValueError(
                f"the names in the state dict take more than {_MOST} characters; pass the state "
                "dict of the LSTM alone"
            )
        if not isinstance(name, str):
            continue
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _flat(value, f"{above}{name}.", depth + 1, taken)
        else:
            yield f"{above}{name}", value


def lstms(names: Iterable[str]) -> dict[str, dict[str, Forms]]:
    """The weights of each LSTM, by prefix and weight: {"rnn.": {"weight_ih_l0": {"": ...}}}.

    Raises:
      ValueError: a weight of weight dropout could belong to several LSTMs.
    """
    found: dict[str, dict[str, Forms]] = {}
    for name in names:
        if m := _NAME.fullmatch(name):
            found.setdefault(m["prefix"], {}).setdefault(m["weight"], {})[m["form"] or ""] = name
    _lower(found)
    return {prefix: own for prefix, own in found.items() if any("weight_ih" in w for w in own)}


def prefixes_of(
    names: Iterable[str], found: Collection[str], prefix: str | Sequence[str] | None
) -> list[str]:
    """The prefixes of the chosen LSTMs, lowest layer first, among all those that were `found`.

    A name such as "rnns.0" also stands for the only LSTM in that module, "rnns.0.module.".

    Raises:
      TypeError, ValueError: `prefix` is no prefix or list of prefixes, or does not tell which LSTM.
    """
    if prefix is None:
        if len(found) == 1:
            return list(found)
        if not found:
            raise ValueError(
                f"the state dict holds no LSTM (names like weight_ih_l0) among {sorted(names)[:8]}"
            )
        some = sorted(found)[:_LISTED]
        raise ValueError(
            f"the state dict holds several LSTMs; choose one by its prefix=, one of {some}. If "
            f"they form one stack, pass a list, lowest layer first: prefix={some[:2]}. In jlstm "
            f"convert: --prefix {some[0]}"
        )
    given = [prefix] if isinstance(prefix, str) else prefix
    if not isinstance(given, (list, tuple)) or not all(isinstance(own, str) for own in given):
        raise TypeError(
            f"prefix is {prefix!r:.80}; expected a string, such as 'encoder.', or a list of "
            "strings, lowest layer first"
        )
    if not given:
        raise ValueError("prefix is an empty list; pass at least one prefix, or leave prefix out")
    chosen = [_whole(own, found) for own in given]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"prefix has an LSTM twice: {chosen}; expected each once")
    return chosen


def _whole(prefix: str, found: Collection[str]) -> str:
    for own in (prefix, f"{prefix}."):
        if own in found:
            return own
    inner = sorted(own for own in found if own.startswith(f"{prefix.removesuffix('.')}."))
    if len(inner) == 1 and prefix:
        return inner[0]
    raise ValueError(
        f"{'several LSTMs have' if inner else 'no LSTM has'} the prefix {prefix!r}; the prefixes "
        f"are {(inner or sorted(found))[:_LISTED] or 'none'}"
    )


def others(names: Iterable[str], prefix: str, known: Mapping[str, Forms]) -> list[str]:
    """Names with that prefix that look like weights of its LSTM, but are not among the `known`."""
    forms = {name for own in known.values() for name in own.values()}
    own = [name for name in names if name.startswith(prefix) and name not in forms]
    return sorted(name for name in own if _OWN.match(name.removeprefix(prefix)))


def _lower(found: dict[str, dict[str, Forms]]) -> None:
    """Gives weights that a wrapper holds, as that of weight dropout does, to the LSTM in it.

    fastai's WeightDropout holds "rnn.weight_hh_l0_raw", and its LSTM has the prefix "rnn.module.".
    """
    below: dict[str, list[str]] = {}
    for prefix in found:
        above = prefix.removesuffix(".").rpartition(".")[0]
        if prefix:
            below.setdefault(f"{above}." if above else "", []).append(prefix)
    for above, inner in below.items():
        held = found.get(above, {})
        if not held or any(set(forms) != {"_raw"} for forms in held.values()):
            continue
        if len(inner) > 1:
            names = sorted(name for forms in held.values() for name in forms.values())
            raise ValueError(
                f"{names[0]} could belong to each of the LSTMs {sorted(inner)[:8]}; rename it to "
                f"the name that it has within its LSTM, such as {inner[0]}{next(iter(held))}, "
                "and remove a weight of that name"
            )
        for weight, forms in held.items():
            found[inner[0]].setdefault(weight, {}).update(forms)
        del found[above]
