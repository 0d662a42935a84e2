"""A step of training: one update of optax, whatever the batch is made of, and pure."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jlstm import Config
from jlstm.train import loop
from jlstm.train.data import batches
from jlstm.train.data.split import Split, Stream
from jlstm.train.model import Batch
from jlstm.train.step import make_eval_step, make_train_step, new_state
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.ctc import Ctc
from jlstm.train.tasks.label import Label
from jlstm.train.tasks.language import Language
from jlstm.train.tasks.regress import Regress
from tests.examples import mostly_full
from tests.networks import assert_close

RANDOM = np.random.default_rng(0)
CONFIG = Config.stack(3, [4, 4])
SPLIT = Split(
    RANDOM.normal(size=(20, 5, 3)).astype("float32"), RANDOM.integers(0, 3, 20).astype("int32")
)
KEY = jax.random.key(0)


def run(step, state, split, steps, together=3, **options):
    source = batches.training(split, 4, start=int(state.step), **options)
    made = list(loop.updates(step, state, source, KEY, steps=steps, stops=lambda _: together))
    return made[-1].state, np.concatenate([each.metrics["loss"] for each in made])


def test_a_step_is_the_update_of_optax_for_the_gradient_of_the_mean_loss():
    task, optimizer = Regress(2), optax.sgd(0.5)
    state = new_state(KEY, CONFIG, task, optimizer)
    batch = Batch(SPLIT.xs[:4], RANDOM.normal(size=(4, 2)).astype("float32"))

    def loss(model):
        return jnp.square(task.predict(CONFIG, model, batch)[1] - batch.targets).mean()

    value, gradient = jax.value_and_grad(loss)(state.model)
    after, metrics = make_train_step(CONFIG, task, optimizer)(state, batch, None)
    assert_close(after.model, jax.tree.map(lambda a, g: a - 0.5 * g, state.model, gradient))
    assert_close(metrics["loss"], value)
    assert_close(metrics["gradient_norm"], optax.tree.norm(gradient))
    assert after.step == 1


@pytest.mark.parametrize("name", mostly_full(["classify", "stream"], default=["classify"]))
def test_a_run_is_the_same_however_its_steps_are_grouped_and_wherever_it_goes_on(name):
    layers = Config.stack(3, [4], dropout=0.5).layers * 2
    optimizer, config = optax.adam(0.1), Config(3, layers)
    if name == "classify":
        task, split, options, size = Classify(3), SPLIT, {}, None
    else:
        tokens = Stream(RANDOM.integers(0, 5, 90).astype("int32"))
        task, split, options, size = Language(5), tokens, {"unroll": 7}, 4
    step = make_train_step(config, task, optimizer, average=0.9)
    start = new_state(KEY, config, task, optimizer, average=True, batch_size=size)
    whole, losses = run(step, start, split, 10, **options)
    again, single = run(step, start, split, 10, together=1, **options)
    np.testing.assert_array_equal(losses, single)
    part, first = run(step, start, split, 4, **options)
    resumed, rest = run(step, part, split, 10, together=5, **options)
    np.testing.assert_array_equal(losses, np.concatenate([first, rest]))
    for other in (again, resumed):
        jax.tree.map(np.testing.assert_array_equal, whole, other)


def test_a_stream_goes_on_with_the_carry_and_starts_anew_at_its_beginning():
    config, task = Config.stack(3, [4]), Language(5)
    tokens = RANDOM.integers(0, 5, 4 * 14 + 1).astype("int32")
    optimizer = optax.sgd(0.0)
    state = new_state(KEY, config, task, optimizer, batch_size=4)
    _, losses = run(make_train_step(config, task, optimizer), state, Stream(tokens), 4, unroll=7)
    rows = tokens[:-1].reshape(4, 14)
    batch = Batch(rows, tokens[1:].reshape(4, 14))
    _, scores = task.predict(config, state.model, batch)
    each = optax.softmax_cross_entropy_with_integer_labels(scores, batch.targets)
    halves = [each[:, :7].mean(), each[:, 7:].mean()]
    assert_close(losses, np.array(halves * 2))


def test_accumulated_batches_are_one_large_batch():
    task, large = Regress(2), optax.sgd(0.5)
    small = optax.MultiSteps(large, 2).gradient_transformation()
    batch = Batch(SPLIT.xs[:8], RANDOM.normal(size=(8, 2)).astype("float32"))
    state = new_state(KEY, CONFIG, task, small)
    step = make_train_step(CONFIG, task, small)
    for rows in (slice(0, 4), slice(4, 8)):
        state, _ = step(state, Batch(batch.xs[rows], batch.targets[rows]), None)
    wanted = new_state(KEY, CONFIG, task, large)
    wanted, _ = make_train_step(CONFIG, task, large)(wanted, batch, None)
    assert_close(state.model, wanted.model)


def test_accumulated_batches_weigh_the_same_however_many_steps_count():
    task, optimizer = Label(3), optax.MultiSteps(optax.sgd(0.5), 2).gradient_transformation()
    labels = RANDOM.integers(0, 3, (2, 4, 5))
    labels[1, 1:] = -1  # 20 steps count, and 5
    parts = [Batch(SPLIT.xs[4 * n : 4 * n + 4], labels[n]) for n in range(2)]
    state = start = new_state(KEY, CONFIG, task, optimizer)
    step = jax.jit(make_train_step(CONFIG, task, optimizer))
    for batch in parts:
        state, _ = step(state, batch, None)

    def loss(model):
        sums = [task.measure(task.predict(CONFIG, model, each)[1], each) for each in parts]
        return sum(jnp.divide(*each["loss"]) for each in sums) / 2

    gradient = jax.jit(jax.grad(loss))(start.model)
    assert_close(state.model, jax.tree.map(lambda a, g: a - 0.5 * g, start.model, gradient))


@pytest.mark.parametrize("chained", [False, True])
def test_the_average_of_accumulated_batches_is_that_of_large_batches(chained):
    """It decays once for each update of the parameters, not for each batch."""
    task, large = Regress(2), optax.adam(0.1)
    small = optax.MultiSteps(large, 3).gradient_transformation()
    batch = Batch(SPLIT.xs[:4], RANDOM.normal(size=(4, 2)).astype("float32"))
    averages = {}
    for count, optimizer in ((1, large), (3, small)):
        optimizer = optax.chain(optax.scale(1.0), optimizer) if chained else optimizer
        step = jax.jit(make_train_step(CONFIG, task, optimizer, average=0.3))
        state = new_state(KEY, CONFIG, task, optimizer, average=True)
        averages[count] = [state.average]
        for _ in range(4 * count):
            state, _ = step(state, batch, None)
            averages[count].append(state.average)
    assert_close(averages[3][::3], averages[1])
    for n in range(12):
        same = jax.tree.map(np.array_equal, averages[3][n], averages[3][n + 1])
        assert jax.tree.reduce(lambda a, b: a and b, same) == (n % 3 != 2)


def test_the_average_is_that_of_optax_once_it_forgot_its_beginning():
    task, optimizer = Regress(2), optax.sgd(0.1)
    batch = Batch(SPLIT.xs[:4], RANDOM.normal(size=(4, 2)).astype("float32"))
    state = new_state(KEY, CONFIG, task, optimizer, average=True)._replace(step=jnp.int32(1000))
    step, wanted = jax.jit(make_train_step(CONFIG, task, optimizer, average=0.9)), state.average
    for _ in range(5):
        state, _ = step(state, batch, None)
        wanted = optax.incremental_update(state.model, wanted, step_size=0.1)
    assert_close(state.average, wanted)


def test_bfloat16_trains_float32_parameters():
    config, task = Config(3, CONFIG.layers, dtype="bfloat16"), Classify(3)
    optimizer = optax.adam(0.05)
    state = new_state(KEY, config, task, optimizer)
    after, losses = run(make_train_step(config, task, optimizer), state, SPLIT, 60)
    assert {a.dtype.name for a in jax.tree.leaves(after.model)} == {"float32"}
    assert losses[-5:].mean() < losses[:5].mean() / 2


@pytest.mark.full
def test_bfloat16_parameters_have_the_loss_and_the_gradient_norm_of_float32():
    narrow = Config(3, CONFIG.layers, param_dtype="bfloat16")
    task, optimizer, batch = Classify(3), optax.sgd(0.1), Batch(SPLIT.xs, SPLIT.targets)
    state = new_state(KEY, narrow, task, optimizer)
    wide = state._replace(model=jax.tree.map(lambda a: a.astype("float32"), state.model))
    _, got = make_train_step(narrow, task, optimizer)(state, batch, None)
    _, wanted = make_train_step(CONFIG, task, optimizer)(wide, batch, None)
    assert {a.dtype.name for a in got.values()} == {"float32"}
    for name in ("loss", "gradient_norm"):  # outputs and gradients themselves are bfloat16
        np.testing.assert_allclose(got[name], wanted[name], rtol=2e-3)


def test_an_average_of_bfloat16_parameters_is_refused():
    """Its steps are below what bfloat16 resolves, so it would stay what it began with."""
    narrow = Config(3, CONFIG.layers, param_dtype="bfloat16")
    with pytest.raises(ValueError, match=r'moving average .* param_dtype = "float32", with dtype'):
        new_state(KEY, narrow, Classify(3), optax.sgd(0.1), average=True)


@pytest.mark.full
def test_metrics_of_a_batch_in_which_nothing_counts_are_small_and_finite():
    task, optimizer = Ctc(2), optax.sgd(0.1)
    split = Split(SPLIT.xs[:2], np.full((2, 3), -1))
    state = new_state(KEY, CONFIG, task, optimizer)
    _, metrics = make_train_step(CONFIG, task, optimizer)(state, Batch(*split), None)
    found = loop.evaluated(make_eval_step(CONFIG, task), state.model, split, 2)
    assert 0 < metrics["error_rate"] == found["error_rate"] <= 10  # edits


def test_evaluation_over_batches_is_that_of_the_whole():
    task = Classify(3)
    model = task.new(KEY, CONFIG)
    step = jax.jit(make_eval_step(CONFIG, task))
    whole = loop.evaluated(step, model, SPLIT, 20)
    for size in (1, 7, 64):
        assert loop.evaluated(step, model, SPLIT, size) == pytest.approx(whole, rel=1e-5)
    with pytest.raises(ValueError, match="no sequences to measure by"):
        loop.evaluated(step, model, Split(SPLIT.xs[:0], SPLIT.targets[:0]), 4)


def test_evaluation_of_a_stream_goes_on_from_batch_to_batch():
    config, task = Config.stack(3, [4]), Language(5)
    model, stream = task.new(KEY, config), Stream(RANDOM.integers(0, 5, 50).astype("int32"))
    step = jax.jit(make_eval_step(config, task))
    carry = new_state(KEY, config, task, optax.sgd(0.1), batch_size=3).carry
    whole = loop.evaluated(step, model, stream, 3, carry=carry, unroll=50)
    parts = loop.evaluated(step, model, stream, 3, carry=carry, unroll=4)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_a_loss_that_leaves_the_numbers_names_step_and_parameter_and_keeps_the_state_before():
    task, optimizer = Regress(1), optax.sgd(0.1)
    xs = SPLIT.xs.copy()
    order = np.concatenate(
        [
            b.targets
            for _, b in zip(
                range(5), batches.training(SPLIT._replace(targets=np.arange(20)), 4), strict=False
            )
        ]
    )
    xs[order[13]] = np.inf  # read in the fourth step
    split = Split(xs, np.zeros((20, 1), "float32"))
    state = new_state(KEY, CONFIG, task, optimizer)
    step = make_train_step(CONFIG, task, optimizer)
    with pytest.raises(
        loop.DivergedError, match=r"at step 4 of 5, and NaN .* network.layers.0"
    ) as e:
        run(step, state, split, 5, together=5)
    assert e.value.step == 4 and int(e.value.state.step) == 3
    wanted, _ = run(step, state, split, 3, together=3)
    jax.tree.map(np.testing.assert_array_equal, e.value.state, wanted)


def test_a_divergence_that_single_steps_do_not_repeat_is_of_the_next_step(monkeypatch):
    monkeypatch.setattr(loop, "_finite", lambda model: False)
    task, optimizer = Classify(3), optax.sgd(0.1)
    state = new_state(KEY, CONFIG, task, optimizer)
    with pytest.raises(loop.DivergedError, match="before step 4") as e:
        run(make_train_step(CONFIG, task, optimizer), state, SPLIT, 3, together=3)
    assert e.value.step == 4 and int(e.value.state.step) == 3


def test_parameters_that_overflow_stop_the_run_though_the_loss_is_finite():
    task, optimizer = Regress(1), optax.sgd(float("inf"))
    split = Split(SPLIT.xs, np.ones((20, 1), "float32"))
    state = new_state(KEY, CONFIG, task, optimizer)
    with pytest.raises(loop.DivergedError, match=r"the loss was [0-9.]+ at step 1 of 5"):
        run(make_train_step(CONFIG, task, optimizer), state, split, 5, together=1)


def test_augmentation_and_dropout_draw_from_the_key_of_the_step():
    seen = []

    def augment(key, xs):
        seen.append(xs.shape)
        return xs + jax.random.normal(key, xs.shape)

    task, optimizer = Classify(3), optax.sgd(0.1)
    state = new_state(KEY, CONFIG, task, optimizer)
    step = make_train_step(CONFIG, task, optimizer, augment=augment)
    batch = Batch(SPLIT.xs[:4], SPLIT.targets[:4])
    losses = [float(step(state, batch, key)[1]["loss"]) for key in (KEY, KEY, jax.random.key(1))]
    assert losses[0] == losses[1] != losses[2]
    step(state, batch, None)
    assert len(seen) == 3


@pytest.fixture
def float64():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.mark.full
@pytest.mark.usefixtures("float64")
def test_a_float64_network_has_a_float64_loss():
    config = Config(3, CONFIG.layers, dtype="float64", param_dtype="float64")
    task, optimizer = Classify(3), optax.sgd(0.1)
    state = new_state(KEY, config, task, optimizer)
    batch = Batch(SPLIT.xs.astype("float64"), SPLIT.targets)
    scores = np.asarray(task.predict(config, state.model, batch)[1])
    _, metrics = jax.jit(make_train_step(config, task, optimizer))(state, batch, KEY)
    wanted = np.log(np.exp(scores).sum(1)) - scores[np.arange(20), SPLIT.targets]
    np.testing.assert_allclose(metrics["loss"], wanted.mean(), rtol=1e-13)
