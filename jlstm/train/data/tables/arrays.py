"""Sequences in the arrays of an .npz file. Nothing in it is unpickled."""

import numpy as np

from jlstm import validation
from jlstm.train.data.split import Data, Meaning, Split, chosen
from jlstm.train.data.tables import array_checks, options, ragged, scaling


def arrays(
    *,
    file: str,
    valid: float | int | None = None,
    test: float | int | None = None,
    seed: int = 0,
) -> Data:
    """Sequences in an .npz file, as `numpy.savez` writes it.

    The file holds the arrays:

    - `xs`: numbers [N, T, features], or tokens, whole numbers [N, T].
    - `targets`: classes, whole numbers [N] or [N, T] (-1: the step does not count), or values,
      floats [N], [N, values] or [N, horizon, values].
    - `lengths` (optional): whole numbers [N]. What stands in `xs` after them is not read.
    - `xs_valid`, `targets_valid`, `lengths_valid`, and the same with `_test` (optional).
    - `classes`, `vocabulary` (optional): texts, the names of classes and tokens by number.

    Inputs and float targets are normalised by the mean and the standard deviation of each feature
    over the training sequences.

    Args:
      file: the file.
      valid, test: a fraction of the sequences, or their number, drawn at random. None: 0.1 and 0.2,
        or nothing is drawn if the file has arrays for the part.
      seed: seed of the drawing.

    Raises:
      TypeError, ValueError: an option or the file is not as expected. The message names the array
        and the element.
    """
    file = options.path("file", file)
    validation.number("seed", validation.integer("seed", seed), low=0, below=2**32)
    with validation.plain_errors(file):
        read = array_checks.read(file, ("xs", "targets"))
        shares = [
            options.share_or(part, share, usual, f"xs_{part}" if f"xs_{part}" in read else "")
            for part, share, usual in (("valid", valid, 0.1), ("test", test, 0.2))
        ]
        whole = _split(read, "")
        drawn = ragged.parts(len(whole.xs), shares[0], shares[1], seed)
        meaning = _meaning(read, chosen(whole, drawn[0]), whole)
        # The whole is checked, so that messages have the numbers of sequences in the file.
        held = _normalised(whole, meaning, "")
        splits = [chosen(held, each) if len(each) else None for each in drawn]
        for n, part in ((1, "_valid"), (2, "_test")):
            if f"xs{part}" in read:
                apart = _split(read, part)
                _require_like(part, apart, whole)
                splits[n] = _normalised(apart, meaning, part)
            elif strays := [name for name in read if name.endswith(part)]:
                raise ValueError(f"there is an array {strays[0]!r}, but no xs{part}; add it")
    train = splits[0]
    assert train is not None
    return Data(train, splits[1], splits[2], meaning)


def _split(read: dict[str, np.ndarray], part: str) -> Split:
    if f"targets{part}" not in read:
        raise ValueError(f"there is an array xs{part}, but no targets{part}; add it")
    xs, lengths = array_checks.inputs(read, part)
    return Split(xs, array_checks.targets(read, part), lengths)


def _require_like(part: str, split: Split, whole: Split) -> None:
    """ValueError if a part has other features, or targets of another kind, than training has."""
    for name, found, expected in (
        ("xs", split.xs, whole.xs),
        ("targets", split.targets, whole.targets),
    ):
        # Steps may differ, the features and the values of a target not.
        alike = found.ndim == expected.ndim and found.dtype.kind == expected.dtype.kind
        if not alike or (found.dtype.kind == "f" and found.shape[1:][-1] != expected.shape[-1]):
            raise ValueError(
                f"{name}{part} has the dtype {found.dtype} and the shape {list(found.shape)}, but "
                f"{name} has {expected.dtype} and {list(expected.shape)}; expected the same kind"
            )


def _meaning(read: dict[str, np.ndarray], train: Split, whole: Split) -> Meaning:
    meaning = Meaning(
        classes=array_checks.texts(read, "classes"),
        vocabulary=array_checks.texts(read, "vocabulary"),
    )
    if train.targets.dtype.kind == "f":
        fitted = scaling.fit(train.targets.reshape(-1, train.targets.shape[-1]).astype("float64"))
        meaning = scaling.with_scaling(meaning, targets=fitted)
    elif not meaning.classes:
        meaning = meaning._replace(classes=tuple(map(str, range(int(whole.targets.max()) + 1))))
    if train.xs.ndim == 3:
        lengths = train.lengths if train.lengths is not None else np.full(1, train.xs.shape[1])
        steps = np.broadcast_to(np.arange(train.xs.shape[1]) < lengths[:, None], train.xs.shape[:2])
        fitted = scaling.fit(train.xs[steps].astype("float64"))
        meaning = scaling.with_scaling(meaning, inputs=fitted)
    elif not meaning.vocabulary:
        meaning = meaning._replace(vocabulary=tuple(map(str, range(int(whole.xs.max()) + 1))))
    return meaning


def _normalised(split: Split, meaning: Meaning, part: str) -> Split:
    xs = normalised_inputs(split.xs, split.lengths, meaning, f"xs{part}")
    targets, fitted = split.targets, scaling.of_targets(meaning)
    if fitted is not None:
        targets = scaling.apply(fitted, targets)
        _require_held(f"targets{part}", targets)
    else:
        count = len(meaning.classes)
        why = f": there are {count} classes"
        array_checks.require_range(f"targets{part}", targets, 1 - targets.ndim, count, why)
    return Split(xs, targets, split.lengths)


def normalised_inputs(
    xs: np.ndarray, lengths: np.ndarray | None, meaning: Meaning, name: str
) -> np.ndarray:
    """Inputs as a model expects them: float32 [N, T, features], or int32 [N, T].

    Args:
      xs, lengths: what `array_checks.inputs` returns.
      meaning: that of the training data.
      name: the array, for messages.

    Raises:
      ValueError: they are not of the kind that the model was trained on, or out of its range.
    """
    if bool(meaning.vocabulary) != (xs.ndim == 2):
        expected = "tokens [N, T]" if meaning.vocabulary else "numbers [N, T, features]"
        raise ValueError(f"{name} has the shape {list(xs.shape)}; the model expects {expected}")
    if xs.ndim == 2:
        count = len(meaning.vocabulary)
        array_checks.require_range(name, xs, 0, count, f": the vocabulary has {count} tokens")
        return xs
    features = len(meaning.input_mean or meaning.inputs)
    if features and features != xs.shape[-1]:
        raise ValueError(
            f"{name} has {xs.shape[-1]} features, but the model was trained on {features}"
        )
    fitted = scaling.of_inputs(meaning)
    if fitted is None:
        return xs.astype("float32")
    xs = scaling.apply(fitted, xs)
    if lengths is not None:
        xs[np.arange(xs.shape[1]) >= lengths[:, None]] = 0
    _require_held(name, xs)
    return xs


def _require_held(name: str, values: np.ndarray) -> None:
    """ValueError for a normalised value that float32 cannot hold."""
    strays = np.argwhere(~np.isfinite(values))
    if len(strays):
        raise ValueError(
            f"{name}{strays[0].tolist()} is too far from the values to train on; correct it"
        )
