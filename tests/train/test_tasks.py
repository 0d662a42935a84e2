"""Tasks: their losses and metrics beside torch, optax and plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import Config
from jlstm.train import model as models
from jlstm.train.data.split import Data, Split
from jlstm.train.model import Batch
from jlstm.train.tasks import names
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.ctc import Ctc, collapsed, edit_distance
from jlstm.train.tasks.fitting import require_fitting
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.tasks.label import Label
from jlstm.train.tasks.language import Language
from jlstm.train.tasks.regress import Regress
from tests.examples import mostly_full
from tests.networks import assert_close

CONFIG = Config.stack(3, [5])
RANDOM = np.random.default_rng(0)
TASKS = {
    "classify": (Classify(4), RANDOM.integers(0, 4, 6)),
    "attention": (Classify(4, readout="attention"), RANDOM.integers(0, 4, 6)),
    "mean": (Regress(2, readout="mean"), RANDOM.normal(size=(6, 2)).astype("float32")),
    "label": (Label(4), RANDOM.integers(-1, 4, (6, 7))),
    "forecast": (Forecast(3, 2), RANDOM.normal(size=(6, 3, 2)).astype("float32")),
    "ctc": (Ctc(4), np.where(np.arange(2) < RANDOM.integers(1, 3, (6, 1)), [2, 3], -1)),
}


def batch_of(targets, lengths=(7, 2, 4, 7, 5, 6)):
    xs = RANDOM.normal(size=(6, 7, 3)).astype("float32")
    return Batch(xs, targets, np.array(lengths, "int32"))


def measured(task, model, batch):
    return task.measure(task.predict(CONFIG, model, batch)[1], batch)


@pytest.mark.parametrize("name", mostly_full(list(TASKS), ["attention", "label"]))
def test_padding_and_filling_change_no_sum(name):
    task, targets = TASKS[name]
    model, batch = task.new(jax.random.key(0), CONFIG), batch_of(targets)
    whole = measured(task, model, batch)
    within = np.arange(7)[:, None] < batch.lengths[:, None, None]
    beyond = batch._replace(xs=np.where(within, batch.xs, np.nan))
    filled = Batch(
        np.concatenate([batch.xs, np.full((2, 7, 3), np.nan, "float32")]),
        np.concatenate([targets, targets[:2]]),
        np.concatenate([batch.lengths, [7, 7]]),
        np.array([1] * 6 + [0] * 2, "float32"),
    )
    for other in (beyond, filled):
        got = measured(task, model, other)
        for metric, pair in whole.items():
            assert_close(got[metric], pair)


@pytest.mark.parametrize("name", mostly_full(list(TASKS), ["mean", "label"]))
def test_sums_of_parts_are_the_sums_of_the_whole(name):
    task, targets = TASKS[name]
    model, batch = task.new(jax.random.key(1), CONFIG), batch_of(targets)
    rows = (slice(0, 2), slice(2, 6))
    parts = [Batch(*(None if a is None else a[own] for a in batch)) for own in rows]
    sums = [measured(task, model, part) for part in parts]
    for metric, pair in measured(task, model, batch).items():
        assert_close(tuple(map(jnp.add, sums[0][metric], sums[1][metric])), pair)


@pytest.mark.parametrize("name", mostly_full(list(TASKS), ["attention", "label"]))
def test_every_parameter_gets_a_finite_gradient(name):
    task, targets = TASKS[name]
    model, batch = task.new(jax.random.key(2), CONFIG), batch_of(targets)

    def loss(model):
        total, weight = measured(task, model, batch)["loss"]
        return total / weight

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.grad(loss)(model)):
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 0, path


def test_losses_are_those_of_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    scores = RANDOM.normal(size=(6, 7, 5)).astype("float32")
    labels = RANDOM.integers(-1, 5, (6, 7))
    batch = Batch(scores[..., :3], labels)
    total, weight = Label(5).measure(jnp.asarray(scores), batch)["loss"]
    wanted = functional.cross_entropy(
        torch.tensor(scores).flatten(0, 1), torch.tensor(labels).flatten(), ignore_index=-1
    )
    assert_close(total / weight, wanted.numpy())
    targets, lengths = np.array([[1, 1, 3], [2, -1, -1]]), np.array([7, 4], "int32")
    batch = Batch(scores[:2, :, :3], targets, lengths)
    total, weight = Ctc(4).measure(jnp.asarray(scores[:2]), batch)["loss"]
    wanted = functional.ctc_loss(
        torch.tensor(scores[:2]).log_softmax(-1).swapaxes(0, 1),
        torch.tensor([[2, 2, 4], [3, 0, 0]]),
        torch.tensor([7, 4]), torch.tensor([3, 1]), reduction="sum",
    )  # fmt: skip
    assert_close(total, wanted.numpy())
    assert weight == 2


@pytest.mark.full
def test_ctc_of_short_and_empty_sequences_is_that_of_torch():
    torch = pytest.importorskip("torch")
    scores = RANDOM.normal(size=(5, 4, 5)).astype("float32")
    targets = np.array([[1, 1, 2], [0, 2, 1], [0, -1, -1], [-1, -1, -1], [0, 0, -1]])
    lengths, sizes = np.array([4, 2, 0, 0, 3]), (targets >= 0).sum(1)
    theirs = torch.tensor(scores, requires_grad=True)
    wanted = torch.nn.CTCLoss(reduction="none")(
        theirs.log_softmax(-1).swapaxes(0, 1),
        torch.tensor(targets + 1), torch.tensor(lengths), torch.tensor(sizes),
    )  # fmt: skip
    possible = torch.isfinite(wanted)
    assert possible.tolist() == [True, False, False, True, True]
    wanted[possible].sum().backward()

    def losses(scores):
        def loss(*row):
            xs, labels, length = (each[None] for each in row)
            return Ctc(4).measure(xs, Batch(xs, labels, length))["loss"][0]

        each = jax.vmap(loss)(scores, jnp.asarray(targets), jnp.asarray(lengths))
        return each.sum(), each

    gradient, each = jax.jit(jax.grad(losses, has_aux=True))(jnp.asarray(scores))
    assert_close(each, wanted.detach().numpy())
    assert_close(gradient, np.where(possible[:, None, None], theirs.grad, 0.0))


MANY = {
    "classify": (Classify(400), (6, 400), RANDOM.integers(0, 400, 6)),
    "label": (Label(400), (6, 7, 400), RANDOM.integers(-1, 400, (6, 7))),
    "language": (Language(400), (6, 7, 400), RANDOM.integers(0, 400, (6, 7))),
    "ctc": (Ctc(4), (6, 7, 5), np.array([[1, 2, -1]] * 6)),
    "regress": (Regress(3), (6, 3), RANDOM.normal(size=(6, 3)).astype("float32")),
    "quantiles": (Forecast(3, 1, (0.1, 0.9)), (6, 3, 1, 2), RANDOM.normal(size=(6, 3, 1))),
}


@pytest.mark.parametrize("name", mostly_full(list(MANY), ["label", "quantiles"]))
def test_losses_of_bfloat16_predictions_are_computed_in_float32(name):
    task, shape, targets = MANY[name]
    rounded = jnp.asarray(RANDOM.normal(size=shape), "bfloat16")
    batch = Batch(np.zeros((6, 7, 3), "float32"), targets)
    wanted = task.measure(rounded.astype("float32"), batch)
    for metric, pair in task.measure(rounded, batch).items():
        assert [each.dtype for each in pair] == ["float32"] * 2
        np.testing.assert_allclose(pair, wanted[metric], rtol=1e-6)


@pytest.mark.parametrize("readout", models.READOUTS)
@pytest.mark.parametrize("tied", mostly_full([False, True], default=[True]))
def test_a_head_of_bfloat16_reads_in_float32(readout, tied):
    def draw(*shape):
        return jnp.asarray(RANDOM.normal(size=shape), "bfloat16")

    ys, lengths = draw(3, 50, 8), np.array([50, 7, 0])
    narrow = models.Model(
        draw(9, 8), None, models.Head(None if tied else draw(8, 9), draw(9), draw(8))
    )
    wide = jax.tree.map(lambda a: a.astype("float32"), narrow)
    got, wanted = (models.pooled(m, ys, lengths, readout) for m in (narrow, wide))
    np.testing.assert_allclose(got.astype("float32"), wanted.astype("float32"), rtol=1e-6)
    got, wanted = models.scores(narrow, ys), models.scores(wide, ys.astype("float32"))
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_pinball_loss_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    task = Forecast(3, 2, quantiles=(0.1, 0.5, 0.9))
    predictions = RANDOM.normal(size=(6, 3, 2, 3)).astype("float32")
    targets = RANDOM.normal(size=(6, 3, 2)).astype("float32")
    total, weight = task.measure(jnp.asarray(predictions), Batch(targets, targets))["loss"]
    wanted = [
        metrics.mean_pinball_loss(targets.ravel(), predictions[..., n].ravel(), alpha=q)
        for n, q in enumerate(task.quantiles)
    ]
    assert_close(total / weight, np.mean(wanted))


def test_edits_are_counted_as_by_plain_recursion():
    def plain(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(plain(a[1:], b) + 1, plain(a, b[1:]) + 1, plain(a[1:], b[1:]) + (a[0] != b[0]))

    count = jax.jit(edit_distance)
    for _ in range(60):
        a, b = (RANDOM.integers(1, 4, RANDOM.integers(0, 5)).tolist() for _ in range(2))
        padded = [jnp.array(each + [0] * (5 - len(each))) for each in (a, b)]
        assert count(*padded) == plain(a, b)


def test_the_best_path_loses_blanks_and_repetitions():
    path = jnp.array([[0, 2, 2, 0, 2, 1, 1, 3]])
    valid = jnp.array([[1, 1, 1, 1, 1, 1, 1, 0]])
    assert collapsed(jax.nn.one_hot(path, 4), valid).tolist() == [[2, 2, 1, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("relative", mostly_full([False, True], default=[True]))
def test_a_rollout_is_a_network_that_reads_its_own_predictions(relative):
    config, task = Config.stack(2, [4]), Forecast(4, 2, strategy="rollout", relative=relative)
    model, xs = task.new(jax.random.key(0), config), RANDOM.normal(size=(3, 6, 2)).astype("float32")
    _, made = task.predict(config, model, Batch(xs, None))
    for _ in range(4):
        _, ys = jlstm.apply(config, model.network, None, xs, time_major=False)
        following = ys[:, -1] @ model.head.w + model.head.b
        following = following + xs[:, -1] if relative else following
        xs = np.concatenate([xs, following[:, None]], 1)
    assert_close(made[..., 0], xs[:, 6:])


DROPPED = {
    "each step": {"dropout": 0.3, "recurrent_dropout": 0.3, "zoneout_c": 0.3, "zoneout_h": 0.3},
    "held": {"dropout": 0.3, "recurrent_dropout": 0.3, "held_masks": True, "zoneout_c": 0.3},
    "weights": {"weight_dropout": 0.5},
}


@pytest.mark.parametrize("name", mostly_full(list(DROPPED), ["held"]))
def test_a_rollout_drops_what_the_network_drops_in_one_sequence(name):
    """The steps of the future are dropped from like those of the past, while training."""
    layers = (jlstm.Layer(6, **DROPPED[name]), jlstm.Layer(5, dropout=0.3))
    config, task = Config(2, layers), Forecast(4, 2, strategy="rollout")
    model, xs = task.new(jax.random.key(0), config), RANDOM.normal(size=(3, 6, 2)).astype("float32")
    key = jax.random.key(3)
    _, made = task.predict(config, model, Batch(xs, None), None, key)
    whole = np.concatenate([xs, made[:, :-1, :, 0]], 1)
    _, ys = jlstm.apply(config, model.network, None, whole, time_major=False, key=key)
    assert_close(made[..., 0], ys[:, 5:] @ model.head.w + model.head.b)


@pytest.mark.full
def test_a_tied_head_scores_with_the_embedding():
    config, task = Config.stack(4, [4]), Language(9, tied=True)
    model, tokens = task.new(jax.random.key(0), config), RANDOM.integers(0, 9, (2, 5))
    _, scores = task.predict(config, model, Batch(tokens, tokens))
    _, ys = jlstm.apply(config, model.network, None, model.embedding[tokens], time_major=False)
    assert_close(scores, ys @ model.embedding.T)
    assert model.head.w is None
    with pytest.raises(ValueError, match="projection_size = 3"):
        Language(9, tied=True).new(jax.random.key(0), Config.stack(3, [4]))


def test_attention_weighs_valid_steps_alone():
    ys, lengths = RANDOM.normal(size=(2, 4, 3)).astype("float32"), np.array([2, 0])
    head = models.Head(None, jnp.zeros(1), jnp.asarray(RANDOM.normal(size=3), "float32"))
    got = models.pooled(models.Model(None, None, head), jnp.asarray(ys), lengths, "attention")
    weights = np.exp(ys[0, :2] @ head.query)
    assert_close(got[0], (weights / weights.sum()) @ ys[0, :2])
    assert_close(got[1], np.zeros(3))


BAD = [
    ({"name": "clasify"}, "did you mean 'classify'"),
    ({"name": "classify", "clases": 3}, "did you mean 'classes'"),
    ({"classes": 3}, "lacks the key 'name'"),
    ({"name": "classify", "classes": 0}, "classes is 0"),
    ({"name": "forecast", "horizon": 3, "quantiles": [0.5, 0.1]}, "expected increasing"),
    ({"name": "forecast", "horizon": 3, "strategy": "roll"}, "did you mean 'rollout'"),
    (
        {"name": "forecast", "horizon": 3, "strategy": "rollout", "quantiles": [0.1, 0.9]},
        "goes on from the median; add 0.5",
    ),
]


@pytest.mark.parametrize(("table", "words"), BAD)
def test_bad_tables_are_refused_with_a_remedy(table, words):
    with pytest.raises((TypeError, ValueError), match=words):
        names.from_table(table)


CLASSES = Data(Split(np.zeros((6, 4, 2), "float32"), np.arange(6) % 3), None, None)


def test_more_classes_than_the_data_have_are_allowed():
    task = names.from_table({"name": "classify", "classes": 5}, CLASSES)
    assert task == Classify(5)
    require_fitting(task, CLASSES)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_goes_into_a_table_and_back(name):
    task, _ = TASKS[name]
    assert names.from_table(names.to_table(task)) == task


@pytest.mark.parametrize("task", [Classify(3), Regress(2), Forecast(4)])
def test_a_network_whose_last_output_saw_one_step_alone_is_refused(task):
    config = Config(2, (jlstm.Layer(4, reverse=True),))
    with pytest.raises(ValueError, match="reverse=True"):
        task.new(jax.random.key(0), config)


# Options of the lower layer, those of the upper, and whether products are looked up by token.
TOKENS = {
    "plain": ({}, {}, True),
    "bidirectional": ({"bidirectional": True}, {}, True),
    "norm": ({"layer_norm": "gates_and_cell"}, {}, True),
    "projection": ({"projection_size": 3}, {}, True),
    "residual": ({"residual": True}, {}, False),
    "highway": ({"highway": True}, {}, False),
    "dropout": ({"dropout": 0.5}, {}, False),
    "skip": ({}, {"skip": True}, False),
}


@pytest.mark.parametrize("name", mostly_full(list(TOKENS), ["bidirectional", "dropout"]))
def test_tokens_give_what_their_vectors_give(name):
    """A small vocabulary is multiplied with the input weights once, where the layer allows it."""
    lower, upper, by_token = TOKENS[name]
    config = Config(8, (jlstm.Layer(8, **lower), jlstm.Layer(8, **upper)))
    task, lengths = Label(4, vocabulary=6), np.array([7, 2, 0], "int32")
    model, tokens = task.new(jax.random.key(0), config), RANDOM.integers(0, 6, (3, 7))
    batch = Batch(tokens, RANDOM.integers(0, 4, (3, 7)), lengths)
    key = jax.random.key(1)

    def loss(model, vectors):
        if vectors:
            xs = model.embedding[tokens]
            _, ys = jlstm.apply(
                config, model.network, None, xs, lengths=lengths, key=key, time_major=False
            )
            scores = models.scores(model, ys)
        else:
            _, scores = task.predict(config, model, batch, None, key)
        return task.measure(scores, batch)["loss"][0]

    got, wanted = (jax.value_and_grad(loss)(model, vectors) for vectors in (False, True))
    assert_close(got, wanted)
    assert models._reads_by_token(config, model) == by_token
