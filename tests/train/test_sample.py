"""The command sample: text of a language model, one token at a time."""

import io
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jlstm import Config
from jlstm.train import sampling, trained
from jlstm.train.command import sample as command
from jlstm.train.command.sample import sample
from jlstm.train.data import vocabulary
from jlstm.train.data.split import Meaning
from jlstm.train.model import Batch
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.language import Language

KNOWN = vocabulary.characters("abcdefgh \n")


def model(known=KNOWN, tied=False, dtype="float32"):
    """A language model with random parameters, whose scores differ much."""
    config = Config(8, Config.stack(8, [8, 8], residual=True).layers, dtype=dtype)
    task = Language(len(known), tied)
    made = task.new(jax.random.key(0), config)
    made = jax.tree.map(lambda a: 3 * a, made)
    return trained.Trained(config, task, made, Meaning(vocabulary=known), {}, 8)


@pytest.fixture
def path(tmp_path):
    trained.save(tmp_path / "model.safetensors", model())
    return tmp_path / "model.safetensors"


def plainly(found, prompt, length, temperature, top_k, seed):
    """The same text by the whole network over the growing text."""
    tokens, key = list(prompt), jax.random.key(seed)
    for n in range(length):
        batch = Batch(jnp.asarray([tokens]), None)
        scores = np.array(found.task.predict(found.config, found.model, batch)[1][0, -1], "float32")
        scores[found.meaning.vocabulary.index(vocabulary.UNKNOWN)] = -np.inf
        if temperature == 0:
            tokens.append(int(scores.argmax()))
            continue
        if top_k is not None:
            scores[scores < np.sort(scores)[-top_k]] = -np.inf
        key_n = jax.random.fold_in(key, n)
        tokens.append(int(jax.random.categorical(key_n, jnp.asarray(scores / temperature))))
    return tokens[len(prompt) :]


@pytest.mark.full
@pytest.mark.parametrize(
    ("temperature", "top_k", "tied"),
    [(0.0, None, False), (0.8, None, True), (2.0, 3, False)],
)
def test_steps_give_the_text_that_the_whole_network_gives(temperature, top_k, tied):
    found, prompt = model(tied=tied), [3, 4, 5]
    options = dict(temperature=temperature, top_k=top_k, seed=7)
    made = list(sampling.sampled(found, prompt, 10, **options))
    assert made == plainly(found, prompt, 10, temperature, top_k, 7)
    assert all(0 < token < len(KNOWN) for token in made)


def test_the_first_characters_come_before_the_last_are_computed():
    made = sampling.sampled(model(), [1], 10**9)
    assert [next(made) for _ in range(3)] == list(sampling.sampled(model(), [1], 3))


def test_the_temperature_and_the_best_k_shape_the_draws():
    scores, keys = jnp.log(jnp.array([0.5, 0.3, 0.2])), jax.random.split(jax.random.key(0), 4000)

    def shares(**options):
        drawn = jax.vmap(lambda key: sampling.choose(scores, key, **options))(keys)
        return np.bincount(drawn, minlength=3) / len(keys)

    np.testing.assert_allclose(shares(), [0.5, 0.3, 0.2], atol=0.03)
    squares = np.array([0.25, 0.09, 0.04]) / 0.38
    np.testing.assert_allclose(shares(temperature=0.5), squares, atol=0.03)
    np.testing.assert_allclose(shares(top_k=2), [0.625, 0.375, 0], atol=0.03)
    for certain in (dict(temperature=0.0), dict(temperature=1e-45), dict(top_k=1)):
        np.testing.assert_array_equal(shares(**certain), [1, 0, 0])
    np.testing.assert_allclose(shares(top_k=99), [0.5, 0.3, 0.2], atol=0.03)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_best_k_are_k_however_many_scores_are_equal(dtype):
    scores = jnp.array([0.0, 2.0, 1.0, 2.0, 2.0, 1.0, -0.0], dtype)
    keys = jax.random.split(jax.random.key(0), 300)
    for k, wanted in enumerate([[1], [1, 3], [1, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4, 5]], start=1):
        drawn = jax.vmap(lambda key, k=k: sampling.choose(scores, key, top_k=k))(keys)
        assert sorted(set(drawn.tolist())) == wanted
    for equal in (jnp.zeros(5), jnp.array([-0.0, 0.0])):
        assert sampling.choose(equal, keys[0], top_k=1) == equal.argmax() == 0


def test_one_seed_gives_one_text(path, capsys):
    texts = []
    for seed in (0, 0, 1):
        sample(path, "abc", length=30, temperature=9.0, seed=seed)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("abc") and len(texts[0]) == 34 and texts[0].endswith("\n")


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("a?b!", {}, r"the prompt has characters that the model's text does not have: '!', '\?'"),
        ("", {}, "the prompt is empty"),
        ("a", {"length": 0}, "length is 0"),
        ("a", {"temperature": -1.0}, "temperature is -1"),
        ("a", {"top_k": 0}, "top_k is 0"),
        ("a", {"seed": -1}, "seed is -1"),
    ],
)
def test_what_cannot_be_sampled_is_refused(path, prompt, options, words, capsys):
    with pytest.raises(ValueError, match=words):
        sample(path, prompt, **options)
    assert capsys.readouterr().out == ""


def test_only_a_language_model_writes(tmp_path):
    config, task = Config.stack(2, [4]), Classify(3)
    found = trained.Trained(config, task, task.new(jax.random.key(0), config), Meaning(), {}, None)
    with pytest.raises(ValueError, match="only a language model writes text"):
        sampling.sampled(found, [1], 3)
    trained.save(tmp_path / "m", found)
    with pytest.raises(ValueError, match="no vocabulary"):
        sample(tmp_path / "m", "a")


def test_bytes_are_printed_as_the_characters_that_they_form(tmp_path, capsys, monkeypatch):
    trained.save(tmp_path / "m", model(vocabulary.BYTES))
    said = [*"ä€".encode(), 0xFF, *b"x", 0xC3]
    monkeypatch.setattr(command.sampling, "sampled", lambda *_, **__: iter(said))
    sample(tmp_path / "m", "ü")
    assert capsys.readouterr().out == "üä€\ufffdx\ufffd\n"


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


def test_a_terminal_gets_no_control_characters(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO(), encoding="ascii"))
    assert command._shown("a\x1b[31m\n\tä") == "a\\x1b[31m\n\t?"


def test_ctrl_c_ends_the_line(path, capsys, monkeypatch):
    def stopped(*_, **__):
        yield 3
        raise KeyboardInterrupt

    monkeypatch.setattr(command.sampling, "sampled", stopped)
    with pytest.raises(KeyboardInterrupt):
        sample(path, "a")
    assert capsys.readouterr().out == f"a{KNOWN[3]}\n"


@pytest.mark.full
def test_who_reads_no_further_ends_it(path):
    code = "import sys; sys.argv[0] = 'jlstm'; from jlstm.cli import main; main()"
    words = [sys.executable, "-c", code, "sample", path, "--prompt", "abc", "--length", "100000000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(8).startswith(b"abc")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
