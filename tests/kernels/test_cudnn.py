"""Layers that cuDNN runs, with JAX's own account of it in its place."""

import functools
from operator import index

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import rnn
from jax.interpreters import mlir
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jlstm
from jlstm import Config, Layer
from jlstm.interop import to_cudnn
from jlstm.kernels import choice
from jlstm.kernels.cudnn import calls as cudnn
from jlstm.kernels.cudnn import layer as cudnn_layer
from jlstm.kernels.primitives import operation
from tests.examples import mostly_full
from tests.networks import assert_close, gradients, loss, make_call, run

PLAIN, WAYS = Config(3, (Layer(4),)), Config(3, (Layer(4, bidirectional=True), Layer(5)))


def reference_of_jax(x, h, c, weights, lengths, *, input_size, hidden_size, **options):
    """jax.experimental.rnn's own reference, which gives NaN as cuDNN does at a length of 0."""
    matrices = rnn.unpack_lstm_weights(
        weights, input_size, hidden_size, options["num_layers"], options["bidirectional"]
    )
    ys, h, c = rnn.lstm_ref(
        x, h, c, *matrices, lengths, input_size, hidden_size,
        options["num_layers"], options["dropout"], options["bidirectional"],
    )  # fmt: skip
    empty = jnp.where(lengths == 0, jnp.nan, 0.0)
    return ys + empty[:, None, None], h + empty[:, None], c + empty[:, None]


def stand_in_forward(*args, cudnn_allow_tf32, **options):
    return *reference_of_jax(*args, **options), mark(args)


def stand_in_backward(dy, dh, dc, x, h, c, w, y, reserve, lengths, *, cudnn_allow_tf32, **options):
    def of(x, h, c, w):
        return reference_of_jax(x, h, c, w, lengths, **options)

    made, back = jax.vjp(of, x, h, c, w)
    # The step that a sequence without any takes is no output.
    same = jnp.allclose(reserve, mark((x, h, c, w, lengths)), atol=1e-4)
    same &= jnp.all(jnp.isclose(y, made[0], atol=1e-5) | (y == 0))
    return jax.tree.map(lambda a: jnp.where(same, a, jnp.nan), back((dy, dh, dc)))


def mark(args):
    """Stands in for the reserve space: sums of the arguments, and as many zeros as sequences."""
    sums = jnp.stack([jnp.sum(a.astype(jnp.float32)) for a in args])
    return jnp.pad(sums, (0, len(args[0])))


@pytest.fixture
def runs(monkeypatch):
    """Has this machine pass for one with cuDNN; the shapes of each run that was lowered."""
    seen = []

    def forward(*args, **options):
        seen.append(tuple(args[0].shape))
        return stand_in_forward(*args, **options)

    for primitive, by in ((rnn.rnn_fwd_p, forward), (rnn.rnn_bwd_p, stand_in_backward)):
        mlir.register_lowering(primitive, mlir.lower_fun(by, multiple_results=True), platform="cpu")
    for op in (cudnn_layer.run_operation, cudnn_layer.gradients_operation):
        operation.register_lowering(op, cudnn_layer.LOWERINGS["cuda"], "cpu")
    sizes = "compute_rnn_workspace_reserve_space_sizes"
    monkeypatch.setattr(rnn.gpu_rnn, sizes, lambda *sizes: (7, 5 + index(sizes[3])), raising=False)
    monkeypatch.setattr(cudnn, "absence", lambda: None)
    monkeypatch.setattr(choice, "_default_platform", lambda: "cuda")
    jax.clear_caches()
    yield seen
    jax.clear_caches()


@pytest.mark.parametrize("lengths", mostly_full([None, [6, 1, 0, 4]], default=[[6, 1, 0, 4]]))
@pytest.mark.parametrize(
    "config", mostly_full([PLAIN, WAYS, Config(3, (Layer(4, bias=False),))], default=[PLAIN])
)
def test_cudnn_gives_what_the_scan_does(runs, config, lengths):
    """Contracts 5 and 9, sequences without a step among them."""
    call = make_call(config, 6, (4,), 0)
    call = call._replace(times={} if lengths is None else {"lengths": np.array(lengths, "int32")})
    assert_close(run(call, "cudnn"), run(call, "scan"))
    assert len(runs) == len(config.layers)
    assert_close(gradients(call, "cudnn"), gradients(call, "scan"), atol=1e-4)


def test_auto_takes_cudnn_where_it_serves_the_call(runs):
    """Contract 10."""
    call = make_call(PLAIN, 6, (2,), 0)
    run(call, "auto")
    assert runs == [(2, 6, 3)]
    resets = {"resets": np.ones((6, 2), bool)}
    assert_close(run(call, "auto", times=resets), run(call, "scan", times=resets))
    assert len(runs) == 1
    with pytest.raises(
        ValueError, match=r"'cudnn' does not support this.*it does not support resets"
    ):
        run(call, "cudnn", times=resets)
    with pytest.raises(ValueError, match="it does not support mask or resets"):
        run(call, "cudnn", times={**resets, "mask": resets["resets"]})


