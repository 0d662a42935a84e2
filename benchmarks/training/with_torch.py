"""torch.nn.LSTM with batch_first, eager, and the fused Adam, the fastest of its forms on a CPU.

Batches index tensors: a DataLoader, which collates them from single sequences, is slower.
"""

import os
from collections.abc import Callable, Iterator

import torch
from cases import Arrays, Case
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


class Network(nn.Module):
    """An embedding of tokens, if there are any, LSTM layers of one size, and a linear head."""

    def __init__(self, case: Case, features: int) -> None:
        super().__init__()
        hidden, layers = case.hidden_sizes[0], len(case.hidden_sizes)
        self.embedding = nn.Embedding(case.outputs, hidden) if case.tokens else None
        self.lstm = nn.LSTM(hidden if case.tokens else features, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, case.outputs)

    def forward(self, xs, lengths=None, carry=None):
        """Predictions, and the carry. Sequences are read at their last step, a text at each."""
        if self.embedding is not None:
            ys, carry = self.lstm(self.embedding(xs), carry)
            return self.head(ys), carry
        if lengths is not None:
            xs = pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False)
        _, carry = self.lstm(xs)
        return self.head(carry[0][-1]), carry


def prepare(case: Case, arrays: Arrays) -> Callable[[], tuple[int, float]]:
    """A function that trains one turn. It returns the number of sequences and the mean loss."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    network = Network(case, arrays.xs.shape[-1])
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    measure = nn.MSELoss() if case.kind in ("regress", "forecast") else nn.CrossEntropyLoss()
    tensors = [torch.from_numpy(a) for a in arrays if a is not None]
    if case.kind == "classify":
        tensors[1] = tensors[1].long()
    turns = _text(case, tensors[0].long()) if case.tokens else None
    per_turn = 1 if case.tokens else -(-case.steps * case.batch_size // len(tensors[0]))

    def text() -> tuple[int, float]:
        carry, count, losses = None, 0, []
        for xs, targets in turns:
            if carry is not None:
                carry = tuple(a.detach() for a in carry)
            scores, carry = network(xs, carry=carry)
            losses.append(update(measure(scores.flatten(0, 1), targets.flatten())))
            count += len(xs)
        return count, sum(losses) / len(losses)

    def sequences() -> tuple[int, float]:
        count, losses = 0, []
        for _ in range(per_turn):
            for xs, targets, *lengths in _shuffled(case, tensors):
                predictions, _ = network(xs, *lengths)
                losses.append(update(measure(predictions, targets)))
                count += len(xs)
        return count, sum(losses) / len(losses)

    def update(loss) -> float:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return text if case.tokens else sequences


def _shuffled(case: Case, tensors: list) -> Iterator[list]:
    for rows in torch.randperm(len(tensors[0])).split(case.batch_size):
        yield [a[rows] for a in tensors]


def _text(case: Case, tokens) -> list[tuple]:
    """The parts of a text, each the next of every row."""
    each = (len(tokens) - 1) // case.batch_size
    xs, targets = (tokens[n : n + each * case.batch_size].view(-1, each) for n in (0, 1))
    parts = range(0, each // case.unroll * case.unroll, case.unroll)
    return [tuple(a[:, n : n + case.unroll] for a in (xs, targets)) for n in parts]
