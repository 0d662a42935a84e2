"""Programs compiled for TPUs and GPUs that are not here."""

import functools
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import rnn
from jax.sharding import SingleDeviceSharding

import jlstm
from jlstm import Config, Layer
from jlstm.bench import compile_command, compile_worker, compiled, launches, old_libtpu, targets
from jlstm.bench.cases import Case, Shape
from jlstm.kernels import choice
from jlstm.kernels.cudnn import calls as cudnn
from jlstm.kernels.tpu import vmem

HLO = """
%body.1 (arg: (s32[], f32[8])) -> (s32[], f32[8]) {
  %copy.2 = f32[8] copy(%arg)
  ROOT %fusion.3 = f32[8] fusion(%copy.2)
}

%condition.1 (arg: (s32[], f32[8])) -> pred[] {
  %compare.4 = pred[] compare(%arg)
}

ENTRY %main (a: f32[8]) -> f32[8] {
  %fusion.5 = f32[8] fusion(%a)
  %while.6 = (s32[], f32[8]) while(%a), condition=%condition.1, body=%body.1
  %run.7 = (f32[8], f32[8]) custom-call(%a), custom_call_target="tpu_custom_call", x={}
}
"""


def test_a_step_of_a_loop_costs_what_stands_in_its_body():
    found = {"kernels": [], "in_loops": compile_worker.in_loops(HLO)}
    assert found["in_loops"] == ["copy.2", "fusion.3"]
    estimates = {"copy.2": 10, "fusion.3": 100, "fusion.5": 1000}
    assert compiled.cycles_a_step(found, estimates, 64, unroll=1) == 110
    assert compiled.cycles_a_step(found, estimates, 64, unroll=8) == 110 / 8


@pytest.mark.parametrize(("estimates", "cycles"), [({"run.7": 640}, 10), ({"run.7": 0}, None)])
def test_a_kernel_runs_once_for_all_steps_and_an_estimate_of_nothing_is_none(estimates, cycles):
    found = {"kernels": compile_worker.kernels(HLO), "in_loops": []}
    assert compiled.cycles_a_step(found, estimates, 64, unroll=8) == cycles


@pytest.mark.parametrize("target", ["v5", "", "v5:2x2", "h200", "a100"])
def test_a_target_that_is_not_known_is_refused(target):
    with pytest.raises(ValueError, match=f"'{target}', which is not known") as refused:
        compile_command.run([], target)
    assert "tpu7x, or h100, the only GPU" in str(refused.value)
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize("shape", ["", "2", "2x", "0x2", "2x-2", "2X2", "2x2x2x2", "2x2 ", "two"])
def test_a_slice_that_has_no_shape_is_refused(shape):
    with pytest.raises(ValueError, match=f"'v5e:{shape}'; expected the shape .* 'v5e:2x2'"):
        compile_command.run([], f"v5e:{shape}")


@pytest.mark.parametrize("target", ["h100:", "h100:2x2"])
def test_a_slice_of_an_h100_is_refused(target):
    with pytest.raises(ValueError, match=f"'{target}', but an H100 has no slices"):
        compile_command.run([], target)


@pytest.mark.parametrize(
    ("target", "count"), [("h100", 1), ("v4", 1), ("v5e:2x4", 8), ("v5p:2x2x2", 8)]
)
def test_devices_of_a_target(target, count):
    assert targets.device_count(target) == count


@pytest.mark.libtpu
@pytest.mark.parametrize(
    "target", ["v4", "v4:2x2x2", "v5e:4x4", "v5p:2x2x1", "v6e:2x2", "tpu7x:2x2x1"]
)
def test_devices_of_a_target_are_as_many_as_libtpu_says(target, monkeypatch):
    needs(target)
    for name, value in compiled._ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert targets.device_count(target) == len(compile_worker.devices(target))


@pytest.mark.parametrize(("target", "devices"), [("v5e:2x2", 4), ("v4:2x2x1", 8)])
def test_a_batch_that_cannot_be_divided_is_refused_before_anything_is_compiled(target, devices):
    suite = [
        Case("even", Config.stack(2, [3]), Shape(4, 8)),
        Case("odd", Config.stack(2, [3]), Shape(4, 6)),
    ]
    with pytest.raises(ValueError, match=f"'odd' has batch_size 6.* {devices} devices"):
        compile_command.run(suite, target)


def no_parent(name):
    """What importlib says of a module in a package that is not there."""
    raise ModuleNotFoundError(f"No module named {name!r}")


