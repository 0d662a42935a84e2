"""Bad config files are refused in one line, before data are loaded or anything is written."""

import os

import pytest

from jlstm.train.data import sources
from tests.command_line.tables import DATA, NETWORK, TRAIN

CASE = "[[case]]\nname = 'a'\ninput_size = 8\nhidden_size = 4\n"
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
