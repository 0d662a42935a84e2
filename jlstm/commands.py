"""The commands of the command line, and the options and help of each."""

import dataclasses
import functools
import operator
import pathlib
from typing import Annotated, Any

import tyro


def _path(given: list[str]) -> pathlib.Path:
    if not given[0].strip():
        raise ValueError("the name is empty; pass that of a file or folder, or . for this folder")
    return pathlib.Path(given[0])


# pathlib takes an empty name, such as that of a variable of the shell that is not set, for the
# current folder.
_AS_PATH = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="PATH",
    instance_from_str=_path,
    is_instance=lambda value: value is None or isinstance(value, pathlib.Path),
    str_from_instance=lambda path: [str(path)],
)
_Path = Annotated[pathlib.Path, _AS_PATH]
_PathOrNone = Annotated[pathlib.Path | None, _AS_PATH]


def _shown_as(metavar: str | None, *, default: bool = False) -> Any:
    """How help shows an option: its value, and its default only if the text does not tell it."""
    if default:
        return tyro.conf.arg(metavar=metavar)
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


_Flag = Annotated[bool, _shown_as(None)]
_CountOrNone = Annotated[int | None, _shown_as("N")]
_NumberOrNone = Annotated[float | None, _shown_as("NUMBER")]
# Names after one flag, or after several of them: --scope a b, --scope a --scope b.
_Lists = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction]
_Names = Annotated[_Lists, _shown_as("NAME [NAME ...]", default=True)]
_Model = Annotated[_Path, tyro.conf.Positional, _shown_as("MODEL")]
_Out = Annotated[_Path, tyro.conf.Positional, _shown_as("OUT")]


