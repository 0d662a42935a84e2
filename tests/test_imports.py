"""Imports run one way, need little, and do nothing."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "jlstm"

# Lowest first; a module may import from its own rank and from those below.
RANKS = [
    ("validation", "dtypes", "keys"),
    ("activations",),
    ("layer",),
    ("config",),
    ("initializers", "params"),
    ("arguments", "masking"),
    ("cell",),
    ("randomness",),
    ("packing",),
    ("kernels",),
    ("convolution",),
    ("network",),
    ("files", "info"),
    ("interop", "train", "bench", "check"),
    ("cli",),
]
RANK = {name: n for n, names in enumerate(RANKS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """The parts of the package that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("jlstm."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    own = part(path)
    for name in imported(path):
        assert RANK[name] <= RANK[own], f"{own} imports {name}, which stands above it"


def test_every_part_of_the_package_has_its_rank():
    assert {part(path) for path in MODULES} == set(RANK)


def python(code):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_import_needs_jax_alone():
    code = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"flax", "optax", "safetensors", "rich", "tyro", "sklearn"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import jax, jlstm
config = jlstm.Config.stack(6, [4, 5])
params = jlstm.init(jax.random.key(0), config)
jlstm.apply(config, params, None, jax.numpy.ones((3, 2, 6)))
"""
    python(code)


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
