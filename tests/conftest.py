"""Eight CPU devices for the sharding tests, Keras on JAX, the same random examples in every run."""

import importlib.metadata
import os

# XLA and the frameworks read these when they are imported, in the processes that tests start too.
# Most of the tests' time is compiling, and the first two halve it. Set them to "" and "0" for a run
# in which XLA compiles as it does for users.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    # Later versions of XLA end the process if they are given this flag.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import pytest
from hypothesis import HealthCheck, settings

from tests.examples import examples
from tests.networks import require_kernel

jax.config.update("jax_num_cpu_devices", 8)

slow_to_compile = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "fixed",
    max_examples=examples(12),
    derandomize=True,
    deadline=None,
    suppress_health_check=slow_to_compile,
)
settings.register_profile(
    "long", max_examples=500, deadline=None, suppress_health_check=slow_to_compile
)
settings.load_profile("fixed")


@pytest.fixture
def x64():
    """JAX with 64-bit numbers, for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Random networks leave many programs behind; memory is given back after each module."""
    yield
    jax.clear_caches()


@pytest.fixture
def kernel():
    """Skips a test where the compiled kernels do not serve."""
    require_kernel()
