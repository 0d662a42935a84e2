"""A session of TensorFlow 1."""

import pytest


@pytest.fixture
def session():
    """A session with a new graph."""
    from tests.interop.tensorflow.cells import tf, v1

    with tf.Graph().as_default(), v1.Session() as session:
        yield session