def test_a_sequence_without_steps_holds_even_what_is_not_a_number(runs):
    call = make_call(PLAIN, 3, (2,), 0)._replace(times={"lengths": np.array([0, 3])})
    held = jax.tree.map(lambda a: jnp.asarray(a).at[0].set(jnp.nan), call.carry)
    last, ys = run(call, "cudnn", carry=held)
    assert np.isnan(last[0].c[0]).all() and not np.isnan(ys).any()

    def total(params):
        return loss(run(call, "cudnn", carry=held, params=params)[1])

    assert not any(np.isnan(a).any() for a in jax.tree.leaves(jax.grad(total)(call.params)))


def test_several_axes_of_batch_are_one(runs):
    call = make_call(WAYS, 5, (2, 3), 0)
    assert_close(run(call, "cudnn"), run(call, "scan"))
    assert [shape[0] for shape in runs] == [6, 6]


def test_vmap_over_data_is_one_call(runs):
    """Contract 3."""
    call = make_call(PLAIN, 5, (6,), 0)._replace(carry=None)

    def alone(xs):
        return run(call, "cudnn", xs=xs)[1]

    ys = jax.vmap(alone, 1, 1)(call.xs)
    assert_close(ys, run(call, "scan")[1])
    assert runs == [(6, 5, 3)]


@pytest.mark.full
def test_derivatives_of_every_kind(runs):
    """Contract 8: what cuDNN has no kernel for comes from the scan."""
    call = make_call(Config(3, (Layer(4, bidirectional=True),)), 4, (3,), 0)

    def total(name, params, xs):
        return loss(run(call, name, params=params, xs=xs))

    moved = jax.tree.map(jnp.ones_like, call.params)
    for of in (
        lambda f: jax.jvp(lambda p: f(p, call.xs), (call.params,), (moved,))[1],
        lambda f: jax.jvp(lambda p: jax.grad(f)(p, call.xs), (call.params,), (moved,))[1],
        lambda f: jax.grad(lambda p: loss(jax.grad(f)(p, call.xs)))(call.params),
        lambda f: jax.grad(jax.checkpoint(f), (0, 1))(call.params, call.xs),
        lambda f: jax.vmap(jax.grad(f), (None, 0))(call.params, jnp.stack([call.xs, -call.xs])),
        lambda f: jax.jacrev(lambda xs: jnp.stack([f(call.params, xs), 0.0]))(call.xs),
    ):
        seen, wanted = (of(functools.partial(total, name)) for name in ("cudnn", "scan"))
        assert_close(seen, wanted, atol=2e-4, rtol=1e-3)


def test_gradients_trust_no_run_but_their_own(runs):
    """The gradient of one sequence, with the reserve space of a run over several."""
    call = make_call(PLAIN, 4, (3,), 0)._replace(carry=None)
    several = jnp.stack([call.xs, -call.xs])
    members = jax.tree.map(lambda a: jnp.stack([a, -a]), call.params)

    def slopes(name, params, axis):
        def back(params, xs):
            return jax.vjp(lambda p, x: run(call, name, params=p, xs=x)[1], params, xs)[1]

        each = jax.vmap(back, (axis, 0))(params, several)
        return jax.tree.map(lambda a: a[1], each)(jnp.ones((4, 3, 4)))

    for given in ((call.params, None), (members, 0)):
        assert_close(slopes("cudnn", *given), slopes("scan", *given), atol=1e-4)


def test_weights_are_held_in_any_dtype(runs):
    config = Config(3, (Layer(4),), param_dtype="bfloat16")
    params = jlstm.init(jax.random.key(0), config)
    xs = np.ones((3, 2, 3), "float32")
    seen, wanted = (
        jlstm.apply(config, params, None, xs, implementation=n) for n in ("cudnn", "scan")
    )
    assert_close(seen, wanted)
    assert runs


def test_an_exported_program_calls_no_cudnn(runs):
    call = make_call(PLAIN, 4, (3,), 0)
    export.export(jax.jit(lambda xs: run(call, "cudnn", xs=xs)[1]))(call.xs)
    assert not runs


def test_an_exported_program_of_unknown_sizes_calls_no_cudnn(runs):
    """Nor is it asked what memory such a program needs, which it could not say."""
    call = make_call(PLAIN, 4, (3,), 0)._replace(carry=None)
    xs = jax.ShapeDtypeStruct((*export.symbolic_shape("t, b"), 3), jnp.float32)
    slopes = jax.jit(jax.grad(lambda xs: run(call, "cudnn", xs=xs)[1].sum()))
    program = export.export(slopes, platforms=["cuda"])(xs).mlir_module()
    assert "@cudnn" not in program and not runs


