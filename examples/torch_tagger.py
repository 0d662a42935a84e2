"""A tagger trained in torch, then ported and exported: embedding, bidirectional LSTM and head.

It tags each character of a line of Python: name, number, text, comment or operator. The exported
program returns torch's scores for padded lines of every length, and runs with JAX alone.

    python examples/torch_tagger.py 300
"""

import pathlib
import sys
import textwrap
import tokenize

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn.utils import rnn

import jlstm
from jlstm.interop import from_torch

KINDS = [None, tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.COMMENT, tokenize.OP]


class Tagger(torch.nn.Module):
    """Characters [N, T] and the lengths [N] of lines to scores [N, T, kinds]."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(128, 32)
        self.lstm = torch.nn.LSTM(32, 64, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(128, len(KINDS))

    def forward(self, xs, lengths):
        """The scores of all characters of padded lines."""
        ys, _ = self.lstm(rnn.pack_padded_sequence(self.embedding(xs), lengths, True, False))
        return self.head(rnn.pad_packed_sequence(ys, True, total_length=xs.shape[1])[0])


def lines(path):
    """Characters [N, 100], kinds [N, 100] and lengths [N] of the lines of a Python file."""
    text = pathlib.Path(path).read_text("ascii").splitlines(keepends=True)
    xs, kinds = np.zeros([2, len(text), 100], "int32")
    for n, line in enumerate(text):
        xs[n, : len(line)] = [*line.encode()]
    for token in tokenize.generate_tokens(iter([*text, ""]).__next__):
        if token.type in KINDS and token.start[0] == token.end[0]:
            columns = slice(token.start[1], token.end[1])
            kinds[token.start[0] - 1, columns] = KINDS.index(token.type)
    return xs, kinds, np.array([len(line) for line in text], "int32")


def main(steps: int = 300) -> float:
    """Trains, ports and exports a tagger; returns the largest difference of scores."""
    data = [*map(torch.tensor, lines(textwrap.__file__))]
    torch.manual_seed(0)
    tagger = Tagger()
    optimizer = torch.optim.Adam(tagger.parameters(), 5e-3)
    for _ in range(steps):
        chosen = torch.randint(len(data[0]), [32])
        xs, kinds, lengths = (a[chosen] for a in data)
        inside = torch.arange(100) < lengths[:, None]
        loss = torch.nn.functional.cross_entropy(tagger(xs, lengths)[inside], kinds[inside].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    config, network = from_torch(tagger.lstm)
    arrays = (tagger.embedding.weight, tagger.head.weight.T, tagger.head.bias)
    embedding, w, b = (jnp.asarray(a.detach().numpy()) for a in arrays)

    def scores(xs, lengths):
        xs = embedding[xs]
        _, ys = jlstm.apply(config, network, None, xs, lengths=lengths, time_major=False)
        return ys @ w + b

    sizes = jax.export.symbolic_shape("batch, time")
    shapes = [jax.ShapeDtypeStruct(sizes[:n], "int32") for n in (2, 1)]
    written = jax.export.export(jax.jit(scores))(*shapes).serialize()

    xs, kinds, lengths = data
    expected = tagger(xs, lengths).detach().numpy()
    exported = jax.export.deserialize(written).call(xs.numpy(), lengths.numpy())
    difference = float(abs(exported - expected).max())
    inside = np.arange(100) < lengths.numpy()[:, None]
    right = (exported.argmax(-1) == kinds.numpy())[inside].mean()
    print(f"{right:.1%} of the characters are tagged right; largest difference: {difference:.1e}")
    return difference


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
