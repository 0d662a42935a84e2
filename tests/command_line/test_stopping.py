"""Ctrl-C and SIGTERM at any moment end a command without a traceback."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import pytest

import jlstm
from jlstm import cli, info


def test_ctrl_c_during_the_imports_leaves_no_traceback():
    code = (
        "import builtins, os, signal\n"
        # A job in the background begins with the signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from jlstm import __main__\n"
        "imports = builtins.__import__\n"
        "def stopped(name, *rest, **options):\n"
        "    if name == 'tyro': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return imports(name, *rest, **options)\n"
        "builtins.__import__ = stopped\n"
        "__main__.main()\n"
    )
    run = subprocess.run([sys.executable, "-c", code, "info"], capture_output=True)
    assert (run.returncode, run.stdout, run.stderr) == (130, b"", b"jlstm: stopped\n")


@pytest.mark.parametrize("name", ["jlstm", "other"])
def test_ctrl_c_while_jax_is_imported_leaves_no_traceback_of_the_command(tmp_path, name):
    """The script of the command imports the package. So do other programs, which see the error."""
    (tmp_path / "jax.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    script = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    (tmp_path / name).write_text(script + "from jlstm.__main__ import main\nmain()\n")
    root = pathlib.Path(cli.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, str(tmp_path / name), "info"],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
    )
    if name == "jlstm":
        assert (run.returncode, run.stdout, run.stderr) == (130, b"", b"jlstm: stopped\n")
    else:
        assert run.stderr.endswith(b"KeyboardInterrupt\n") and run.returncode == -signal.SIGINT


def test_ctrl_c_in_a_callback_is_not_lost(jlstm_at, monkeypatch):
    """Python would print it, and go on."""

    class Collected:
        def __del__(self):
            raise KeyboardInterrupt

    def show(**_):
        Collected()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            time.sleep(0.01)
        print("not stopped")

    monkeypatch.setattr("jlstm.info.show", show)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert jlstm_at("info") == (130, "", "jlstm: stopped\n")
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_that_comes_of_ctrl_c_is_no_error(jlstm_at, monkeypatch):
    """C++ that called Python raises another one, and only quotes the first."""

    def show(**_):
        raise RuntimeError("INTERNAL: CpuCallback error: KeyboardInterrupt: ")

    monkeypatch.setattr("jlstm.info.show", show)
    assert jlstm_at("info") == (130, "", "jlstm: stopped\n")


def test_sigterm_ends_a_command_in_order(tmp_path):
    """The signal comes while `convert` writes its output, in a separate process."""
    config = jlstm.Config.stack(8, [4])
    jlstm.save(tmp_path / "m.safetensors", config, jlstm.init(jax.random.key(0), config))
    code = """if True:
        import os, signal, sys
        from jlstm import cli

        def fsync(_):
            print(len(os.listdir()))
            os.kill(os.getpid(), signal.SIGTERM)

        os.fsync = fsync
        sys.argv = ["jlstm", "convert", "m.safetensors", "other.safetensors"]
        try:
            cli.main()
        finally:
            print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(jlstm.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (143, "2\nTrue\n")
    assert done.stderr.splitlines()[-1] == "jlstm: stopped"
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_sigterm_stays_ignored_where_it_was(jlstm_at, monkeypatch):
    monkeypatch.setattr(info, "show", lambda **_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert jlstm_at("info") == (0, "", "")
    finally:
        signal.signal(signal.SIGTERM, before)
