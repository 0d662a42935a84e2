"""The command `jlstm report`: turns records into Markdown and pictures."""

import contextlib
import pathlib
from collections.abc import Iterator

from jlstm.bench import records
from jlstm.bench.report import figures, markdown, pictures
from jlstm.files import folders, writing
from jlstm.terminal import say


def run(path: pathlib.Path, out: pathlib.Path | None) -> None:
    """Writes a report on the records at `path`.

    Nothing is written before all of it is ready, and each file is written atomically.

    Args:
      path: the .jsonl file, or one compressed as .jsonl.gz.
      out: the Markdown file. None means the path of the records with the extension .md. Pictures go
        to a folder of the same name without the extension. Existing files are replaced, and the
        output says so.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: the records cannot be read, the report would replace them, or it cannot be
        written.
    """
    found = records.read(path)
    if out is None:
        out = path.with_name(path.name.removesuffix(".gz") or path.name).with_suffix(".md")
    folder = _folder(out)
    figures.require()
    with _refused(out), folders.made(out):
        writing.try_by(out)  # before the pictures, which take seconds
    drawn = pictures.draw(found)
    captions = {name: picture.caption for name, picture in drawn.items()}
    text = markdown.write(found, captions, path.name, folder.name)
    # The Markdown comes last, so that it shows only pictures that are there.
    files = {folder / name: picture.content for name, picture in drawn.items()}
    files[out] = text.encode()
    for place in files:
        writing.require_apart(path, place, f"the report's file {place}")
    replaces = out.is_file()
    with _refused(out):
        folder.mkdir(parents=True, exist_ok=True)
        for place, content in files.items():
            writing.write_bytes(place, content)
    said = f"report written to {out}" + ", which existed and was replaced" * replaces
    say(said)


@contextlib.contextmanager
def _refused(out: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write the report {out}: {writing.reason(error)}") from None


def _folder(out: pathlib.Path) -> pathlib.Path:
    """The folder of the pictures."""
    # The name "...md" would make it the folder above.
    if out.suffix.lower() not in (".md", ".markdown") or out.stem in (".", ".."):
        raise ValueError(f"--out is {out}; expected a file name with the extension .md")
    folder = out.with_suffix("")
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"the pictures of {out} go to the folder {folder}, but this is a file; pass another "
            "file name with --out"
        )
    return folder
