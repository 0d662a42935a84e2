"""The kernels for TPU, run by Pallas's interpreter, and the programs that hold them."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from jax import export
from jax.experimental.pallas import tpu as pltpu

import jlstm
from jlstm import Config, Layer
from jlstm.kernels import choice, fused_as_scans
from jlstm.kernels.tpu import lowering as tpu
from jlstm.kernels.tpu import vmem
from tests.examples import mostly_full
from tests.networks import assert_close
from tests.operands import BOTH, MIXED, backward, forward

# Finds two that write at once, and reads of what nothing has written.
STRICT = pltpu.InterpretParams(detect_races=True, uninitialized_memory="nan")
WAYS = {"forward": (False,), "backward": (True,)}


def assert_kernels_agree(run, reverse, interpret=STRICT):
    with jax.default_matmul_precision("highest"):
        made = fused_as_scans.run(run, reverse, keep=True)
        assert_close(tpu.recurrence(run, reverse, keep=True, interpret=interpret), made)
        back = backward(run, made)
        seen = tpu.recurrence(back, reverse, interpret=interpret)
        assert_close(seen, fused_as_scans.backward(back, reverse))


GIVEN = [(), ("valid",), ("resets",), ("valid", "resets")]


@pytest.mark.parametrize(
    ("way", "given"),
    mostly_full(
        list(itertools.product(WAYS, GIVEN)),
        default=[("forward", ()), ("backward", ("valid", "resets"))],
    ),
)
def test_the_kernels_give_what_the_scans_do(way, given):
    """Sizes that are multiples of nothing, in more than one block of time."""
    assert_kernels_agree(forward(WAYS[way], 11, 5, 3, 7, given), WAYS[way])


@pytest.mark.full
@pytest.mark.parametrize(
    ("time", "batch", "units"),
    [(1, 1, 1), (8, 8, 128), (9, 17, 130)],
)
def test_sizes_at_and_beyond_a_tile(time, batch, units):
    assert_kernels_agree(forward((False,), time, batch, 2, units), (False,))


@pytest.mark.full
@pytest.mark.parametrize("ways", [BOTH, MIXED])
def test_groups_of_either_direction_share_a_call(ways):
    """As those of a bidirectional layer do, or of an ensemble."""
    assert_kernels_agree(forward(ways, 4, 2, 3, 5, ("valid", "resets")), ways)


@pytest.mark.full
def test_a_batch_divided_into_blocks(monkeypatch):
    monkeypatch.setattr(vmem, "_LARGEST_BATCH", 8)
    assert_kernels_agree(forward((False,), 3, 20, 2, 4, ("valid", "resets")), (False,))


@pytest.mark.full
def test_steps_in_a_loop_are_the_steps_written_out(monkeypatch):
    monkeypatch.setattr(vmem, "_WRITTEN_OUT", 0)
    assert_kernels_agree(forward((True,), 11, 3, 2, 4, ("valid", "resets")), (True,))


@pytest.mark.full
def test_a_run_that_keeps_nothing_gives_the_same():
    run = forward((False,), 5, 3, 2, 4)
    kept, made = (tpu.recurrence(run, (False,), keep, interpret=True) for keep in (True, False))
    assert made.residuals is None
    assert_close((made.carry, made.hs), (kept.carry, kept.hs), atol=0)


@pytest.mark.full
def test_bfloat16_rounds_what_products_read_and_nothing_else():
    run = forward((False,), 9, 4, 3, 6)
    narrow = run._replace(**{n: getattr(run, n).astype("bfloat16") for n in ("w_x", "w_h", "xs")})
    seen = tpu.recurrence(narrow, (False,), keep=True, interpret=True)
    assert_close(seen, fused_as_scans.run(narrow, (False,), keep=True), atol=1e-2)
    wide = narrow._replace(
        **{n: getattr(narrow, n).astype("float32") for n in ("w_x", "w_h", "xs")}
    )
    exact = fused_as_scans.run(wide, (False,), keep=True)
    assert float(jnp.abs(seen.carry.c - exact.carry.c).max()) > 1e-5


CONFIG = Config(3, (Layer(4, bidirectional=True), Layer(5)))


def program(config, platforms, gradient, time=6):
    params = jlstm.init(jax.random.key(0), config)
    xs = jnp.ones((time, 2, config.input_size))

    def run(params, xs):
        return jlstm.apply(config, params, None, xs)[1]

    def slopes(params, xs):
        return jax.grad(lambda *given: jnp.sum(run(*given)), (0, 1))(params, xs)

    whole = slopes if gradient else run
    exported = export.export(jax.jit(whole), platforms=platforms)(params, xs)
    return exported, whole, (params, xs)


@pytest.mark.parametrize(
    ("gradient", "kernels"), mostly_full([(False, 3), (True, 6)], default=[(True, 6)])
)
def test_a_program_for_tpu_holds_the_kernels(gradient, kernels):
    """One a direction of each layer, and as many again for the gradient."""
    exported, *_ = program(CONFIG, ["tpu"], gradient)
    assert exported.mlir_module().count("tpu_custom_call") == kernels


@pytest.mark.parametrize("gradient", mostly_full([False, True], default=[False]))
def test_one_program_for_all_platforms_runs_here(gradient):
    exported, run, given = program(CONFIG, ["cpu", "cuda", "tpu", "rocm"], gradient)
    assert "tpu_custom_call" in exported.mlir_module()
    assert_close(exported.call(*given), jax.jit(run)(*given))


@pytest.mark.parametrize("options", [{"peepholes": True}, {"projection_size": 2}])
def test_variants_take_the_scan(options):
    exported, *_ = program(Config.stack(3, [4], **options), ["tpu"], gradient=False)
    assert "tpu_custom_call" not in exported.mlir_module()
    name, usable, reason = jlstm.implementations(Config.stack(3, [4], **options), "tpu")[1]
    assert (name, usable) == ("tpu", False) and next(iter(options)) in reason


def test_plain_layers_keep_their_kernels_beside_a_variant():
    layers = Layer(4), Layer(5, peepholes=True), Layer(4, bidirectional=True)
    exported, *_ = program(Config(3, layers), ["tpu"], gradient=False)
    assert exported.mlir_module().count("tpu_custom_call") == 3


def test_a_machine_without_compiled_kernels_makes_the_same_program_for_tpu(monkeypatch):
    monkeypatch.setattr(choice.cpu.library, "load", lambda: (None, "there is no compiler"))
    exported, *_ = program(CONFIG, ["tpu"], gradient=False)
    assert "tpu_custom_call" in exported.mlir_module()


def test_layers_too_large_for_a_core_are_refused_with_what_fits():
    chip = "TPU v5 lite"
    most = vmem.largest(chip, weight_bytes=2)
    assert 2500 < most < 4096 and vmem.largest("TPU v4", weight_bytes=2) < most
    wide = Config.stack(4, [8192])
    reason = dict((name, why) for name, _, why in jlstm.implementations(wide, "tpu"))["tpu"]
    assert "8192 units does not fit" in reason and "units fit" in reason


@pytest.mark.parametrize("chip", [None, *vmem.CAPACITY])
@pytest.mark.parametrize("units", [128, 512, 1024])
def test_tiles_fit_into_the_memory_of_their_chip(chip, units):
    found = [vmem.tiles(chip, units, time, batch, 2, 11) for time in (1, 9) for batch in (1, 300)]
    for tiles in found:
        assert tiles is None or tiles.size <= 0.75 * vmem.capacity(chip)
    assert all(found) or vmem.largest(chip, weight_bytes=2) < units