@dataclasses.dataclass(frozen=True)
class Info:
    """Print versions, devices, and whether each implementation works here, or why not.

    Example: jlstm info --json
    """

    json: _Flag = False
    """Print one line of JSON."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Test every implementation on this machine against the documented guarantees, and time it.

    This takes at most five minutes, and about one minute on 2 idle cores. Send its output with any
    report about a TPU or GPU.

    Example: jlstm check --json
    """

    json: _Flag = False
    """Print one line of JSON: each contract's largest differences, and times in milliseconds."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """Time jlstm against other libraries' LSTMs with the same weights.

    Only contenders whose results agree are timed. Without a file, a quick suite runs. On 2 cores it
    takes up to one minute against Flax and a hand-written scan, and up to three minutes against all
    contenders (pip install '.[peers]').

    Example: jlstm bench benchmarks/field.toml --only torch "flax nnx" --out runs.jsonl
    """

    suite: Annotated[_PathOrNone, tyro.conf.Positional, _shown_as("[SUITE]")] = None
    """TOML file: a suite of [[case]] tables, or a config with [network] and optionally [bench]."""
    out: Annotated[_PathOrNone, _shown_as("PATH")] = None
    """File to append records to, one JSON line per measurement; compressed if it ends in .gz.
    By default, nothing is saved."""
    seconds: Annotated[float | None, _shown_as("SECONDS")] = None
    """Seconds to measure each case and mode; 1 by default. At least five rounds are measured."""
    threads: _CountOrNone = None
    """Number of processors each contender may use; all by default."""
    only: _Names = ()
    """Names of the contenders to time jlstm against, such as "flax nnx"; all by default."""
    compare: Annotated[_PathOrNone, _shown_as("PATH")] = None
    """Records file of an earlier run. The output ends with what became slower or faster."""
    json: _Flag = False
    """Print one line of JSON: the records that --out would append, and ratios. No tables."""
    compile_only: _Flag = False
    """Compile for --target and run nothing. The exit code is 1 if anything does not compile.
    Prints compile time, memory, collectives and the cost of a step.
    The cost is the estimated cycles on a TPU, or the kernel launches on a GPU."""
    target: Annotated[str | None, _shown_as("CHIP")] = None
    """Chip that --compile-only compiles for; v5e by default. This machine need not have it.
    One of v4, v5e, v5p, v6e, tpu7x, a slice of these such as v5e:2x2, or h100."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Write a Markdown report with tables and pictures from the records of `jlstm bench --out`.

    Example: jlstm report runs.jsonl
    """

    records: Annotated[_Path, tyro.conf.Positional, _shown_as("RECORDS")]
    """Records file to read (.jsonl or .jsonl.gz)."""
    out: Annotated[_PathOrNone, _shown_as("PATH")] = None
    """Markdown file to write (.md); by default the path of the records with the extension .md.
    Pictures go to a folder of the same name without the extension. Existing files are replaced."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train the model that a config file describes. All files of the run go to one folder.

    These are the resolved config, checkpoints, metrics, curves and the best model. Progress goes to
    standard error. If Ctrl-C or a kill stopped the run, --resume continues it.

    Example: jlstm train configs/digits.toml --set train.steps=500 train.seed=1
    """

    config: Annotated[_Path, tyro.conf.Positional, _shown_as("CONFIG")]
    """TOML file with the tables [data], [task], [network], [optimizer] and [train]."""
    out: Annotated[_PathOrNone, _shown_as("PATH")] = None
    """Folder of the run; by default `out` of the table [train]."""
    resume: _Flag = False
    """Continue the run in the folder. Start one if the folder has none."""
    overwrite: _Flag = False
    """Delete the run in the folder and start again."""
    set: Annotated[_Lists, _shown_as("TABLE.KEY=VALUE ...", default=True)] = ()
    """Values to replace in the config. TABLE.KEY= without a value removes the key: data.time="""
    json: _Flag = False
    """Print one line of JSON at the end, and no progress."""
    distributed: _Flag = False
    """Train with several processes.
    JAX finds them under Slurm, Open MPI, Kubernetes and Cloud TPU."""
    coordinator: Annotated[str | None, _shown_as("HOST:PORT")] = None
    """Train with several processes: the address of process 0, the same in all of them."""
    processes: _CountOrNone = None
    """Number of processes."""
    process: _CountOrNone = None
    """Number of this process, from 0."""


@dataclasses.dataclass(frozen=True)
class Eval:
    """Print the metrics of a trained model on the test split of its data.

    For forecasts, errors are also printed in the units of the data, beside those of repeating the
    last value and, with --season, those of repeating the last season.

    Example: jlstm eval runs/forecast --season 24
    """

    model: _Model
    """Folder of a run, or a model file (.safetensors) that `jlstm train` wrote."""
    season: _CountOrNone = None
    """For forecasts: number of steps of a season, such as 24 for hourly values of a daily cycle."""
    json: _Flag = False
    """Print one line of JSON."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict from new sequences with a trained model, and write a table in raw units.

    The table has a row for each sequence, with its likeliest class or its values; for each step, if
    the model labels steps; or for each step ahead of each series, after its last row.

    Example: jlstm predict runs/forecast new.csv -o out.csv
    """

    model: _Model
    """Folder of a run, or a model file (.safetensors) that `jlstm train` wrote."""
    file: Annotated[_Path, tyro.conf.Positional, _shown_as("FILE")]
    """File of new sequences: .csv, .parquet or .npz, with the inputs of the training data.
    It needs no labels and no targets."""
    out: Annotated[_Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")]
    """File to write: .csv or .parquet. An existing file is replaced."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Write text with a trained language model, character by character.

    Example: jlstm sample runs/language --prompt "In the beginning" --length 500
    """

    model: _Model
    """Folder of a run, or a model file (.safetensors) that `jlstm train` wrote."""
    prompt: Annotated[str, _shown_as("TEXT")]
    """Text to continue."""
    length: Annotated[int, _shown_as("N", default=True)] = 500
    """Number of tokens to add, such as characters."""
    temperature: Annotated[float, _shown_as("TEMPERATURE", default=True)] = 1.0
    """Below 1, likely characters are chosen more often; 0 always chooses the likeliest."""
    top_k: _CountOrNone = None
    """Choose among this many likeliest characters; among all by default."""
    seed: Annotated[int, _shown_as("N", default=True)] = 0
    """Seed of the choices. The same seed gives the same text."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Convert a network from one framework's file to another's.

    The extension tells the format:
    - jlstm: .safetensors
    - torch: .pt or .pth (a state dict); .safetensors with --from or --to torch
    - torch, to read only: .ckpt, .bin
    - keras: .keras or .weights.h5
    - keras, to read only: other .h5 and .hdf5 files, a TensorFlow 2 checkpoint, the folder of a
      SavedModel
    - onnx: .onnx
    - tensorflow: .npz (arrays by variable name)
    - tensorflow, to read only: a TensorFlow 1 checkpoint (.index, or the path without it; V1 files)

    Example: jlstm convert model.pt model.safetensors --prefix encoder.
    """

    source: Annotated[_Path, tyro.conf.Positional, _shown_as("SOURCE")]
    """File to read."""
    out: _Out
    """File to write. An existing file is replaced."""
    from_: Annotated[
        str | None, tyro.conf.arg(name="from", metavar="FORMAT", help_behavior_hint="")
    ] = None
    """Format of the file to read, if its extension does not tell.
    One of jlstm, keras, onnx, tensorflow, torch."""
    to: Annotated[str | None, _shown_as("FORMAT")] = None
    """Format of the file to write, if its extension does not tell.
    One of jlstm, keras, onnx, tensorflow, torch."""
    prefix: _Names = ()
    """torch: prefix of the LSTM's weight names in the state dict, such as "encoder.".
    Several prefixes form one stack, lowest first."""
    node: Annotated[str | None, _shown_as("NAME")] = None
    """onnx: name of an LSTM node; the stack with that node is read."""
    layer: _Names = ()
    """keras: name of an LSTM layer. Several names form one stack, lowest first."""
    scope: _Names = ()
    """tensorflow: variable scope of the cells. Several scopes form one stack, lowest first."""
    forget_bias: _NumberOrNone = None
    """tensorflow: forget_bias of the cells; by default 1, or 0 for CudnnLSTM."""
    cell_clip: _NumberOrNone = None
    """tensorflow: cell_clip of the cells."""
    projection_clip: _NumberOrNone = None
    """tensorflow: proj_clip of the cells."""
    activation: Annotated[str | None, _shown_as("NAME")] = None
    """tensorflow: activation of the cells; tanh by default."""
    network_only: _Flag = False
    """jlstm: write the network alone, without the readout of `jlstm train` and other arrays.
    Only jlstm files have a place for these."""
    quantize: _Flag = False
    """Round the weights to int8, for serving. The output must be a jlstm or onnx file."""


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a network as StableHLO, which jax.export runs in programs without this library.

    The program of a model that `jlstm train` saved returns the scores of the classes.

    Example: jlstm export model.safetensors program.bin --lengths
    """

    model: _Model
    """Model file to read (.safetensors)."""
    out: _Out
    """File to write. An existing file is replaced."""
    streaming: _Flag = False
    """Run one step per call instead of whole sequences."""
    network_only: _Flag = False
    """Return the network's outputs, without the readout that `jlstm train` adds."""
    without_params: _Flag = False
    """Leave the parameters out of the file. Each call takes them as its first argument."""
    lengths: _Flag = False
    """Add an argument for the lengths of the sequences."""
    resets: _Flag = False
    """Add an argument for reset flags. A true flag resets the carry before its step."""
    batch_major: _Flag = False
    """Use sequences of shape [batch, time, features] instead of [time, batch, features]."""
    input_dtype: Annotated[str | None, _shown_as("DTYPE")] = None
    """Floating-point format of the input, such as float32; by default the network's dtype."""
    platforms: _Names = ()
    """Platforms to export the program for; by default cpu, cuda, rocm and tpu."""


COMMANDS = {
    "bench": Bench,
    "check": Check,
    "report": Report,
    "train": Train,
    "eval": Eval,
    "predict": Predict,
    "sample": Sample,
    "convert": Convert,
    "export": Export,
    "info": Info,
}
Command = functools.reduce(
    operator.or_,
    (Annotated[kind, tyro.conf.subcommand(name)] for name, kind in COMMANDS.items()),
)
