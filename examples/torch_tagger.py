"""A tagger trained in torch, then ported and exported: embedding, bidirectional LSTM and head.

It tags each character of a line of Python: name, number, text, comment or operator. The exported
program returns torch's scores for padded lines of every length, and runs with JAX alone.

    python examples/torch_tagger.py 300
"""

import inspect
import sys
import tokenize

import jax.export
import torch

import jlstm.interop

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
        rnn = torch.nn.utils.rnn
        ys, _ = self.lstm(rnn.pack_padded_sequence(self.embedding(xs), lengths, True, False))
        return self.head(rnn.pad_packed_sequence(ys, True, total_length=xs.shape[1])[0])


def lines():
    """Characters [N, 128], kinds [N, 128] and lengths [N] of the lines of Python's tokenizer."""
    text = inspect.getsource(tokenize).splitlines(keepends=True)
    xs = torch.tensor([[*line.ljust(128, "\0").encode()] for line in text], dtype=torch.int32)
    kinds = torch.zeros_like(xs)
    for kind, _, (row, start), (last, end), _ in tokenize.generate_tokens(iter(text).__next__):
        if kind in KINDS and row == last:
            kinds[row - 1, start:end] = KINDS.index(kind)
    return xs, kinds, torch.tensor([*map(len, text)], dtype=torch.int32)


def main(steps: int = 300) -> float:
    """Trains, ports and exports a tagger; returns the largest difference of scores."""
    xs, kinds, lengths = lines()
    inside = torch.arange(128) < lengths[:, None]
    torch.manual_seed(0)
    tagger = Tagger()
    optimizer = torch.optim.Adam(tagger.parameters(), 5e-3)
    for _ in range(steps):
        n = torch.randint(len(xs), [32])
        ys = tagger(xs[n], lengths[n])[inside[n]]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(ys, kinds[n][inside[n]].long()).backward()
        optimizer.step()
    config, params = jlstm.interop.from_torch(tagger.lstm)
    embedding, *_, w, b = (jax.numpy.asarray(a.numpy()) for a in tagger.state_dict().values())

    def scores(xs, lengths):
        _, ys = jlstm.apply(config, params, None, embedding[xs], lengths=lengths, time_major=False)
        return ys @ w.T + b

    given = (xs.numpy(), lengths.numpy())
    shapes = jax.export.symbolic_args_specs(given, ("batch, time", "batch"))
    written = jax.export.export(jax.jit(scores))(*shapes).serialize()
    exported = jax.export.deserialize(written).call(*given)
    difference = float(abs(exported - tagger(xs, lengths).detach().numpy()).max())
    right = (exported.argmax(-1) == kinds.numpy())[inside.numpy()].mean()
    print(f"{right:.1%} of the characters are tagged right; largest difference: {difference:.1e}")
    return difference


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
