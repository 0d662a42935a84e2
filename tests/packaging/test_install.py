"""Installing: what it leaves alone, what it needs, and what it says if C++ cannot be compiled."""

import os
import pathlib
import subprocess
import venv

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
OLDEST = ["jax==0.7.2", "jaxlib==0.7.2"]
USE = """
import sys, jax, numpy as np, jlstm

config = jlstm.Config.stack(6, [4, 5])
params = jlstm.init(jax.random.key(0), config)
_, ys = jlstm.apply(config, params, None, np.ones((3, 2, 6), "float32"))
assert ys.shape == (3, 2, 5)
jlstm.save("model", config, params)
jax.tree.map(np.testing.assert_array_equal, jlstm.load("model"), (config, params))
jlstm.export(config, params).serialize()
assert not {"flax", "optax", "rich", "sklearn", "tyro"} & set(sys.modules)
name, usable, why = jlstm.implementations(config, "cpu")[0]
print(jax.__version__, jlstm.__version__, name, usable, why)
"""

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that has the oldest supported jax: runs a program of its, in it."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)

    def run(program, *arguments, **variables):
        return subprocess.run(
            [folder / "bin" / program, *arguments],
            cwd=folder,
            env={name: v for name, v in os.environ.items() if name != "PYTHONPATH"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    assert succeeded(run("pip", "install", *OLDEST))
    return run


def succeeded(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packages(run):
    found = succeeded(run("pip", "list", "--format=freeze")).split()
    return dict(line.split("==") for line in found)


@pytest.fixture(scope="module")
def installed(environment, tmp_path_factory):
    """All that `pip install .` ran, and the packages before and after it."""
    before = packages(environment)
    log = tmp_path_factory.mktemp("logs") / "pip"
    succeeded(environment("pip", "install", "--log", log, ROOT))
    return log.read_text(), before, packages(environment)


def test_an_installation_leaves_the_packages_that_are_there_as_they_are(installed):
    _, before, after = installed
    assert before["jax"] == "0.7.2" and before["jaxlib"] == "0.7.2"
    assert {name: after.get(name) for name in before} == before
    assert after.keys() - before.keys() == {"jlstm", "flatbuffers", "safetensors"}


def test_the_library_works_with_what_it_depends_on_alone(installed, environment):
    log, _, after = installed
    words = succeeded(environment("python", "-c", USE)).split()
    assert words[:4] == ["0.7.2", after["jlstm"], "cpu", str("0_without_cpp_kernels" not in log)]


def test_the_command_says_what_to_install(installed, environment):
    done = environment("jlstm", "info")
    assert done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
    assert "pip install 'jlstm[cli]', or from a checkout pip install '.[cli]'" in done.stderr


def test_the_wheel_holds_types_and_licence_and_no_sources_of_kernels(installed, environment):
    files = succeeded(environment("pip", "show", "--files", "jlstm")).split()
    assert {"jlstm/py.typed", "jlstm/bench/quick.toml"} <= set(files)
    assert any(file.endswith("licenses/LICENSE") for file in files)
    assert not [file for file in files if file.endswith((".cc", ".h")) or "build_backend" in file]
    assert not [file for file in files if file.startswith("tests")]


def test_nothing_is_compiled_while_metadata_is_prepared(installed):
    """That a compiler ran is seen by what CMake says of it."""
    log, _, _ = installed
    metadata, wheel = log.split("Building wheel for jlstm", 1)
    assert "Preparing metadata" in metadata and "Configuring CMake" not in metadata
    assert wheel.count("Configuring CMake") == 1


def test_an_installation_without_a_compiler_succeeds_and_says_so(installed, environment):
    said = succeeded(environment("pip", "install", "--no-deps", ROOT, CXX="/bin/false"))
    assert "jlstm-" in said and "0_without_cpp_kernels-py3-none-any.whl" in said
    done = environment("python", "-c", USE)
    assert " cpu False " in succeeded(done)
    assert done.stderr.count("RuntimeWarning: jlstm does not use its CPU kernels") == 1
