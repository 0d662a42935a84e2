"""Every notebook runs from top to bottom, and is what its script says."""

import importlib.util
import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# What holds at the end of each notebook, and the number of its pictures.
CLAIMS = {
    "lstm_basics": """
assert state.c.shape == state.h.shape == output.shape == (1, 4)
assert (output == state.h).all()
assert outputs.shape == (2, 3, 5)
assert [layer.c.shape for layer in carry] == [(2, 4), (2, 5)]
assert all((jnp.abs(a) > 0).any() for a in jax.tree.leaves(gradients))
""",
    "character_model": """
assert len(bits) == steps and np.mean(bits[-10:]) < bits[0] - 1
assert abs(measured["bits"] - np.mean(bits[-10:])) < 1
""",
    "different_lengths": """
assert accuracies[-1] > 0.5 and accuracy > 0.5
assert difference < 1e-5
""",
    "forecasting": """
assert errors["model"]["mae"] < errors["persistence"]["mae"]
assert quantiles.shape == (len(test.xs), 24, 3) and inside.mean() > 0.2
""",
    "ensembles": """
assert members[0].layers[0].w_h.shape == (16, 16, 64)
assert gradients[0].layers[0].w_h.shape == (512, 16, 64)
assert spread.shape == error.shape == (80,)
""",
    "recurrent_ppo": """
assert difference < 1e-5
assert with_memory[:, -10:].mean() > 0.8 > 0.6 > without[:, -10:].mean() > 0.4
""",
    "frameworks": """
assert len(differences) == 4 and max(differences.values()) < 1e-5
assert all(same) and served.shape == (30, 4, 32)
""",
    "flax_model": """
assert apart < 1e-5 and ys.shape == (5, 8, 128)
assert all(losses[-1] < losses[0] for losses, _ in curves.values())
""",
    "tpu_speed": """
assert max(worst.values()) < 1e-4
assert all(set(taken) == {"Flax", "scan", "auto"} for taken in results.values())
""",
}
PICTURES = {
    "lstm_basics": 2,
    "character_model": 2,
    "different_lengths": 3,
    "forecasting": 3,
    "recurrent_ppo": 2,
    "ensembles": 2,
    "frameworks": 4,
    "flax_model": 2,
    "tpu_speed": 2,
}
PACKAGES = {"frameworks": ("torch", "keras", "onnxruntime")}
SMALL = "import os\nos.environ['JLSTM_SMALL'] = '1'"


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs(path, tmp_path):
    for package in PACKAGES.get(path.stem, ()):
        pytest.importorskip(package)
    import nbclient
    import nbformat
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class Here(AsyncKernelManager):
        """A kernel of the interpreter that the tests run in."""

        @property
        def kernel_spec(self):
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            env = {"PYTHONPATH": str(FOLDER.parent)}  # this checkout
            return KernelSpec(argv=argv, env=env, display_name="here", language="python")

    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SMALL))
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


@pytest.fixture
def make():
    """The module that writes notebooks from scripts."""
    pytest.importorskip("jupytext")
    spec = importlib.util.spec_from_file_location("make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_script_says(path, make):
    import nbformat

    notebook, wanted = nbformat.read(path, as_version=4), make.notebook_of(path.with_suffix(".py"))
    assert make.SCRIPTS and wanted.metadata.accelerator == "TPU"
    assert notebook.metadata == wanted.metadata
    assert [(cell.cell_type, cell.id, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.id, cell.source) for cell in wanted.cells
    ]
    script = path.with_suffix(".py").read_text()
    assert script.count(f"github.com/{make.REPOSITORY}") == script.count("github.com/") > 0


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_its_outputs_and_is_small(path):
    import nbformat

    assert path.stat().st_size < 500_000
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[path.stem]
