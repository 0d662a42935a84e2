"""The command line: what it prints, and what it says to bad input."""

import importlib.metadata
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

import jax
import numpy as np
import pytest

import jlstm
from jlstm import cli, info
from jlstm.bench import compiled, records, targets
from jlstm.check import command as check
from jlstm.check.timing import Size
from jlstm.kernels import choice
from jlstm.train.data import sources

NETWORK = "[network]\ninput_size = 8\n[[network.layers]]\nhidden_size = 4\n"
CASE = "[[case]]\nname = 'a'\ninput_size = 8\nhidden_size = 4\n"
DATA = '[data]\nsource = "digits"\n[task]\nname = "classify"\n'
TRAIN = DATA + '[train]\nout = "runs/digits"\n'


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


@pytest.mark.parametrize(
    "words", ["info", "check", "train x", "eval x", "convert x y", "export x y"]
)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Unable to initialize backend 'tpu':\nin use"), "backend 'tpu': in use;"),
        (AssertionError(), "this machine has no device of the given platforms;"),
    ],
)
def test_jax_that_cannot_start_is_one_line_with_what_to_do(
    jlstm_at, monkeypatch, words, error, said
):
    def devices():
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    monkeypatch.setattr(jax, "devices", devices)
    code, _, err = jlstm_at(*words.split())
    assert code == 2 and err.startswith("jlstm: JAX cannot start: ") and err.count("\n") == 1
    assert said in err and "or unset JAX_PLATFORMS, which is 'tpu'" in err


def test_bench_says_so_too_though_jax_starts_in_other_processes(jlstm_at, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "nowhere")
    code, _, err = jlstm_at("bench", "--seconds", "0")
    assert code == 2 and err.startswith("jlstm: JAX cannot start: ") and err.count("\n") == 1
    assert "which is 'nowhere'" in err


def test_check_goes_on_when_a_call_cannot_be_timed(jlstm_at, monkeypatch):
    """One that breaks at a size, one that refuses it, and the scan, which is timed all the same."""

    def only_small(name, error):
        def run(layer, *args, **options):
            if layer.hidden_size > 4:
                raise error
            return choice.scan.run(layer, *args, **options)

        return choice.Implementation(name, run, lambda *_: None)

    brittle = only_small("brittle", RuntimeError("no [room]"))
    shy = only_small("shy", choice.RefusedError("too large"))
    monkeypatch.setattr(choice, "IMPLEMENTATIONS", (brittle, shy, choice.IMPLEMENTATIONS[-1]))
    monkeypatch.setattr(check, "SIZES", (Size(3, 2, 8), Size(3, 2, 4)))
    monkeypatch.setattr(check, "CONTRACTS", ())
    code, out, _ = jlstm_at("check")
    assert code == 1 and "All contracts hold." in out and "could NOT be timed" in out
    assert out.count("3, 2, 8, training, brittle failed: RuntimeError: no [room]") == 1
    rows = [line.strip("│").split("│") for line in out.splitlines() if line.startswith("│ 3, 2")]
    cells = [[cell.strip() for cell in row[2:]] for row in rows]
    assert [row[:2] for row in cells[:2]] == [["failed", "refused"]] * 2
    assert all(float(cell) for cell in (cells[0][2], cells[1][2], *cells[2], *cells[3]))
    monkeypatch.setattr(check, "SIZES", (Size(3, 2, 4),))
    assert jlstm_at("check")[0] == 0


@pytest.mark.full
def test_bench_measures_a_config_and_writes_records(jlstm_at, tmp_path):
    (tmp_path / "mine.toml").write_text(NETWORK + "[bench]\ntime_steps = 3\nbatch_size = 2\n")
    words = ["mine.toml", "--seconds", "0", "--out", "r.jsonl", "--only", "flax nnx"]
    code, out, _ = jlstm_at("bench", *words)
    assert code == 0
    assert "flax nnx" in out and "T 3, B 2" in out
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 2
    assert {line["case"] for line in lines} == {"mine"}


