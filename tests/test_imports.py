"""Imports run one way, need little, and do nothing."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from jlstm.__main__ import NEEDED

PACKAGE = pathlib.Path(__file__).parent.parent / "jlstm"

# The modules and folders of each folder, lowest first. A module may import only lower ones. For
# modules of different folders, the order of the last folder that contains both decides.
RANKS = {
    "": [
        ("commands", "dtypes", "initializers", "keys", "normalisation", "stopping", "validation"),
        ("activations", "progress", "terminal", "usage"),
        ("layer",),
        ("config",),
        ("params", "sizes"),
        ("quantized",),
        ("arguments", "masking", "named"),
        ("cell", "quantization"),
        ("packing", "randomness"),
        ("kernels",),
        ("convolution", "network"),
        ("files", "info", "weight_decay"),
        ("check", "interop", "train"),
        ("bench", "modules"),
        ("cli",),
        ("__main__",),
    ],
    "kernels": [
        ("plain", "primitives", "recurrence"),
        ("scan",),
        ("divided", "fused_as_scans"),
        ("cpu", "tpu", "unrolled"),
        ("fused_products",),
        ("fused",),
        ("cudnn",),
        ("choice", "registration"),
    ],
    "kernels/primitives": [
        ("device_types", "float_checks", "libtpu_form", "operands"),
        ("folding", "partition"),
        ("operation",),
    ],
    "kernels/cpu": [("library",), ("lowering",)],
    "kernels/tpu": [("vmem",), ("tiling",), ("grid",), ("backward", "forward"), ("lowering",)],
    "kernels/cudnn": [("calls",), ("layer",)],
    "network": [
        ("gathering", "intake", "readout"),
        ("sequence", "step"),
        ("spans",),
        ("stack",),
        ("sharded",),
    ],
    "files": [
        (
            "aligned",
            "contents",
            "folders",
            "regular",
            "sorted_metadata",
            "temporary",
            "toml_text",
            "toml_writing",
        ),
        ("archives", "config_toml"),
        ("npz",),
        ("tensor_file", "writing"),
        ("models",),
        ("export",),
        ("command",),
    ],
    "interop": [
        ("needs", "protobuf", "quiet", "report", "sources"),
        ("sides",),
        ("tensorflow",),
        ("cudnn", "equinox", "flax", "formats", "haiku", "keras", "onnx", "torch"),
        ("command", "linen", "nnx"),
    ],
    "interop/keras": [
        ("hdf5", "names", "repeatable"),
        ("options", "parts"),
        ("cells", "layers", "tree"),
        ("chains", "live", "weights"),
        ("choice",),
        ("grouped", "legacy"),
        ("checkpoints",),
        ("files",),
        ("conversion",),
    ],
    "interop/onnx": [
        ("constants", "generality", "joining", "names", "node", "sizes", "wire"),
        ("bodies", "file", "operators", "quantized"),
        ("builder", "evaluation"),
        ("graph", "level"),
        ("layers", "outputs", "stacks", "states"),
        ("levels",),
        ("conversion",),
    ],
    "interop/tensorflow": [
        ("carry", "names", "objects", "table"),
        ("cells", "checkpoint_v1"),
        ("checkpoint",),
        ("conversion",),
    ],
    "interop/torch": [
        ("names", "objects", "tensor_files"),
        ("forms", "pickles"),
        ("files", "modules"),
        ("states",),
        ("conversion",),
    ],
    "train": [
        ("best", "launch", "model", "sections"),
        ("changes", "data", "optimizer", "runs"),
        ("tasks",),
        ("settings", "step", "trained"),
        ("devices", "ending", "loop", "naive", "requirements", "sampling"),
        ("evaluating", "predicting", "saving"),
        ("training",),
        ("run",),
        ("command",),
    ],
    "train/data": [
        ("idx_file", "musicxml", "split", "ts_file", "verses", "vocabulary"),
        ("batches", "digits", "holdout", "synthetic", "tables"),
        ("aeon", "chorales", "images", "text"),
        ("sources",),
    ],
    "train/data/synthetic": [
        ("drawing", "prediction", "reber_grammar", "symbols"),
        (
            "adding",
            "copy_memory",
            "counting",
            "mnist1d",
            "noisy_sines",
            "reber",
            "temporal_order",
        ),
    ],
    "train/data/tables": [
        ("array_checks", "columns", "options", "scaling"),
        ("csv_file", "parquet_file", "ragged"),
        ("table",),
        ("arrays", "classes", "series"),
        ("new", "sequences"),
        ("predictions",),
    ],
    "train/tasks": [
        ("task",),
        ("classify", "ctc", "forecast", "label", "language", "regress"),
        ("fitting", "names"),
    ],
    "train/runs": [
        (
            "appending",
            "clock",
            "fingerprints",
            "lock",
            "model_file",
            "orbax",
            "progress",
            "resolved",
        ),
        ("checkpoints", "events", "processes", "stopping", "summary"),
        ("metrics",),
        ("curves",),
        ("folder",),
    ],
    "train/command": [("loading", "train"), ("evaluate", "predict", "sample")],
    "check": [("calls", "timing", "trial"), ("contracts",), ("command",)],
    "modules": [
        ("carries", "equinox", "networks", "parameters"),
        ("calls", "scopes", "sources", "variables"),
        ("linen_cell", "nnx_cell"),
        ("linen", "nnx"),
    ],
    "bench": [
        (
            "cases",
            "ceilings",
            "contenders",
            "launches",
            "memory",
            "old_libtpu",
            "statistics",
            "targets",
        ),
        ("compile_worker", "compiled", "problem", "record_fields"),
        ("agreement", "peers"),
        ("worker",),
        ("compare",),
        ("records", "tables"),
        ("regressions",),
        ("document",),
        ("command", "compile_command", "report"),
    ],
    "bench/peers": [
        ("jax_program", "plain"),
        ("cudnn", "equinox", "flax_linen", "flax_nnx", "haiku", "keras", "ours", "pytorch", "scan"),
        ("onnx",),
    ],
    "bench/report": [
        ("escaping", "figures", "headings"),
        ("measured", "pictures"),
        ("markdown",),
        ("command",),
    ],
}
RANK = {
    folder: {name: n for n, names in enumerate(ranks) for name in names}
    for folder, ranks in RANKS.items()
}
FACES = {path.parent for path in PACKAGE.rglob("__init__.py")}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def place(path):
    """The names that lead from the package to a module, or to a folder for its __init__.py."""
    place = path.relative_to(PACKAGE).with_suffix("").parts
    return place[:-1] if place[-1] == "__init__" else place


def imported(source):
    """The modules and folders of the package that a module imports, wherever in it that stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first != "jlstm":
                continue
            while not (
                PACKAGE.joinpath(*rest) in FACES
                or PACKAGE.joinpath(*rest[:-1], f"{rest[-1]}.py").exists()
            ):
                rest.pop()  # a name in a module
            yield tuple(rest)


