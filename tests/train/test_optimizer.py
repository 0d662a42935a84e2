"""Optimisers by name: the same updates as optax called by hand, and clear refusals."""

import jax
import jax.numpy as jnp
import optax
import pytest

from jlstm import Config
from jlstm.train import optimizer
from jlstm.train.optimizer import Optimizer, transformation
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.language import Language
from tests.networks import assert_close

PARAMETERS = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[3.0]])}


def after(made, count=5):
    parameters, state = PARAMETERS, made.init(PARAMETERS)
    for n in range(count):
        gradients = jax.tree.map(lambda a, n=n: a * (n + 1), parameters)
        updates, state = made.update(gradients, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    return parameters


cosine = optax.cosine_decay_schedule(0.1, 10)
warm = optax.warmup_cosine_decay_schedule(0.0, 0.1, 2, 10)
SAME = {
    "adam": (Optimizer("adam", 0.1), optax.adam(0.1)),
    "options": (Optimizer("sgd", 0.1, options={"momentum": 0.9}), optax.sgd(0.1, momentum=0.9)),
    "schedule": (Optimizer("sgd", 0.1, "cosine_decay_schedule"), optax.sgd(cosine)),
    "table": (
        Optimizer("sgd", 0.1, {"name": "warmup_cosine_decay_schedule", "warmup_steps": 2}),
        optax.sgd(warm),
    ),
    "clipped": (
        Optimizer("sgd", 0.1, clip_norm=1.0),
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    ),
    "accumulated": (
        Optimizer("sgd", 0.1, accumulate=2),
        optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_updates_are_those_of_optax(name):
    settings, wanted = SAME[name]
    assert_close(after(transformation(settings, 10)), after(wanted))


def test_a_schedule_of_accumulated_batches_counts_updates():
    settings = Optimizer("sgd", 0.1, "cosine_decay_schedule", accumulate=2)
    by_hand = optax.MultiSteps(optax.sgd(optax.cosine_decay_schedule(0.1, 5)), 2)
    assert_close(after(transformation(settings, 10)), after(by_hand.gradient_transformation()))


def test_matrices_decay_and_nothing_else():
    config = Config(6, Config.stack(6, [6], peepholes=True).layers, learn_initial_carry=True)
    for task in (Language(9, tied=True), Classify(3, readout="attention", vocabulary=9)):
        model = jax.tree.map(jnp.ones_like, task.new(jax.random.key(0), config))
        made = transformation(Optimizer("adamw", 1.0, weight_decay=0.25), 10)
        zeros = jax.tree.map(jnp.zeros_like, model)
        updates, _ = made.update(zeros, made.init(model), model)
        moved = {
            jax.tree_util.keystr(path, simple=True, separator="."): bool((a != 0).all())
            for path, a in jax.tree_util.tree_leaves_with_path(updates)
        }
        matrices = {name for name in moved if name.endswith(("w_x", "w_h", "head.w"))}
        assert {name for name, did in moved.items() if did} == matrices


def test_an_average_forgets_the_random_parameters():
    old, new = PARAMETERS, jax.tree.map(lambda a: a + 1, PARAMETERS)
    for step in range(200):
        old = optimizer.average_of(old, new, 0.9, jnp.asarray(step))
    assert_close(old, new)


BAD = [
    ({"name": "adamm"}, "did you mean 'adam'"),
    ({"name": "adam", "options": {"b3": 0.9}}, "has no option 'b3'; known: 'b1'"),
    ({"name": "adam", "weight_decay": 0.1}, "use adamw"),
    ({"schedule": "cosine"}, "known: .*'cosine_decay_schedule'"),
    ({"schedule": {"name": "warmup_cosine_decay_schedule"}}, "needs warmup_steps"),
    ({"schedule": 3}, "expected a name"),
    ({"learning_rate": -1.0}, "at least 0"),
    ({"clip_norm": 0.0}, "above 0"),
    ({"average": 1.0}, "below 1"),
    ({"accumulate": 0}, "accumulate is 0"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_bad_settings_are_refused_with_a_remedy(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        Optimizer(**options)