def test_a_process_speaks_without_a_traceback():
    code = "import sys; sys.argv = ['jlstm', 'eval', 'nowhere']; from jlstm.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.strip() == "jlstm: cannot read nowhere: No such file or directory"


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


BAD = [
    ("train", NETWORK.replace("input_size", "input_sise") + TRAIN, "did you mean 'input_size'"),
    ("train", NETWORK.replace("hidden_size", "hiden_size") + TRAIN, "did you mean 'hidden_size'"),
    ("train", NETWORK.replace("= 4", "= -4") + TRAIN, "given: hidden_size is -4"),
    ("train", NETWORK.replace("= 4", "= '4'") + TRAIN, "hidden_size is '4'"),
    ("train", NETWORK.replace("= 8", "= 7") + TRAIN, "the data have 8 features a step"),
    ("train", NETWORK + TRAIN.replace("digits", "digit"), "did you mean 'digits'"),
    ("train", NETWORK + TRAIN.replace("name", "nane"), "[task] lacks the key 'name'"),
    ("train", NETWORK + TRAIN.replace("classify", "clasify"), "did you mean 'classify'"),
    ("train", NETWORK + TRAIN + "stepps = 3", "did you mean 'steps'"),
    ("train", NETWORK + TRAIN + "steps = 0", "steps is 0"),
    ("train", NETWORK + TRAIN + "[optimizer]\nlearning_rate = 'fast'", "expected a number"),
    ("train", NETWORK + TRAIN + "[optimizer]\nname = 'adamm'", "did you mean 'adam'"),
    ("train", NETWORK + TRAIN + "[mesh]\ndata = 0", "data is 0"),
    ("train", NETWORK + DATA.replace("[task]", "shift = 2\n[task]") + "[train]\nout = 'a'", "at m"),
    ("train", NETWORK + "reverse = true\n" + TRAIN, "has seen that step alone"),
    ("train", NETWORK + TRAIN + f"seed = {2**70}", "seed is"),
    ("train", NETWORK + TRAIN + "seed = 'x'", "seed is 'x'; expected a whole number"),
    ("train", NETWORK + DATA + "[train]\nout = ' '", "out is ' '; expected the name of a folder"),
    ("train", NETWORK, "the table [data] is missing"),
    ("train", TRAIN, "the table [network] is missing"),
    ("train", "train = 3\n" + NETWORK + DATA, "train is 3; expected a table [train]"),
    ("train", "network = 3\n" + TRAIN, "network is 3; expected a table [network]"),
    ("train", NETWORK.replace("network", "net") + TRAIN, "did you mean 'network'"),
    ("train", "layers = [", "is not valid TOML"),
    ("train", "\udcff", "is not a text file"),
    ("bench", NETWORK + "[bench]\nbatch = 3", "did you mean 'batch_size'"),
    ("bench", NETWORK + "[bench]\nbatch_size = 0", "batch_size is 0"),
    ("bench", "", "lacks the table [network]"),
    ("bench", "case = []", "given: case is []; expected at least one [[case]] table"),
    ("bench", '[[case]]\nname = "\\u001b[31m"', "has the name '\\x1b[31m'; expected at most 100"),
    ("bench", CASE + "layers = 'x'", "layers is 'x'; expected a whole number"),
    ("bench", CASE + "layers = -1", "layers is -1; expected a whole number of at least 1"),
    ("bench", CASE.replace("hidden_size =", "hidden_sizes ="), "expected a list with one size"),
    ("bench", CASE + CASE, "given has several cases named 'a'; rename one"),
    ("bench", NETWORK.replace("= 4", "= -4"), "given: hidden_size is -4"),
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


HUGE = (10**6, 10**9, 10**10, 10**19, 10**30)
SIZED = [
    ("train", NETWORK.replace("= 4", "= {}") + TRAIN),
    ("train", NETWORK + TRAIN + "batch_size = {}"),
    ("train", NETWORK + TRAIN + "evaluate_every = {0}\nsteps = {0}\nsteps_per_call = {0}"),
    ("bench", NETWORK.replace("= 4", "= {}")),
    ("bench", NETWORK.replace("= 8", "= {0}").replace("= 4", "= {0}")),
    ("bench", NETWORK + "[bench]\ntime_steps = {0}\nbatch_size = {0}"),
    ("bench", "[[case]]\nname = 'a'\ninput_size = 8\nhidden_size = {}"),
    ("bench", "[[case]]\nname = 'a'\ninput_size = 8\nhidden_size = 4\nlayers = {}"),
    ("bench", "[[case]]\nname = 'a'\ninput_size = 8\nhidden_sizes = [4, {}]"),
]


@pytest.mark.parametrize(("command", "content"), SIZED)
def test_sizes_beyond_the_machine_are_refused_before_anything_is_made(
    jlstm_at, tmp_path, monkeypatch, command, content
):
    sysconf = os.sysconf
    small = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**16}
    monkeypatch.setattr(os, "sysconf", lambda name: small.get(name) or sysconf(name))
    for size in HUGE:
        (tmp_path / "given").write_text(content.format(size))
        code, out, err = jlstm_at(command, "given")
        assert code == 2 and not out and err.count("\n") == 1 and len(err) < 200
        assert any(w in err for w in ("expected at most", "choose smaller sizes", "choose fewer"))
        assert "TRACEBACK" not in err and os.listdir() == ["given"]


