"""What commands print, and what happens where it cannot be printed."""

import importlib.metadata
import json
import os
import subprocess
import sys
import warnings

import pytest

import jlstm
from jlstm import info
from jlstm.bench import records


def test_info_prints_versions_devices_and_implementations(jlstm_at):
    code, out, _ = jlstm_at("info")
    assert code == 0
    for words in ("jax", "scan", "device 0", "yes"):
        assert words in out


def test_info_as_json_is_one_document(jlstm_at):
    code, out, err = jlstm_at("info", "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    assert found["versions"]["jlstm"] == jlstm.__version__
    assert found["devices"][0] == {"id": 0, "platform": "cpu", "kind": "cpu"}
    usable = {each["name"]: each["usable"] for each in found["implementations"]}
    assert usable["scan"] and not usable["tpu"]
    assert all(bool(each["reason"]) != each["usable"] for each in found["implementations"])


def test_versions_name_what_drives_a_chip_where_it_is_installed(monkeypatch):
    """In reports and records alike; of what is not there nothing is said."""
    version = importlib.metadata.version

    def of_a_tpu(name):
        if name in info.OF_CHIPS:
            if name != "libtpu":
                raise importlib.metadata.PackageNotFoundError(name)
            return "9.8.7"
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", of_a_tpu)
    for found in (info.versions(), records.of_run("jlstm bench", 2, {})["versions"]):
        assert found["libtpu"] == "9.8.7"
        assert not [name for name in found if "cuda" in name or "cudnn" in name]


OUTPUT = """
import sys
from jlstm import cli, info

info.show = lambda **_: print("versions")
sys.argv = ["jlstm", "info"]
cli.main()
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.full)])
def test_output_that_cannot_be_written_is_one_line(unbuffered):
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-c", OUTPUT], stdout=full, stderr=subprocess.PIPE, env=environment
        )
    assert run.stderr.decode() == "jlstm: cannot print: No space left on device\n"
    assert run.returncode == 2


@pytest.mark.parametrize("unbuffered", ["", pytest.param("1", marks=pytest.mark.full)])
def test_who_reads_only_the_first_lines_gets_no_error(unbuffered):
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-c", OUTPUT], stdout=write, stderr=subprocess.PIPE, env=environment
    )
    os.close(write)
    assert (run.returncode, run.stderr) == (1, b"")


def test_help_names_every_command(jlstm_at):
    code, out, _ = jlstm_at("--help")
    assert code == 0
    for name in ("bench", "train", "eval", "info"):
        assert name in out


@pytest.mark.filterwarnings("always:characters count")
def test_a_warning_is_one_line_without_its_place(jlstm_at, monkeypatch):
    def show(**_):
        warnings.warn("characters count\nas unknown: \x1b[31m", stacklevel=1)

    monkeypatch.setattr(info, "show", show)
    assert jlstm_at("info") == (0, "", "warning: characters count as unknown: \\x1b[31m\n")
    monkeypatch.setenv("JLSTM_TRACEBACK", "1")
    with pytest.warns(UserWarning, match="characters count\nas unknown"):
        jlstm_at("info")