def upward(own, source):
    """What a module at the place `own` imports that does not stand below it."""
    for other in imported(source):
        shared = 0
        while shared < min(len(own), len(other)) and own[shared] == other[shared]:
            shared += 1
        if shared == len(own):  # a folder's __init__.py, of the folder itself
            continue
        rank = RANK["/".join(own[:shared])]
        if shared == len(other):  # a folder that the module stands in, and all that this imports
            face = PACKAGE.joinpath(*other, "__init__.py").read_text()
            below = {one[shared] for one in imported(face) if one[:shared] == other != one}
        else:
            below = {other[shared]}
        for name in below:
            if rank[name] >= rank[own[shared]]:
                yield ".".join((*other[:shared], name))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    assert list(upward(place(path), path.read_text())) == []


@pytest.mark.parametrize(
    ("path", "planted", "found"),
    [
        ("cell.py", "from jlstm.kernels import scan", "kernels"),
        ("cell.py", "def late():\n    import jlstm.network.stack", "network"),
        ("config.py", "import jlstm", "config"),
        ("kernels/scan.py", "from jlstm.kernels.choice import choose", "kernels.choice"),
        ("kernels/scan.py", "from jlstm.kernels.tpu.vmem import Tiles", "kernels.tpu"),
        (
            "kernels/cpu/library.py",
            "from jlstm.kernels.cpu import lowering",
            "kernels.cpu.lowering",
        ),
        ("interop/sides.py", "from jlstm.interop.keras import from_keras", "interop.keras"),
        ("interop/keras/parts.py", "from jlstm.interop.keras import files", "interop.keras.files"),
        ("interop/keras/parts.py", "from jlstm.interop import from_torch", "interop.torch"),
        ("interop/torch/states.py", "from jlstm.interop.onnx import node", "interop.onnx"),
    ],
)
def test_an_import_in_the_wrong_direction_is_found(path, planted, found):
    path = PACKAGE / path
    assert found in upward(place(path), f"{path.read_text()}\n{planted}\n")