def test_steps_and_steps_of_a_call_are_bounded(jlstm_at, tmp_path):
    for name in ("steps", "steps_per_call"):
        (tmp_path / "given").write_text(NETWORK + TRAIN + f"{name} = {2**31}")
        code, _, err = jlstm_at("train", "given")
        assert (
            code == 2 and err == f"jlstm: given: {name} is {2**31}; expected at most {2**31 - 1}\n"
        )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; choose smaller sizes. MemoryError"),
        (np._core._exceptions._ArrayMemoryError((2**50,), np.dtype("int8")), "Unable to allocate"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum"),
        (KeyError("w"), "KeyError: 'w'"),
        (OverflowError("out of bounds for int32"), "OverflowError: out of bounds"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no\n  room"), "RuntimeError: RESOURCE"),
        (TypeError("get(): incompatible\n\nfunction\n"), "TypeError: get(): incompatible"),
        (AssertionError(), "AssertionError"),
        (ValueError("\x1b[31m" + "a" * 100_000 + "\u202e\r\ud800"), "ValueError: \\x1b[31maaa"),
    ],
)
def test_errors_of_other_libraries_are_one_line_and_can_be_seen_whole(
    jlstm_at, monkeypatch, error, said
):
    def show(**_):
        raise error

    monkeypatch.setattr(info, "show", show)
    code, _, err = jlstm_at("info")
    assert code == 2 and err.startswith("jlstm: ") and said in err
    assert err[:-1].isprintable() and err.endswith("\n") and len(err) < 1_700
    assert err.endswith("(JLSTM_TRACEBACK=1 shows where this arose)\n")
    assert ("out of memory" in err) == (isinstance(error, MemoryError) or "RESOURCE" in str(error))
    monkeypatch.setenv("JLSTM_TRACEBACK", "1")
    with pytest.raises(type(error)):
        jlstm_at("info")


@pytest.mark.filterwarnings("always:characters count")
def test_a_warning_is_one_line_without_its_place(jlstm_at, monkeypatch):
    def show():
        warnings.warn("characters count\nas unknown: \x1b[31m", stacklevel=1)

    monkeypatch.setattr(info, "show", show)
    assert jlstm_at("info") == (0, "", "warning: characters count as unknown: \\x1b[31m\n")
    monkeypatch.setenv("JLSTM_TRACEBACK", "1")
    with pytest.warns(UserWarning, match="characters count\nas unknown"):
        jlstm_at("info")


def test_a_refusal_of_the_library_does_not_offer_a_traceback(jlstm_at, monkeypatch):
    monkeypatch.setattr(info, "show", lambda **_: jlstm.Layer(0))
    code, _, err = jlstm_at("info")
    assert code == 2 and err == ("jlstm: hidden_size is 0; expected a whole number of at least 1\n")