@pytest.mark.parametrize("name", ["scan", "cudnn"])
def test_gradients_can_be_transposed(runs, name):
    """As solvers ask that are given a product with a Jacobian."""
    call = make_call(PLAIN, 4, (3,), 0)
    ys, back = jax.vjp(lambda xs: run(call, name, xs=xs)[1], jnp.asarray(call.xs))
    moved = jnp.cos(jnp.arange(call.xs.size, dtype="float32")).reshape(call.xs.shape)
    (seen,) = jax.linear_transpose(lambda ct: back(ct)[0], ys)(moved)
    wanted = jax.jvp(lambda xs: run(call, "scan", xs=xs)[1], (call.xs,), (moved,))[1]
    assert_close(seen, wanted)


def test_an_ensemble_is_run_by_the_scan(runs):
    call = make_call(PLAIN, 4, (3,), 0)
    params = jax.tree.map(lambda a: jnp.stack([a, -a]), call.params)

    def outputs(name):
        return jax.vmap(lambda params: run(call, name, params=params))(params)

    assert_close(outputs("cudnn"), outputs("scan"))
    assert not runs


@pytest.mark.full
def test_in_shard_map_each_device_makes_a_call(runs):
    call = make_call(PLAIN, 5, (4,), 0)
    mesh = jax.make_mesh((2,), ("batch",), (AxisType.Auto,), devices=jax.devices()[:2])
    over = PartitionSpec(None, "batch")

    def total(name, params):
        def outputs(xs):
            return run(call._replace(carry=None), name, xs=xs, params=params)[1]

        return loss(jax.shard_map(outputs, mesh=mesh, in_specs=over, out_specs=over)(call.xs))

    seen, wanted = (jax.grad(functools.partial(total, n))(call.params) for n in ("cudnn", "scan"))
    assert_close(seen, wanted, atol=1e-4)
    assert (2, 5, 3) in runs


@pytest.mark.parametrize("devices", [1, 2])
def test_what_lies_over_an_explicit_mesh_is_run_by_the_scan(runs, devices):
    call = make_call(PLAIN, 5, (4,), 0)._replace(carry=None)
    explicit, chosen = (AxisType.Explicit,), jax.devices()[:devices]
    mesh = jax.make_mesh((devices,), ("batch",), explicit, devices=chosen)
    over = NamedSharding(mesh, PartitionSpec(None, "batch"))
    with jax.set_mesh(mesh):
        _, ys = run(call, "cudnn", xs=jax.device_put(call.xs, over))
    assert jax.typeof(ys).sharding.spec[1] == "batch"
    assert_close(jax.device_get(ys), run(call, "scan")[1])
    assert not runs


def test_empty_sequences_are_run_by_the_scan(runs):
    call = make_call(PLAIN, 0, (2,), 0)
    assert_close(run(call, "cudnn"), run(call, "scan"))
    assert not runs


@pytest.mark.parametrize(
    ("layer", "dtype", "platform", "reason"),
    [
        (Layer(4), "float32", "rocm", "it runs on NVIDIA GPUs only, not on rocm"),
        (Layer(4), "bfloat16", "cuda", "JAX calls it with float32 only, not with bfloat16"),
        (
            Layer(4, reverse=True),
            "float32",
            "cuda",
            "forward or in both directions, not backward alone",
        ),
        (Layer(4, peepholes=True), "float32", "cuda", "its kernels do not support peepholes"),
        (Layer(4), "float32", "cuda", "JAX does not run on a GPU here"),
    ],
)
def test_what_cudnn_refuses(layer, dtype, platform, reason):
    assert reason in cudnn.refusal(layer, dtype, platform)


def test_the_weights_lie_as_jax_says_cudnn_wants_them():
    config = Config(3, (Layer(4, bidirectional=True),))
    own = jlstm.init(jax.random.key(0), config).layers[0]
    flat = cudnn.flatten(own.w_x, own.w_h, own.b)
    np.testing.assert_array_equal(flat, to_cudnn(config, jlstm.Params((own,))))
    assert_close(cudnn.unflatten(flat, 2, 3, 4), (own.w_x, own.w_h, own.b), atol=0)


@pytest.mark.parametrize(
    ("asked", "whole"),
    [(None, False), ("tensorfloat32", False), ("highest", True), ("TF32_TF32_F32_X3", True)],
)
def test_the_precision_asked_for_is_the_one_given(asked, whole):
    with jax.default_matmul_precision(asked):
        assert cudnn.precise() is whole
