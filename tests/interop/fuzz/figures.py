"""Prints what each crafted file takes: python -m tests.interop.fuzz.figures [KIND ...].

Each file is written in one new process and read in another. What the process held before is
subtracted.
"""

import multiprocessing
import pathlib
import sys
import tempfile
import time
import warnings

WORDS = 90  # characters of a message


def main(kinds):
    """Prints a table in Markdown."""
    import h5py  # noqa: F401, readers import it late, which is no memory of a file
    import onnx.external_data_helper  # noqa: F401
    import torch  # noqa: F401

    from tests.interop.fuzz.bounds import files_of
    from tests.interop.fuzz.targets import KINDS

    print("| reader | file | bytes | s | MiB | message |\n|---|---|---|---|---|---|")
    for kind in kinds or KINDS:
        for name, (write, _) in KINDS[kind].crafted.items():
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / f"crafted.{kind.partition('.')[2]}"
                in_process(write, path)
                size = sum(file.stat().st_size for file in files_of(path))
                took, more, words = in_process(measured, KINDS[kind].read, path)
            words = words.replace(folder + "/", "")[:WORDS].replace("|", "\\|")
            print(f"| {kind} | {name} | {size:,} | {took} | {more} | {words} |", flush=True)


def in_process(function, *given):
    """The result of a function in a copy of this process."""
    own, theirs = multiprocessing.Pipe()
    run = multiprocessing.get_context("fork").Process(
        target=lambda: theirs.send(function(*given)), daemon=True
    )
    run.start()
    theirs.close()
    try:
        return own.recv()
    except EOFError:
        return "", "", "the process ended"
    finally:
        run.join()


def measured(read, path):
    """Seconds, MiB, and the error of reading a file."""
    import jax

    from tests.interop.test_bad_files import peak_memory

    jax.devices()
    held, began, words = peak_memory(anew=True), time.process_time(), "read"
    try:
        read(path)
    except (ValueError, TypeError) as error:
        words = str(error)
    took, more = time.process_time() - began, peak_memory() - held
    return f"{took:.2f}", f"{more / (1 << 20):.0f}", words


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1:])
