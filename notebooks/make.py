"""Writes each notebook from its script, with the badge and the first cell that all share.

    python notebooks/make.py                  # after a change of a script, or of the repository
    python notebooks/make.py --run NAME ...   # runs notebooks and keeps their outputs

The scripts are in jupytext's percent format. A fork sets its repository in one place, `REPOSITORY`
below, and runs the first command.
"""

import argparse
import base64
import io
import pathlib

import jupytext
import nbformat
from PIL import Image

REPOSITORY = "jlstm/jlstm"
FOLDER = pathlib.Path(__file__).parent
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path != pathlib.Path(__file__))
# What a notebook needs beside the commands' packages, as pip names it.
NEEDS = {
    "different_lengths": "--no-deps aeon",
    "frameworks": "torch keras h5py onnx onnxruntime",
}
METADATA = {
    "accelerator": "TPU",
    "colab": {"gpuType": "V5E1", "provenance": []},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb)"
)
SETUP = """\
# Installs jlstm if it is missing, as in Colab, and keeps the installed JAX.
import importlib.util
import os
from importlib.metadata import version

if importlib.util.find_spec("jlstm") is None:
    kept = " ".join(f"{{name}}=={{version(name)}}" for name in ("jax", "jaxlib", "flax", "numpy"))
    %pip install -q "jlstm[cli] @ git+https://github.com/{repository}" {{kept}}{needs}

import jax

import jlstm

print(*(f"{{name}} {{version(name)}}" for name in ("jlstm", "jax", "jaxlib", "flax")), sep=", ")
print(f"{{jax.device_count()}} device: {{jax.devices()[0].device_kind}}")
if jax.default_backend() != "tpu":
    print(f"There is no TPU here, so all cells run on the {{jax.default_backend().upper()}}.")

SMALL = "JLSTM_SMALL" in os.environ  # the tests run a short version\
"""


def parts(name: str) -> tuple[str, str]:
    """The badge and the first code cell of a notebook."""
    needs = f"\n    %pip install -q {NEEDS[name]}" if name in NEEDS else ""
    values = {"repository": REPOSITORY, "name": name, "needs": needs}
    return BADGE.format(**values), SETUP.format(**values)


def notebook_of(script: pathlib.Path) -> nbformat.NotebookNode:
    """The notebook of a script, without outputs."""
    notebook = jupytext.read(script, fmt="py:percent")
    badge, setup = parts(script.stem)
    notebook.cells[0].source = badge
    code(notebook)[0].source = setup
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for n, cell in enumerate(notebook.cells):
        cell.id = f"cell-{n:02}"
    return notebook


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shrink(cell: nbformat.NotebookNode) -> None:
    """Gives the pictures of a cell a palette of 128 colours, drops times and warnings."""
    cell.metadata.pop("execution", None)
    if cell.cell_type == "code":
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
            file = io.BytesIO()
            picture.quantize(128).save(file, "PNG", optimize=True)
            data["image/png"] = base64.b64encode(file.getvalue()).decode()


def write(script: pathlib.Path, run: bool) -> None:
    """Writes a notebook, and its script anew. Outputs of unchanged code are kept."""
    notebook, path = notebook_of(script), script.with_suffix(".ipynb")
    if run:
        from nbclient import NotebookClient

        NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": "."}}).execute()
        notebook.metadata = nbformat.from_dict(METADATA)  # without the version of Python
        for cell in notebook.cells:
            shrink(cell)
    elif path.exists():
        old, new = code(nbformat.read(path, as_version=4)), code(notebook)
        if [cell.source for cell in old] == [cell.source for cell in new]:
            for cell, before in zip(new, old, strict=True):
                cell.outputs, cell.execution_count = before.outputs, before.execution_count
    nbformat.write(notebook, path)
    bare = nbformat.from_dict({**notebook, "metadata": {}})
    bare.metadata["jupytext"] = {"notebook_metadata_filter": "-all", "cell_metadata_filter": "-all"}
    script.write_text(jupytext.writes(bare, fmt="py:percent"))


def main() -> None:
    """Writes the notebooks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs="*", default=[], metavar="NAME")
    names = parser.parse_args().run
    for script in SCRIPTS:
        if not names or script.stem in names:
            write(script, script.stem in names)


if __name__ == "__main__":
    main()
