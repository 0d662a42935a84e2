"""Every notebook runs from top to bottom."""

import pathlib
import sys

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
CLAIMS = {
    "lstm_basics": """
assert state.c.shape == state.h.shape == output.shape == (1, 4)
assert (output == state.h).all()
assert outputs.shape == (2, 3, 5)
assert [layer.c.shape for layer in carry] == [(2, 4), (2, 5)]
assert all((jnp.abs(a) > 0).any() for a in jax.tree.leaves(gradients))
""",
}
PICTURES = {"lstm_basics": 2}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs(path, tmp_path):
    import nbclient
    import nbformat
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class Here(AsyncKernelManager):
        """A kernel of the interpreter that the tests run in."""

        @property
        def kernel_spec(self):
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="here", language="python")

    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "saved with outputs"
    notebook.cells.append(nbformat.v4.new_code_cell(CLAIMS[path.stem]))
    nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_manager_class=Here,
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == PICTURES[path.stem]


def test_every_notebook_is_claimed():
    assert {path.stem for path in NOTEBOOKS} == set(CLAIMS) == set(PICTURES)
