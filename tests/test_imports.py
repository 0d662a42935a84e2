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

# Lowest first; a module may import from its own rank and from those below.
RANKS = [
    ("aligned", "validation", "dtypes", "keys", "writing"),
    ("activations",),
    ("layer",),
    ("config", "config_toml"),
    ("initializers", "params"),
    ("arguments",),
    ("cell",),
    ("randomness",),
    ("packing",),
    ("kernels",),
    ("convolution",),
    ("sequence",),
    ("chunks",),
    ("network",),
    ("sharded",),
    ("tensor_file", "io", "info"),
    ("export", "interop", "train", "bench", "check"),
    ("cli",),
    ("__main__",),
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
        "jlstm: the command line needs flax, optax, rich, scikit-learn, tyro: "
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