@pytest.mark.parametrize(
    "content",
    [
        NETWORK.replace("= 4", "= -4") + TRAIN,
        NETWORK.replace("input_size = 8\n", "").replace("= 4", "= -4") + TRAIN,
        NETWORK + TRAIN.replace("classify", "clasify"),
        NETWORK + TRAIN + "stepps = 3",
        NETWORK + TRAIN + "[optimizer]\nname = 'adamm'",
        NETWORK + TRAIN + "[optimizer]\nschedule = 'cosine'",
        NETWORK.replace("= 4", "= 1000000000") + TRAIN,
    ],
)
def test_errors_that_need_no_data_come_before_the_data(jlstm_at, tmp_path, monkeypatch, content):
    monkeypatch.setattr(sources, "load", lambda _: pytest.fail("loaded the data for nothing"))
    (tmp_path / "given").write_text(content)
    assert jlstm_at("train", "given")[0] == 2


@pytest.mark.parametrize("command", ["train", "bench"])
def test_files_that_are_not_there_and_folders_are_refused(jlstm_at, tmp_path, command):
    (tmp_path / "folder").mkdir()
    for name in ("folder", "nothing"):
        code, _, err = jlstm_at(command, name)
        assert code == 2 and f"cannot read {name}" in err


def test_a_model_that_is_not_there_cannot_be_evaluated(jlstm_at, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "folder has no model.safetensors" in jlstm_at("eval", "folder")[2]
    assert "cannot read nothing" in jlstm_at("eval", "nothing")[2]


def test_a_network_without_a_task_cannot_be_evaluated(jlstm_at):
    config = jlstm.Config.stack(8, [4])
    jlstm.save("model", config, jlstm.init(jax.random.key(0), config))
    code, _, err = jlstm_at("eval", "model")
    assert code == 2 and "no task that it was trained for" in err


def test_what_a_file_holds_beside_the_network_is_left_out_only_if_told(jlstm_at, tmp_path):
    config = jlstm.Config.stack(8, [4])
    extra = {"head": jax.numpy.ones(3)}
    jlstm.save("m.safetensors", config, jlstm.init(jax.random.key(0), config), extra=extra)
    for words in (["convert", "m.safetensors", "m.npz"], ["export", "m.safetensors", "m.jax"]):
        code, out, err = jlstm_at(*words)
        assert code == 2 and not out and err.count("\n") == 1
        assert "also holds head" in err and "--network-only" in err
        assert not (tmp_path / words[-1]).exists()
        assert jlstm_at(*words, "--network-only")[0] == 0
        assert (tmp_path / words[-1]).exists()


def test_a_program_says_what_it_replaces_and_does_not_replace_its_model(jlstm_at, tmp_path):
    config = jlstm.Config.stack(8, [4])
    jlstm.save("m.safetensors", config, jlstm.init(jax.random.key(0), config))
    for replaced in (False, True):
        code, out, _ = jlstm_at("export", "m.safetensors", "m.jax", "--platforms", "cpu")
        assert code == 0 and ("The file existed and was replaced." in out) == replaced
    (tmp_path / "link").symlink_to("m.safetensors")
    code, out, err = jlstm_at("export", "m.safetensors", "link")
    assert code == 2 and not out and "m.safetensors would be replaced by its own program" in err
    assert jlstm.load("m.safetensors")[0] == config
    (tmp_path / "m.jax").chmod(0o444)
    code, out, err = jlstm_at("export", "m.safetensors", "m.jax")
    assert code == 2 and not out and "the file is read-only" in err


@pytest.mark.full
def test_a_run_is_replaced_only_if_told(jlstm_at, tmp_path):
    (tmp_path / "c.toml").write_text(NETWORK + TRAIN + "steps = 1\n")
    assert jlstm_at("train", "c.toml")[0] == 0
    before = (tmp_path / "runs" / "digits" / "model.safetensors").read_bytes()
    code, out, err = jlstm_at("train", "c.toml")
    assert code == 2 and not out and err.count("\n") == 1
    assert err.startswith("jlstm: runs/digits holds a run of this config already")
    assert "add --resume to go on with it, --overwrite to begin anew" in err
    assert jlstm_at("train", "c.toml", "--overwrite", "--json")[0] == 0
    after = (tmp_path / "runs" / "digits" / "model.safetensors").read_bytes()
    assert after == before, "one seed gives the same bytes"


def test_sigterm_ends_a_command_in_order(jlstm_at, tmp_path, monkeypatch):
    config = jlstm.Config.stack(8, [4])
    jlstm.save("m.safetensors", config, jlstm.init(jax.random.key(0), config))
    seen = []

    def fsync(_):
        seen.extend(os.listdir(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(os, "fsync", fsync)
    code, out, err = jlstm_at("convert", "m.safetensors", "other.safetensors")
    assert (code, out, err) == (143, "", "jlstm: stopped\n")
    assert len(seen) == 2 and os.listdir(tmp_path) == ["m.safetensors"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_sigterm_stays_ignored_where_it_was(jlstm_at, monkeypatch):
    monkeypatch.setattr(info, "show", lambda **_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert jlstm_at("info") == (0, "", "")
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    "words",
    [["bech"], ["train"], ["train", "a", "--outt", "b"], ["bench", "--seconds", "x"], ["eval"]],
)
def test_unknown_words_are_exit_code_2(jlstm_at, words):
    code, out, err = jlstm_at(*words)
    assert code == 2 and "Traceback" not in out + err


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    "words",
    [
        ("train", "a.toml", "--out"),
        ("train",),
        ("eval",),
        ("predict", "a", "b.csv", "-o"),
        ("predict", "-o", "b.csv", "a"),
        ("sample", "--prompt", "a"),
        ("bench",),
        ("bench", "--out"),
        ("bench", "--compare"),
        ("report", "a", "--out"),
        ("report",),
        ("convert", "a"),
        ("export", "a"),
    ],
)
def test_empty_names_are_refused(jlstm_at, tmp_path, words, empty):
    """pathlib takes them for the current folder."""
    code, out, err = jlstm_at(*words, empty)
    assert code == 2 and "Traceback" not in out + err
    assert "the name is empty" in out + err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--out", "r.jsonl"], "--out"),
        (["--compare", "r.jsonl"], "--compare"),
        (["--seconds", "1"], "--seconds"),
        (["--threads", "2", "--only", "flax nnx"], "--threads, --only"),
    ],
)
def test_what_compiling_alone_would_ignore_is_refused(jlstm_at, options, named):
    code, out, err = jlstm_at("bench", "--compile-only", *options)
    assert code == 2 and not out and err.count("\n") == 1
    assert f"runs nothing, so {named} would have no effect" in err


def test_a_target_without_compile_only_is_refused(jlstm_at):
    code, out, err = jlstm_at("bench", "--target", "v5e")
    assert code == 2 and not out and err.count("\n") == 1
    assert "--target is 'v5e', but only --compile-only compiles for a named chip" in err


@pytest.mark.parametrize("target", ["v5e:", "v5e:4x4x4x4", "v5e:1x3", "h200", "h100:1x1"])
def test_a_target_that_cannot_be_is_one_line(jlstm_at, target):
    code, out, err = jlstm_at("bench", "--compile-only", "--target", target)
    assert code == 2 and not out and err.count("\n") == 1 and target in err


def test_programs_that_do_not_compile_are_exit_code_1(jlstm_at, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(NETWORK)
    monkeypatch.setattr(targets, "missing", lambda target: None)
    monkeypatch.setattr(compiled, "compile_one", lambda *_, **options: {"error": "no room"})
    code, out, _ = jlstm_at("bench", "mine.toml", "--compile-only")
    assert code == 1 and "v5e: compiled, not run" in out and out.count("no room") == 1
    code, out, err = jlstm_at("bench", "mine.toml", "--compile-only", "--json")
    assert code == 1 and err.count("no room") == 1
    found = json.loads(out)
    assert found["target"] == "v5e" and [p["error"] for p in found["programs"]] == ["no room"] * 4


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
