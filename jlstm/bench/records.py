"""Measurements as JSON lines, each with all that is needed to repeat it."""

import contextlib
import dataclasses
import gzip
import io
import json
import os
import pathlib
import time
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from jlstm import info, validation
from jlstm.bench.cases import Case
from jlstm.bench.compare import Outcome
from jlstm.bench.record_fields import Record, checked
from jlstm.bench.statistics import estimate
from jlstm.files import config_toml

# The largest file of records that is read, uncompressed, and its longest line. A record has about
# 2,000 bytes, and 500 more for each further layer. In memory, it takes up to eight times as much.
MOST_BYTES, LONGEST_LINE = 1 << 23, 1 << 20
# The most lists and objects of a line, and one more for this many bytes. Each takes Python long.
_MOST_PARTS, _BYTES_OF_PART = 300, 100
_PIECE = 1 << 13  # bytes; what follows a member in a piece is copied
_GZIP = 31  # zlib's number for the format of gzip
PACKAGES = ("dm-haiku", "equinox", "keras", "onnxruntime", "tensorflow", "torch")


@contextlib.contextmanager
def appending(path: pathlib.Path) -> Iterator[Callable[[list[Record]], None]]:
    """Opens a file, and yields a function that appends records to it as whole lines.

    If the name ends in .gz, they are compressed. A new file that stays empty is removed.

    Raises:
      ValueError: the file cannot be written, or holds something else than whole records, which
        more records would damage.
    """
    new = not path.exists()
    if path.is_file() and path.stat().st_size:
        _require_whole(path)
    try:
        # Unbuffered, so that an interrupt leaves either all lines of a mode or none.
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise ValueError(f"cannot write records to {path}: {error.strerror}") from None

    def write(records: list[Record]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records).encode()
        left = memoryview(gzip.compress(lines) if path.suffix == ".gz" else lines)
        before = os.fstat(file.fileno()).st_size
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):  # a pipe or a device
                file.truncate(before)  # no half a line, after which nothing could be appended
            raise ValueError(f"cannot write records to {path}: {error.strerror}") from None

    try:
        with file:
            yield write
    finally:
        if new and path.exists() and not path.stat().st_size:
            path.unlink()


def read(path: pathlib.Path) -> list[Record]:
    """The records in a file, which is compressed if its name ends in .gz.

    Every field that a reader may use is there, with a value of the right type and range.

    Raises:
      ValueError: the file cannot be read or is too large, or a line is not a record. The message
        names the line, what was found and what was expected.
    """
    with validation.plain_errors():
        data = _content(path)
        records = []
        for n, line in enumerate(io.BytesIO(data), 1):
            try:
                records.append(checked(_parsed(line)))
            except ValueError as error:
                raise ValueError(
                    f"line {n} of {path} is not a record of `jlstm bench --out`: {error}"
                ) from None
        if not records:
            raise ValueError(f"{path} holds no records")
        return records


def _require_whole(path: pathlib.Path) -> None:
    """ValueError if records cannot be appended to a file."""
    try:
        read(path)
    except ValueError as error:
        raise ValueError(
            f"records cannot be appended to {path}: {error}; pass another file with --out"
        ) from None
    if not _content(path).endswith(b"\n"):
        raise ValueError(
            f"records cannot be appended to {path}: its last line does not end; add a line break, "
            "or pass another file with --out"
        )


def _content(path: pathlib.Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = _unpacked(file) if path.suffix == ".gz" else file.read(MOST_BYTES + 1)
    except (zlib.error, EOFError) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(
            f"{path} has more than {MOST_BYTES:,} bytes of records; divide it into several files"
        )
    return data


def _unpacked(file: BinaryIO) -> bytes:
    """What a gzip file holds, but no more than a byte above MOST_BYTES.

    Records that were appended later are further members. The module gzip would take long for zeros
    behind the last one, and for members that hold nothing.
    """
    made, stream, start = bytearray(), None, 0
    while piece := file.read(_PIECE):
        while piece:
            if stream is None:
                stream, start = zlib.decompressobj(_GZIP), len(made)
            made += stream.decompress(piece, MOST_BYTES + 1 - len(made))
            if len(made) > MOST_BYTES:
                return bytes(made)
            piece = stream.unconsumed_tail
            if stream.eof:
                if len(made) == start:
                    raise EOFError("a part of it holds nothing")
                piece, stream = stream.unused_data, None
    if stream is not None:
        raise EOFError("it is cut off")
    return bytes(made)


def _parsed(line: bytes) -> object:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"it has {len(line):,} bytes; expected at most {LONGEST_LINE:,}")
    parts = line.count(b"[") + line.count(b"{")
    if parts > (most := _MOST_PARTS + len(line) // _BYTES_OF_PART):
        raise ValueError(f"it has {parts:,} lists and objects; expected at most {most:,}")
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.colno}") from None
    except ValueError:
        raise ValueError("it has a number with more digits than Python reads") from None
    except RecursionError:
        raise ValueError("its lists or objects are nested deeper than Python reads") from None


def of_run(command: str, threads: int, ceilings: dict[str, float], accelerator: str = "") -> Record:
    """The part that all records of a run share: command, machine, versions and ceilings.

    Args:
      command: the command that repeats the measurement.
      threads: number of processors that each contender was pinned to.
      ceilings: the result of `ceilings.measure`.
      accelerator: the TPU or GPU that was measured; "" for none.
    """
    return {
        "command": command,
        "versions": info.versions((*info.PACKAGES, *PACKAGES)),
        "processor": f"{accelerator}, {_processor()}" if accelerator else _processor(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "ceilings": ceilings,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def of_case(run: Record, case: Case, outcome: Outcome) -> list[Record]:
    """One record for each contender: those that were timed, and those that were left out."""
    common = run | {
        "case": case.name,
        "mode": outcome.mode,
        "config": config_toml.dumps(case.config),
        "shape": dataclasses.asdict(case.shape) | {"modes": list(case.shape.modes)},
        "time_steps": case.shape.time_steps,
        "batch_size": case.shape.batch_size,
        "input_size": case.config.input_size,
        "hidden_sizes": [layer.hidden_size for layer in case.config.layers],
        "dtype": case.config.dtype,
        "flops": case.flops(outcome.mode),
        "bytes_moved": case.bytes_moved(outcome.mode),
    }
    records = []
    for name, timing in outcome.timings.items():
        of_time = estimate(timing.rounds_s)
        own = timing.prepared._asdict() | {"contender": name, "rounds_s": timing.rounds_s}
        del own["seen"]
        own |= {"median_s": of_time.median, "interval_s": [of_time.low, of_time.high]}
        own["null_s"] = estimate(timing.null_s).median if timing.null_s else None
        if outcome.mode != "compile":
            own["gflops_per_s"] = common["flops"] / of_time.median / 1e9
        records.append(common | own)
    for name, reason in outcome.left_out.items():
        records.append(common | {"contender": name, "left_out": reason})
    return records


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"
