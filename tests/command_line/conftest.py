"""The command line in an empty folder."""

import sys

import pytest

from jlstm import cli


@pytest.fixture
def jlstm_at(tmp_path, monkeypatch, capsys):
    """Runs the command line in an empty folder: (exit code, standard output, error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["jlstm", *words])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run
