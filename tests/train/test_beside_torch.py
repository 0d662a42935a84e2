"""Runs of steps beside torch: from the same weights, on the same batches, the same losses."""

import jax
import numpy as np
import pytest

from jlstm import Config
from jlstm.interop import to_torch
from jlstm.train.model import Batch
from jlstm.train.optimizer import Optimizer, transformation
from jlstm.train.step import make_train_step, new_state
from jlstm.train.tasks.classify import Classify

STEPS = 20
RANDOM = np.random.default_rng(0)
XS = RANDOM.normal(size=(STEPS, 6, 5, 3)).astype("float32")
LABELS = RANDOM.integers(0, 3, (STEPS, 6))
LENGTHS = RANDOM.integers(1, 6, (STEPS, 6))


@pytest.mark.full
@pytest.mark.parametrize(("name", "accumulate"), [("adam", 1), ("adam", 2), ("adamw", 2)])
def test_twenty_steps_have_the_losses_of_torch(name, accumulate):
    torch = pytest.importorskip("torch")
    decay = 0.1 if name == "adamw" else 0.0
    table = Optimizer(name, 0.03, None, decay, clip_norm=0.3, accumulate=accumulate)
    config, task, optimizer = Config.stack(3, [4, 4]), Classify(3), transformation(table, STEPS)
    state = new_state(jax.random.key(0), config, task, optimizer)
    step = jax.jit(make_train_step(config, task, optimizer))
    lstm = to_torch(config, state.model.network, batch_first=True)
    head = torch.nn.Linear(4, 3)
    head.weight.data = torch.tensor(np.asarray(state.model.head.w).T)
    head.bias.data = torch.tensor(np.asarray(state.model.head.b))
    # jlstm has one bias for each layer, torch two: the second stays as it is.
    biases = [each for n, each in lstm.named_parameters() if n.startswith("bias_ih")]
    matrices = [each for n, each in lstm.named_parameters() if n.startswith("weight")]
    groups = [
        {"params": [*matrices, head.weight], "weight_decay": decay},
        {"params": [*biases, head.bias], "weight_decay": 0.0},
    ]
    trained = [each for group in groups for each in group["params"]]
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    theirs, losses = kind(groups, lr=0.03), []
    for n in range(STEPS):
        state, metrics = step(state, Batch(XS[n], LABELS[n], LENGTHS[n]), None)
        ys = lstm(torch.tensor(XS[n]))[0][torch.arange(6), torch.tensor(LENGTHS[n]) - 1]
        loss = torch.nn.functional.cross_entropy(head(ys), torch.tensor(LABELS[n]))
        (loss / accumulate).backward()
        if (n + 1) % accumulate == 0:
            torch.nn.utils.clip_grad_norm_(trained, 0.3)
            theirs.step()
            theirs.zero_grad()
        losses.append((float(metrics["loss"]), loss.item()))
    ours, wanted = np.array(losses).T
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5)
