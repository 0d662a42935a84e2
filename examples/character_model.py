"""A character model: it learns from a text, then continues a prompt.

The text is the language reference that comes with Python, 460,000 characters, or a file of yours.
Each batch continues where the previous one ended, and starts from its last carry.

    python examples/character_model.py --steps 3000 --prompt "The statement"
"""

import argparse
import pathlib
from pydoc_data.topics import topics

import jax
import optax

import jlstm
from jlstm.train import loop, sampling, step
from jlstm.train.data import batches, vocabulary
from jlstm.train.data.split import Meaning, Stream
from jlstm.train.tasks.language import Language
from jlstm.train.trained import Trained


def main(
    steps: int = 3000,
    hidden_size: int = 256,
    prompt: str = "The statement",
    length: int = 400,
    path: str | None = None,
) -> tuple[float, str]:
    """Trains on a text; returns bits a character of its last 5 % and a sample."""
    text = pathlib.Path(path).read_text() if path else "\n".join(topics.values())
    known = vocabulary.characters(text)
    tokens = vocabulary.encode(text, known)
    cut = len(tokens) * 95 // 100
    train, test = Stream(tokens[:cut]), Stream(tokens[cut:])

    config = jlstm.Config.stack(64, [hidden_size])
    task = Language(vocabulary=len(known))
    rate = optax.cosine_decay_schedule(4e-3, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    state = step.new_state(jax.random.key(0), config, task, optimizer, batch_size=32)
    train_step = step.make_train_step(config, task, optimizer)
    source = batches.training(train, 32, unroll=64)
    for update in loop.updates(train_step, state, source, jax.random.key(1), steps=steps):
        state = update.state
        if update.step % 250 == 0:
            print(f"step {update.step}: {update.metrics['bits'].mean():.2f} bits a character")

    eval_step = jax.jit(step.make_eval_step(config, task))
    carry = jlstm.initial_carry(config, state.model.network, (8,))
    measured = loop.evaluated(eval_step, state.model, test, 8, carry=carry, unroll=64)
    print(f"on the last 5 % of the text: {measured['bits']:.2f} bits a character\n")

    model = Trained(config, task, state.model, Meaning(vocabulary=known), {}, 64)
    drawn = sampling.sampled(model, vocabulary.encode(prompt, known), length, temperature=0.7)
    sample = prompt + vocabulary.decode(drawn, known)
    print(sample)
    return measured["bits"], sample


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--prompt", default="The statement")
    parser.add_argument("--length", type=int, default=400)
    parser.add_argument("--path", help="a text file in UTF-8")
    main(**vars(parser.parse_args()))