def test_every_module_and_folder_has_its_rank():
    stands = {folder: set() for folder in RANKS}
    for path in MODULES:
        *folder, name = place(path)
        stands["/".join(folder)].add(name)
    assert stands == {folder: set(rank) for folder, rank in RANK.items()}


def python(code, *arguments):
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


WITHOUT_EXTRAS = f"""
import importlib.machinery, sys

class Refuse(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in {tuple(NEEDED.values())!r}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Refuse
"""


def test_the_library_needs_nothing_of_the_extras(tmp_path):
    code = """
import sys
import jax, jlstm

config = jlstm.Config.stack(6, [4, 5])
params = jlstm.init(jax.random.key(0), config)
jlstm.apply(config, params, None, jax.numpy.ones((3, 2, 6)))
jlstm.save(sys.argv[1], config, params)
assert jlstm.load(sys.argv[1])[0] == config
jlstm.export(config, params).serialize()
"""
    python(WITHOUT_EXTRAS + code, str(tmp_path / "model"))


def test_importing_needs_jax_alone():
    """Not even what reads and writes files."""
    refuse = WITHOUT_EXTRAS.replace("('flax'", "('flatbuffers', 'safetensors', 'flax'")
    python(refuse + "import jlstm\nassert not {'flatbuffers', 'safetensors'} & set(sys.modules)")


def test_the_command_says_what_to_install():
    code = WITHOUT_EXTRAS + "from jlstm.__main__ import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2 and not run.stdout
    assert run.stderr == (
        "jlstm: the command line needs flax, optax, orbax-checkpoint, rich, scikit-learn, tyro: "
        "pip install 'jlstm[cli]', or from a checkout pip install '.[cli]'\n"
    )


def test_the_command_needs_what_its_extra_brings():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["cli"] == list(NEEDED)
    assert not {re.match(r"[\w-]+", d)[0] for d in project["dependencies"]} & set(NEEDED)


def test_the_changes_of_this_version_are_written_down():
    import jlstm

    assert f"\n## {jlstm.__version__}" in (PACKAGE.parent / "CHANGELOG.md").read_text()


def test_import_touches_no_device():
    code = """
import jlstm
from jax._src import xla_bridge
print(xla_bridge._backends)
"""
    assert python(code).strip() == "{}"


def test_the_public_names_are_those_that_are_documented():
    import jlstm

    public = {name for name in vars(jlstm) if not name.startswith("_")}
    modules = {name for name in public if hasattr(getattr(jlstm, name), "__path__")}
    modules |= {name for name in public if type(getattr(jlstm, name)).__name__ == "module"}
    for name in public - modules:
        assert getattr(jlstm, name).__doc__, f"jlstm.{name} has no docstring"
    expected = "Layer Config init initial_carry step apply trace lstm_cell lstm implementations"
    assert set(expected.split()) | {"save", "load", "Params", "Carry"} <= public - modules
