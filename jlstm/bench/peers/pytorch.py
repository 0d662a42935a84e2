"""torch.nn.LSTM."""

import time
from typing import Any

import numpy as np
import torch

from jlstm.bench.peers import Program, UnsupportedError, plain
from jlstm.bench.problem import COMPARED_STEPS, LayerWeights, Problem, Seen, named


def requirement(device: str = "cpu", **options: Any) -> str:
    """What this machine lacks; "" if nothing."""
    if device == "cuda" and not torch.cuda.is_available():
        return "needs an NVIDIA GPU and torch built for CUDA"
    return ""


def prepare(
    problem: Problem,
    mode: str,
    *,
    device: str = "cpu",
    compiled: bool = False,
    dtype: str | None = None,
    tensor_float: bool = True,
) -> Program:
    """One module if all layers have equal size, otherwise one per layer. Sequences are packed.

    Args:
      problem: the arrays of the case.
      mode: one of cases.MODES.
      device: "cpu" or "cuda".
      compiled: whether to use torch.compile.
      dtype: dtype of weights, input and outputs; None for the dtype of the case.
      tensor_float: whether cuDNN may round operands of float32 products to TensorFloat-32, which is
        torch's default.
    """
    plain.require(problem, resets=False, directions=mode != "step")
    if mode == "compile":
        raise UnsupportedError("compiling is timed for JAX only")
    start = time.perf_counter()
    torch.set_num_threads(problem.threads)
    torch.backends.cudnn.allow_tf32 = tensor_float
    kind = getattr(torch, dtype or problem.case.config.dtype)
    # Memory that an earlier case left behind must not count in this one.
    before = torch.cuda.memory_allocated() if device == "cuda" else 0
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    modules = [module.to(device, kind) for module in _modules(problem)]
    runs = [torch.compile(module) if compiled else module for module in modules]
    xs = torch.tensor(problem.xs, device=device, dtype=kind)
    # pack_padded_sequence needs lengths on the CPU.
    lengths = None if problem.lengths is None else torch.tensor(problem.lengths).long()

    def forward(xs: torch.Tensor) -> torch.Tensor:
        ys: Any = xs
        if lengths is not None:
            ys = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
        for run in runs:
            ys, _ = run(ys)
        if lengths is not None:
            ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=len(xs))
        return ys

    # Gradients of a mean of many numbers underflow in float16; users scale the loss.
    scale = 1.0
    if kind == torch.float16:
        scale = 2.0 ** int(np.log2(max(8, problem.xs.size)) - 3)

    def finish() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def train() -> tuple[torch.Tensor, torch.Tensor]:
        inputs = xs.clone().requires_grad_()
        for module in modules:
            module.zero_grad()
        ys = forward(inputs)
        (scale * ys.to(torch.promote_types(kind, torch.float32)).square().mean()).backward()
        finish()
        assert inputs.grad is not None
        return ys, inputs.grad

    def infer() -> torch.Tensor:
        with torch.inference_mode():
            ys = forward(xs)
        finish()
        return ys

    def step(x: torch.Tensor, states: list[Any]) -> tuple[torch.Tensor, list[Any]]:
        after = []
        with torch.inference_mode():
            for run, state in zip(runs, states, strict=True):
                x, state = run(x, state)
                after.append(state)
        finish()
        return x, after

    def results() -> Seen:
        if mode == "forward":
            return {"outputs": _array(infer())}
        if mode == "step":
            states, ys = [None] * len(runs), []
            for x in xs[:COMPARED_STEPS]:
                y, states = step(x[None], states)
                ys.append(_array(y[0]))
            return {"outputs": np.stack(ys)}
        ys, of_xs = train()
        gradients = named(tuple(_neutral(module, d) for module in modules for d in _layers(module)))
        gradients["gradients for the input"] = _array(of_xs)
        return {"outputs": _array(ys), **{name: a / scale for name, a in gradients.items()}}

    state = [[None] * len(runs)]

    def call() -> None:
        if mode == "step":
            _, state[0] = step(xs[:1], state[0])
        else:
            (train if mode == "training" else infer)()

    def null() -> None:
        with torch.inference_mode():
            torch.add(xs[-1, -1, -1:], 1)
        finish()

    def device_bytes() -> int | None:
        return torch.cuda.max_memory_allocated() - before if device == "cuda" else None

    call()
    return Program(call, results, null, 0.0, time.perf_counter() - start, device_bytes)


def _modules(problem: Problem) -> list[torch.nn.LSTM]:
    layers = problem.case.config.layers
    whole = all(layer == layers[0] for layer in layers)
    groups = [range(len(layers))] if whole else [range(n, n + 1) for n in range(len(layers))]
    modules = []
    for group in groups:
        first, size = layers[group[0]], problem.case.config.input_sizes[group[0]]
        module = torch.nn.LSTM(
            size, first.hidden_size, len(group), bidirectional=first.bidirectional
        )
        with torch.no_grad():
            for n, own in enumerate(problem.layers[i] for i in group):
                for d in range(len(own.b)):
                    end = f"_l{n}" + ("_reverse" if d else "")
                    getattr(module, "weight_ih" + end).copy_(torch.tensor(own.w_x[d].T))
                    getattr(module, "weight_hh" + end).copy_(torch.tensor(own.w_h[d].T))
                    getattr(module, "bias_ih" + end).copy_(torch.tensor(own.b[d]))
                    getattr(module, "bias_hh" + end).zero_()
        modules.append(module)
    return modules


def _layers(module: torch.nn.LSTM) -> list[list[str]]:
    directions = ["", "_reverse"] if module.bidirectional else [""]
    return [[f"_l{n}{d}" for d in directions] for n in range(module.num_layers)]


def _neutral(module: torch.nn.LSTM, ends: list[str]) -> LayerWeights:
    def stacked(name: str) -> np.ndarray:
        return np.stack([_array(getattr(module, name + end).grad).T for end in ends])

    return LayerWeights(stacked("weight_ih"), stacked("weight_hh"), stacked("bias_ih"))


def _array(a: torch.Tensor) -> np.ndarray:
    a = a.detach().cpu()
    return (a.float() if a.dtype in (torch.bfloat16, torch.float16) else a).numpy().copy()
