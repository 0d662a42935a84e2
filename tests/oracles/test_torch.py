"""Variants beside PyTorch, with gradients."""

import jax
import numpy as np
import pytest

import jlstm
from jlstm import Layer
from tests.examples import mostly_full
from tests.networks import apply, assert_close, loss
from tests.oracles.calls import INPUTS, LENGTHS, H, T, call_of, sides

pytestmark = pytest.mark.filterwarnings("ignore")

TORCH = {
    "plain": (Layer(H), {}),
    "both ways": (Layer(H, bidirectional=True), {}),
    "projection": (Layer(H, projection_size=3), {}),
    "projection, both ways": (Layer(H, projection_size=2, bidirectional=True), {}),
    "packed": (Layer(H), LENGTHS),
    "packed, projection, both ways": (Layer(H, projection_size=3, bidirectional=True), LENGTHS),
}


def torch_module(torch, call):
    layer = call.config.layers[0]
    module = torch.nn.LSTM(
        INPUTS, H, bidirectional=layer.bidirectional, proj_size=layer.projection_size or 0
    )
    for params, suffix in zip(sides(call.params.layers[0], layer), ("", "_reverse"), strict=False):
        values = {"weight_ih": params.w_x.T, "weight_hh": params.w_h.T, "bias_ih": params.b}
        values["bias_hh"] = np.zeros(4 * H)
        if layer.projection_size:
            values["weight_hr"] = params.projection.T
        for name, value in values.items():
            getattr(module, f"{name}_l0{suffix}").data = torch.tensor(np.array(value)).float()
    return module


def in_torch(call):
    """Outputs and last states, and the gradient of `loss` of the outputs for the input."""
    torch = pytest.importorskip("torch")
    layer = call.config.layers[0]
    xs = torch.tensor(call.xs, requires_grad=True)
    state = [np.stack([getattr(s, k) for s in sides(call.carry[0], layer)]) for k in ("h", "c")]
    given = xs
    if "lengths" in call.times:
        lengths = torch.tensor(call.times["lengths"]).long()
        given = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
    ys, (h, c) = torch_module(torch, call)(given, tuple(torch.tensor(a) for a in state))
    if "lengths" in call.times:
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=T)
    weights = np.cos(np.arange(ys.numel(), dtype="float32")).reshape(ys.shape)
    (ys * torch.tensor(weights)).sum().backward()
    h, c = (a.detach().numpy() for a in (h, c))
    if not layer.bidirectional:
        h, c = h[0], c[0]
    return ((jlstm.Carry(c, h),), ys.detach().numpy()), xs.grad.numpy()


@pytest.mark.parametrize(
    "row", mostly_full(TORCH, default=["plain", "packed, projection, both ways"])
)
def test_torch(row):
    call = call_of(*TORCH[row])
    wanted, slope = in_torch(call)
    assert_close(apply(call), wanted, atol=1e-5)
    assert_close(jax.grad(lambda xs: loss(apply(call, xs=xs)[1]))(call.xs), slope, atol=1e-4)


def test_layer_norm_of_products_and_cell_is_that_of_fastrnns():
    """The cell of PyTorch's benchmarks/fastrnns, put together from torch's own functions."""
    torch = pytest.importorskip("torch")
    call = call_of(Layer(H, layer_norm="products_and_cell", bias=False))
    params = jax.tree.map(lambda a: torch.tensor(np.array(a)), call.params.layers[0])
    c, h = (torch.tensor(a) for a in call.carry[0])
    norm = torch.nn.functional.layer_norm
    ys = []
    for x in torch.tensor(call.xs):
        z = norm(x @ params.w_x, (4 * H,), *params.norms.x)
        z = z + norm(h @ params.w_h, (4 * H,), *params.norms.h)
        i, f, g, o = z.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        c = norm(c, (H,), *params.norms.c)
        h = o.sigmoid() * c.tanh()
        ys.append(h.numpy())
    assert_close(apply(call), ((jlstm.Carry(c.numpy(), h.numpy()),), np.stack(ys)), atol=1e-5)
