"""Text that a language model writes, one token at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jlstm import validation
from jlstm.network.step import step
from jlstm.params import initial_carry
from jlstm.train import model as models
from jlstm.train.data import vocabulary
from jlstm.train.model import Model
from jlstm.train.tasks.language import Language
from jlstm.train.trained import Trained


def sampled(
    found: Trained,
    prompt: Sequence[int],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[int]:
    """The tokens that a language model continues a prompt with, each as soon as it is chosen.

    Token n is drawn with the key `jax.random.fold_in(jax.random.key(seed), n)`. The token that
    stands for unknown characters is never chosen.

    Args:
      found: a model whose task is Language.
      prompt: the tokens to go on from, at least one; `vocabulary.encode` turns a text into them.
      length: the number of tokens to add.
      temperature: the number that scores are divided by before a token is drawn. 0: the likeliest
        token is taken.
      top_k: draw among this many likeliest tokens. None: among all.
      seed: the seed of the draws.

    Returns:
      An iterator of tokens, which `vocabulary.decode` turns into a text.

    Raises:
      TypeError, ValueError: the model is for another task, or an option is out of range.

    >>> from jlstm.config import Config
    >>> from jlstm.train.data.split import Meaning
    >>> known = vocabulary.characters("hello")
    >>> config, task = Config.stack(4, [8]), Language(vocabulary=len(known))
    >>> model = task.new(jax.random.key(0), config)
    >>> found = Trained(config, task, model, Meaning(vocabulary=known), {}, None)
    >>> tokens = sampled(found, vocabulary.encode("he", known), 3)
    >>> len(vocabulary.decode(tokens, known))
    3
    """
    if not isinstance(found.task, Language):
        raise ValueError(
            f"the model's task is {type(found.task).__name__.lower()}, but only a language model "
            "writes text; use `jlstm predict` to predict from a file"
        )
    if not len(prompt):
        raise ValueError("the prompt is empty; expected at least one character to go on from")
    validation.size("length", length)
    validation.number("temperature", temperature, low=0.0)
    if top_k is not None:
        validation.size("top_k", top_k)
    validation.number("seed", validation.integer("seed", seed), low=0, below=2**32)
    return _sampled(found, prompt, length, temperature, top_k, seed)


def _sampled(
    found: Trained,
    prompt: Sequence[int],
    length: int,
    temperature: float,
    top_k: int | None,
    seed: int,
) -> Iterator[int]:
    config, known = found.config, found.meaning.vocabulary
    barred = known.index(vocabulary.UNKNOWN) if vocabulary.UNKNOWN in known else None

    @jax.jit
    def advance(model: Model, carry: Any, token: jax.Array) -> tuple[Any, jax.Array]:
        x = jnp.asarray(model.embedding)[token].astype(config.dtype)
        carry, y = step(config, model.network, carry, x)
        return carry, models.scores(model, y)

    @jax.jit
    def chosen(scores: jax.Array, key: jax.Array, n: int) -> jax.Array:
        if barred is not None:
            scores = scores.at[barred].set(-jnp.inf)
        return choose(scores, jax.random.fold_in(key, n), temperature, top_k)

    key, scores = jax.random.key(seed), None
    carry = initial_carry(config, found.model.network)
    for token in prompt:
        carry, scores = advance(found.model, carry, jnp.int32(token))
    for n in range(length):
        assert scores is not None
        token = chosen(scores, key, n)
        yield int(token)
        if n + 1 < length:
            carry, scores = advance(found.model, carry, token)


def choose(
    scores: jax.Array, key: jax.Array, temperature: float = 1.0, top_k: int | None = None
) -> jax.Array:
    """A token, int32 [], drawn by its score.

    Args:
      scores: logarithms of probabilities, up to a constant [vocabulary].
      key: a key of jax.random.
      temperature: by which scores are divided. 0: the likeliest token is taken.
      top_k: draw among this many likeliest tokens, of equal ones the first. None: among all.

    >>> int(choose(jnp.array([1.0, 3.0, 2.0]), jax.random.key(0), temperature=0.0))
    1
    """
    if temperature == 0:
        return scores.argmax().astype("int32")
    scores = scores.astype("float32")
    if top_k is not None:
        # Not those above the k-th score: more than k tokens may have it.
        likeliest = jnp.argsort(scores, descending=True, stable=True)[:top_k]
        scores = jnp.full_like(scores, -jnp.inf).at[likeliest].set(scores[likeliest])
    # Relative to the largest, as a very low temperature would make all scores infinite.
    scores = (scores - scores.max()) / max(temperature, 1e-30)
    return jax.random.categorical(key, scores).astype("int32")