@pytest.mark.parametrize("target", ["v5e", "v5e:2x2"])
def test_without_libtpu_it_says_what_to_install(target, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs libtpu: pip install '\.\[tpu\]'$"):
        compile_command.run([], target)


@pytest.mark.parametrize(
    ("toolkit", "find"), [(None, lambda name: None), (pathlib.Path("cu13"), no_parent)]
)
def test_without_ptxas_or_the_plugin_it_says_what_to_install(toolkit, find, monkeypatch):
    if toolkit is not None:
        monkeypatch.setattr(targets, "toolkit", lambda: toolkit)
    monkeypatch.setattr(importlib.util, "find_spec", find)
    both = f"jax-cuda13-plugin=={jax.__version__} jax-cuda13-pjrt=={jax.__version__}"
    with pytest.raises(ValueError, match=f"pip install {both} nvidia-cuda-nvcc$"):
        compile_command.run([], "h100")


def test_what_cannot_be_compiled_is_told_once_and_the_others_go_on(monkeypatch, capsys):
    error = "Ran out of [memory] in f32[8]"
    good = {"seconds": 1.5, "temporary_bytes": None, "collectives": {}, "kernels": ["run.1"]}

    def compile_one(case, target, mode, name, **options):
        return good if case.name == "small" else {"error": error}

    monkeypatch.setattr(targets, "missing", lambda target: None)
    monkeypatch.setattr(compiled, "compile_one", compile_one)
    suite = [Case(name, Config.stack(2, [3]), Shape(4, 2)) for name in ("large", "small")]
    assert not compile_command.run(suite, "v5e")
    lines, table = capsys.readouterr().out.split("compiled, not run")
    assert lines.count(error) == 1 and lines.count("failed") == 4
    assert lines.count("1.5 s") == 4
    assert table.count("failed") == 4 and "Ran out" not in table
    assert compile_command.run(suite[1:], "v5e")


def test_programs_as_json_have_units(monkeypatch, capsys):
    found = {"seconds": 1.5, "temporary_bytes": 2048, "collectives": {"all-reduce": 1}}
    found |= {"kernels": ["run.1"], "cycles": 80.0}
    monkeypatch.setattr(targets, "missing", lambda target: None)
    monkeypatch.setattr(compiled, "compile_one", lambda *_, **__: found)
    suite = [Case("small", Config.stack(2, [3]), Shape(4, 2))]
    assert compile_command.run(suite, "v5e", as_json=True)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    programs = json.loads(out)["programs"]
    assert [(p["mode"], p["implementation"]) for p in programs] == [
        (mode, name) for mode in ("forward", "training") for name in ("scan", "tpu")
    ]
    expected = {"compile_s": 1.5, "memory_bytes": 2048, "collectives": {"all-reduce": 1}}
    assert expected.items() <= programs[0].items()
    assert programs[0]["estimated_cycles_per_step"] == 80.0


def test_what_a_turn_of_each_loop_launches():
    """A slice that copies is one launch, and a loop within a loop is part of it."""
    text = """001: kCopy [source]
002: kWhile [prev=001 (1)]
condition:
    003: kCustomKernel [source] compare
  body:
    004: kDynamicSliceFusion [source] params=1
        005: kCopy [source | sink] kCopy
    006: kWhile [source]
    condition:
        007: kCustomKernel [source] compare
      body:
        008: kGemm [source]
009: kCustomKernel [prev=002 (1)]
010: kWhile [prev=009 (1)]
condition:
    011: kCustomKernel [source] compare
"""
    assert launches.in_loops(text) == [4, 1]


def program(target, mode, *layers, batch=32, name="tpu", steps=16, **options):
    """What the compiler says of a network over some steps of 12 features."""
    needs(target)
    case = Case("case", Config(12, layers, **options.pop("of_config", {})), Shape(steps, batch))
    found = compiled.compile_one(case, target, mode, name, **options)
    assert "error" not in found, found["error"]
    return found


def needs(target):
    reason = targets.missing(target)
    if reason is not None:
        pytest.skip(reason)
    libtpu = old_libtpu.installed() if target.startswith("tpu7x") else None
    if libtpu and tuple(int(n) for n in libtpu.split(".")[:3]) <= (0, 0, 23):
        pytest.skip(f"libtpu {libtpu} does not know TPU 7x")


@pytest.mark.libtpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("mode", "kernels"), [("forward", 1), ("training", 2)])
@pytest.mark.parametrize("target", ["v4", "v5e", "v5p", "v6e", "tpu7x"])
def test_a_program_for_each_chip_holds_the_kernels(target, mode, kernels, dtype):
    found = program(target, mode, Layer(256), of_config={"dtype": dtype})
    assert len(found["kernels"]) == kernels


