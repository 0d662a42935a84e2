"""Upper limits of the machine or accelerator: the rates of a matrix product and of a copy."""

import concurrent.futures
import itertools
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 1536  # of the matrices; large enough for full speed
NUMBERS = 1 << 25  # copied numbers, 128 MiB; more than caches hold
REPETITIONS = 5
# On an accelerator, a product of 8192 x 8192 or a copy of 1 GiB takes a thousand times a launch.
DEVICE_SIZE, DEVICE_NUMBERS = 8192, 1 << 28


def measure(threads: int) -> dict[str, float]:
    """GFLOP/s of a float32 matrix product, and GB/s (read plus written) of a copy.

    Each is the median of five interleaved measurements. On a CPU the product is the faster of XLA's
    and NumPy's. On an accelerator JAX runs both, at its default precision.

    Args:
      threads: number of threads that copy on a CPU.
    """
    if jax.default_backend() != "cpu":
        return _of_device()
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE), "float32")
    on_device = jnp.asarray(a)
    product = jax.jit(jnp.matmul)
    source, target = np.ones(NUMBERS, "float32"), np.zeros(NUMBERS, "float32")
    bounds = [NUMBERS * n // threads for n in range(threads + 1)]
    slices = [slice(*pair) for pair in itertools.pairwise(bounds)]
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda s: np.copyto(target[s], source[s]), slices))

        programs = {
            "xla": lambda: product(on_device, on_device).block_until_ready(),
            "numpy": lambda: a @ a,
            "copy": copy,
        }
        median = _medians(programs)
    return _rates(SIZE, min(median["xla"], median["numpy"]), NUMBERS, median["copy"])


def _of_device() -> dict[str, float]:
    a = jax.random.normal(jax.random.key(0), (DEVICE_SIZE, DEVICE_SIZE), "float32")
    source = jnp.ones(DEVICE_NUMBERS, "float32")
    product, copy = jax.jit(jnp.matmul), jax.jit(jnp.negative)
    programs = {
        "product": lambda: product(a, a).block_until_ready(),
        "copy": lambda: copy(source).block_until_ready(),
    }
    median = _medians(programs)
    return _rates(DEVICE_SIZE, median["product"], DEVICE_NUMBERS, median["copy"])


def _medians(programs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each program, without its first call, which warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(REPETITIONS + 1):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(times[1:])) for name, times in seconds.items()}


def _rates(size: int, product_s: float, numbers: int, copy_s: float) -> dict[str, float]:
    return {
        "product_gflops_per_s": 2 * size**3 / product_s / 1e9,
        "copy_gbytes_per_s": 2 * 4 * numbers / copy_s / 1e9,
    }
