"""Suites and cases of the benchmark."""

import pathlib

import pytest

from jlstm import Config
from jlstm.bench import cases
from jlstm.bench.cases import Case, Shape

ROOT = pathlib.Path(__file__).parents[2]


def test_operations_and_bytes_are_those_of_both_products():
    case = Case("small", Config.stack(3, [4, 5]), Shape(6, 2))
    # 2 operations a weight, 4 gates: (3+4)*16 + (4+5)*20 weights, 6 steps, 2 sequences.
    weights = (3 + 4) * 16 + (4 + 5) * 20
    assert case.flops("forward") == 2 * weights * 6 * 2
    assert case.flops("training") == 3 * case.flops("forward")
    assert case.flops("step") == case.flops("forward") // 6
    assert case.bytes_moved("forward") == 4 * (weights + 6 * 2 * (3 + 5))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.toml")), ids=lambda p: p.stem)
def test_every_suite_is_readable_and_opens_with_its_command(path):
    assert cases.from_file(path)
    first = path.read_text().splitlines()[0]
    command = "# jlstm bench" if path.stem == "quick" else f"# jlstm bench benchmarks/{path.name}"
    assert first.removesuffix(" --compile-only --target v5e") == command


def test_a_config_makes_a_case(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "[network]\ninput_size = 3\n[[network.layers]]\nhidden_size = 4\n[bench]\ntime_steps = 9\n"
    )
    assert cases.from_file(path) == (Case("mine", Config.stack(3, [4]), Shape(9)),)


GOOD = {"name": '"a"', "input_size": "3", "hidden_size": "4"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "lacks a name"),
        ({"hidden_sise": "4"}, "hidden_sise"),
        ({"hidden_size": None}, "either hidden_size or hidden_sizes"),
        ({"hidden_sizes": "[4]"}, "either hidden_size or hidden_sizes"),
        ({"directions": "[1, 2]"}, "directions"),
        ({"modes": '["forwards"]'}, "forwards"),
        ({"modes": '["step"]', "resets": "0.5"}, "neither lengths nor resets"),
        ({"shortest": "1.5"}, "at most 1"),
        ({"input_size": None}, "input_size"),
    ],
)
def test_cases_that_make_no_sense_are_refused_by_name(tmp_path, change, message):
    path = tmp_path / "suite.toml"
    options = {key: value for key, value in (GOOD | change).items() if value is not None}
    path.write_text("[[case]]\n" + "".join(f"{k} = {v}\n" for k, v in options.items()))
    with pytest.raises(ValueError, match=message):
        cases.from_file(path)


def test_a_suite_of_very_many_layers_is_refused_before_they_are_built(tmp_path):
    path = tmp_path / "suite.toml"
    case = '[[case]]\nname = "{}"\ninput_size = 1\nhidden_size = 1\nlayers = {}\n'
    path.write_text("".join(case.format(n, 1000) for n in range(5)))
    assert len(cases.from_file(path)) == 5
    path.write_text("".join(case.format(n, 1000) for n in range(10_000)))
    with pytest.raises(ValueError, match=r"suite\.toml: the cases up to 5 have 6,000 layers"):
        cases.from_file(path)