@pytest.mark.libtpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("mode", "kernels"), [("forward", 4), ("training", 8)])
@pytest.mark.parametrize("target", ["v5e", "v6e"])
def test_a_stack_in_sizes_that_fill_no_tile(target, mode, kernels, dtype):
    layers = Layer(67, bidirectional=True), Layer(130), Layer(9, reverse=True)
    found = program(target, mode, *layers, batch=13, of_config={"dtype": dtype})
    assert len(found["kernels"]) == kernels


@pytest.mark.libtpu
@pytest.mark.parametrize("name", ["scan", "tpu"])
def test_the_highest_precision_leaves_no_bfloat16(name):
    assert not program("v5e", "training", Layer(128), name=name, precision="highest")["bfloat16"]
    assert program("v5e", "training", Layer(128), name=name)["bfloat16"]


@pytest.mark.libtpu
@pytest.mark.parametrize("units", [128, 600])
def test_a_chip_that_counts_in_32_bits_where_jax_is_set_to_64(units, monkeypatch):
    """With the steps of a block written out, and in a loop."""
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert program("v5e", "training", Layer(units), batch=64)["kernels"]


@pytest.mark.libtpu
@pytest.mark.parametrize(("mode", "sums"), [("forward", 0), ("training", 1)])
def test_a_divided_batch_adds_up_gradients_and_moves_nothing_else(mode, sums):
    """Contract 14, for four chips in shard_map."""
    found = program("v5e:2x2", mode, Layer(128))
    assert found["chips"] == 4 and found["kernels"]
    assert found["collectives"].pop("all-reduce") == sums
    assert not any(found["collectives"].values())


@pytest.mark.libtpu
def test_the_largest_layer_that_is_said_to_fit_compiles_and_a_larger_one_takes_the_scan():
    """Our own estimate is refused before the compiler has to."""
    most = vmem.largest("TPU v4", weight_bytes=2)
    assert program("v4", "training", Layer(most), batch=8)["kernels"]
    assert not program("v4", "forward", Layer(4 * most), batch=8)["kernels"]


@pytest.mark.libtpu
@pytest.mark.parametrize(
    ("mode", "moved"), [("forward", ["all-gather"]), ("training", ["all-gather", "reduce-scatter"])]
)
def test_hidden_units_over_chips_move_h_once_a_step(mode, moved):
    found = program("v5e:2x2", mode, Layer(256), name="divided")
    names = [name.replace("_", "-").rstrip(".0123456789") for name in found["in_loops"]]
    assert sorted(name for name in names if name in compile_worker.COLLECTIVES) == moved


@pytest.mark.ptxas
@pytest.mark.parametrize(
    ("layer", "mode", "most"),
    [
        (Layer(256), "forward", 2.5),
        (Layer(256), "training", 6.5),
        (Layer(256, peepholes=True), "forward", 2.5),
        (Layer(256, peepholes=True), "training", 9.0),
    ],
)
def test_an_h100_launches_few_kernels_a_step(layer, mode, most):
    """A product and one kernel for the rest, and a share of what a turn of the loop takes."""
    found = program("h100", mode, layer, name="gpu", steps=64)
    assert found["launches"] is not None and 2 <= found["launches"] <= most


@pytest.mark.ptxas
@pytest.mark.parametrize("mode", ["forward", "training"])
def test_an_h100_program_can_call_cudnn(mode, monkeypatch):
    """With made-up sizes of cuDNN's memory, which it tells only where a GPU is."""
    needs("h100")
    sizes = "compute_rnn_workspace_reserve_space_sizes"
    monkeypatch.setattr(rnn.gpu_rnn, sizes, lambda *_: (7, 5))
    monkeypatch.setattr(cudnn, "absence", lambda: None)
    monkeypatch.setattr(choice, "_default_platform", lambda: "cuda")
    placed = SingleDeviceSharding(compile_worker.devices("h100")[0])

    def array(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=placed)

    config = Config(12, (Layer(16, bidirectional=True), Layer(8)))
    params = jax.eval_shape(functools.partial(jlstm.init, config=config), jax.random.key(0))

    def total(params, xs, lengths):
        ys = jlstm.apply(config, params, None, xs, lengths=lengths, implementation="cudnn")[1]
        return jnp.sum(jnp.square(ys))

    function = total if mode == "forward" else jax.grad(total, (0, 1))
    params = jax.tree.map(lambda a: array(*a.shape), params)
    lowered = jax.jit(function).lower(params, array(6, 4, 12), array(4, dtype=jnp.int32))
    text = lowered.compile().as_text()
    calls = {name: text.count(f'custom_call_target="cudnn_rnn_{name}') for name in ("ffi", "bwd")}
    assert calls == {"ffi": 2, "bwd": 2 if mode == "training" else 0}
    assert "while" not in text
