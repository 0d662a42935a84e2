"""The command `jlstm report`: turns records into Markdown and pictures."""

import pathlib

from rich.console import Console

from jlstm.bench import records
from jlstm.bench.report import markdown, pictures


def run(path: pathlib.Path, out: pathlib.Path | None) -> None:
    """Writes a report on the records at `path`.

    Args:
      path: the .jsonl file, or one compressed as .jsonl.gz.
      out: the Markdown file. None means the path of the records with the extension .md. Pictures go
        to a folder of the same name without the extension.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: the records cannot be read, or the report cannot be written.
    """
    found = records.read(path)
    if out is None:
        out = path.with_name(path.name.removesuffix(".gz")).with_suffix(".md")
    folder = out.with_suffix("")
    if folder == out:
        raise ValueError(f"--out is {out}; expected a file name with the extension .md")
    pictures.require()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = pictures.draw(found, folder)
        out.write_text(markdown.write(found, drawn, path.name, folder.name), encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot write the report {out}: {error.strerror}") from None
    Console().print(f"report written to {out}", soft_wrap=True, markup=False, highlight=False)
