"""The command line: what it prints, and what it says to bad input."""

import json
import subprocess
import sys

import jax
import pytest

import jlstm
from jlstm import cli

NETWORK = "[network]\ninput_size = 8\n[[network.layers]]\nhidden_size = 4\n"
TRAIN = '[train]\ntask = "digits"\nout = "runs/model"\n'


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


def test_info_prints_versions_devices_and_implementations(jlstm_at):
    code, out, _ = jlstm_at("info")
    assert code == 0
    for words in ("jax", "scan", "device 0", "yes"):
        assert words in out


def test_bench_measures_a_config_and_appends_records(jlstm_at, tmp_path):
    (tmp_path / "mine.toml").write_text(NETWORK + "[bench]\ntime_steps = 3\nbatch_size = 2\n")
    for _ in range(2):
        words = ["mine.toml", "--seconds", "0", "--out", "r.jsonl", "--only", "flax nnx"]
        code, out, _ = jlstm_at("bench", *words)
        assert code == 0
    assert "flax nnx" in out and "T 3, B 2" in out
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 2 * 2
    assert {line["case"] for line in lines} == {"mine"}


def test_a_process_speaks_without_a_traceback():
    code = "import sys; sys.argv = ['jlstm', 'eval', 'nowhere']; from jlstm.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.strip() == "jlstm: cannot read nowhere: No such file or directory"


BAD = [
    ("train", NETWORK.replace("input_size", "input_sise") + TRAIN, "did you mean 'input_size'"),
    ("train", NETWORK.replace("hidden_size", "hiden_size") + TRAIN, "did you mean 'hidden_size'"),
    ("train", NETWORK.replace("= 4", "= -4") + TRAIN, "hidden_size is -4"),
    ("train", NETWORK.replace("= 4", "= '4'") + TRAIN, "hidden_size is '4'"),
    ("train", NETWORK.replace("= 8", "= 7") + TRAIN, "read in rows of 8"),
    ("train", NETWORK + TRAIN.replace("digits", "digit"), "did you mean 'digits'"),
    ("train", NETWORK + TRAIN + "stepps = 3", "did you mean 'steps'"),
    ("train", NETWORK + TRAIN + "steps = 0", "steps is 0"),
    ("train", NETWORK + TRAIN + "learning_rate = 'fast'", "expected a number"),
    ("train", NETWORK + TRAIN + "shift = 2", "at most 1"),
    ("train", NETWORK + "reverse = true\n" + TRAIN, "has seen that row alone"),
    ("train", NETWORK + TRAIN + f"seed = {2**70}", "seed is"),
    ("train", NETWORK + TRAIN + "seed = 'x'", "seed is 'x'; expected a whole number"),
    ("train", NETWORK, "lacks the table [train]"),
    ("train", TRAIN, "lacks the table [network]"),
    ("train", "train = 3\n" + NETWORK, "[train] is 3; expected a table"),
    ("train", "network = 3\n" + TRAIN, "[network] is 3; expected a table"),
    ("train", NETWORK.replace("network", "net") + TRAIN, "did you mean 'network'"),
    ("train", "layers = [", "is not valid TOML"),
    ("train", "\udcff", "is not a text file"),
    ("bench", NETWORK + "[bench]\nbatch = 3", "did you mean 'batch_size'"),
    ("bench", NETWORK + "[bench]\nbatch_size = 0", "batch_size is 0"),
    ("bench", "", "lacks the table [network]"),
    ("eval", "not a model", "is not a whole safetensors file"),
    ("eval", "", "is not a whole safetensors file"),
]


@pytest.mark.parametrize(("command", "content", "words"), BAD)
def test_bad_input_is_one_clear_line_and_exit_code_2(jlstm_at, tmp_path, command, content, words):
    (tmp_path / "given").write_bytes(content.encode(errors="surrogateescape"))
    code, out, err = jlstm_at(command, "given")
    assert code == 2
    assert words in err and err.startswith("jlstm: ") and err.count("\n") == 1
    assert not out
    assert [path.name for path in tmp_path.iterdir()] == ["given"], "nothing is written"


@pytest.mark.parametrize("command", ["train", "bench", "eval"])
def test_files_that_are_not_there_and_folders_are_refused(jlstm_at, tmp_path, command):
    (tmp_path / "folder").mkdir()
    for name in ("folder", "nothing"):
        code, _, err = jlstm_at(command, name)
        assert code == 2 and f"cannot read {name}" in err


def test_a_network_without_a_readout_cannot_be_evaluated(jlstm_at):
    config = jlstm.Config.stack(8, [4])
    jlstm.save("model", config, jlstm.init(jax.random.key(0), config))
    code, _, err = jlstm_at("eval", "model")
    assert code == 2 and "no readout of 10 digits" in err


@pytest.mark.parametrize(
    "words",
    [["bech"], ["train"], ["train", "a", "--outt", "b"], ["bench", "--seconds", "x"], ["eval"]],
)
def test_unknown_words_are_exit_code_2(jlstm_at, words):
    code, out, err = jlstm_at(*words)
    assert code == 2 and "Traceback" not in out + err


def test_records_that_cannot_be_written_are_refused_before_measuring(jlstm_at, tmp_path):
    code, _, err = jlstm_at("bench", "--out", "no/such/folder/r.jsonl")
    assert code == 2 and "cannot write records" in err
    code, _, err = jlstm_at("bench", "--seconds", "-1", "--out", "r.jsonl")
    assert code == 2 and "--seconds is -1" in err
    assert not list(tmp_path.iterdir())


def test_help_names_every_command(jlstm_at):
    code, out, _ = jlstm_at("--help")
    assert code == 0
    for name in ("bench", "train", "eval", "info"):
        assert name in out
