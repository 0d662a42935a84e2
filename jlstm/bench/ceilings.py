"""What the machine can do at most: a large matrix product and a memory copy."""

import concurrent.futures
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 1536  # of the matrices: large enough for full speed
NUMBERS = 1 << 25  # that are copied, 128 MiB: more than caches hold
REPETITIONS = 5


def measure(threads: int) -> dict[str, float]:
    """GFLOP/s of the faster of XLA's and NumPy's float32 product, GB/s read and written of a copy.

    Each is the median of five, taken in turn.
    """
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
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(REPETITIONS + 1):
            for name, program in programs.items():
                start = time.perf_counter()
                program()
                seconds[name].append(time.perf_counter() - start)
    # The first of each warms up.
    median = {name: float(np.median(times[1:])) for name, times in seconds.items()}
    return {
        "product_gflops_per_s": 2 * SIZE**3 / min(median["xla"], median["numpy"]) / 1e9,
        "copy_gbytes_per_s": 2 * 4 * NUMBERS / median["copy"] / 1e9,
    }
