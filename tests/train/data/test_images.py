"""Images in IDX files."""

import gzip
import os
import pathlib
import struct

import numpy as np
import pytest

from jlstm.train.data import idx_file, images

FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
IMAGES = np.arange(6 * 2 * 3, dtype="uint8").reshape(6, 2, 3) * 7
LABELS = np.array([0, 1, 2, 0, 1, 2], "uint8")


def idx(values):
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


@pytest.fixture
def folder(tmp_path):
    """A folder of four files, of both kinds of names, two of them compressed."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    (tmp_path / "t10k-images.idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[:2] + 1)))
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(idx(LABELS[1:3]))
    return tmp_path


def test_a_step_is_a_row(folder):
    train, valid, test, meaning, _ = images.idx(folder=str(folder))
    np.testing.assert_array_equal(train.xs, IMAGES / np.float32(255))
    np.testing.assert_array_equal(train.targets, LABELS)
    np.testing.assert_array_equal(test.xs, (IMAGES[:2] + 1) / np.float32(255))
    np.testing.assert_array_equal(test.targets, [1, 2])
    assert valid is None and meaning.classes == ("0", "1", "2")
    assert train.xs.dtype == "float32" and train.targets.dtype == "int32"
    raw = test.xs * np.array(meaning.input_scale) + np.array(meaning.input_mean)
    np.testing.assert_allclose(raw, IMAGES[:2] + 1)


def test_a_step_is_a_pixel(folder):
    data = images.idx(folder=str(folder), by="pixels", train=4, test=1, valid=1)
    assert (data.train.xs.shape, data.valid.xs.shape) == ((3, 6, 1), (1, 6, 1))
    np.testing.assert_array_equal(
        data.test.xs, IMAGES[:1].reshape(1, 6, 1) / np.float32(255) + np.float32(1 / 255)
    )


def test_every_image_has_the_same_permutation_whatever_the_seed(folder):
    plain = images.idx(folder=str(folder), by="pixels")
    mixed = images.idx(folder=str(folder), by="pixels", permuted=True, seed=1)
    order = np.random.default_rng(0).permutation(6)
    assert (order != np.arange(6)).any()
    np.testing.assert_array_equal(plain.train.xs[:, order], mixed.train.xs)
    np.testing.assert_array_equal(plain.test.xs[:, order], mixed.test.xs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "columns"}, "by is 'columns', which is not known"),
        ({"train": 7}, "train is 7, the number of images; expected at most 6"),
        ({"test": 0}, "test is 0"),
        ({"train": 3, "valid": 3}, "valid is 3; expected a whole number from 0 to 2"),
        ({"train": 2}, "the test images have the label 2, and the training images only"),
    ],
)
def test_options_out_of_range_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        images.idx(folder=str(folder), **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t10k-labels.idx1-ubyte", None, "has no file t10k-labels-idx1-ubyte"),
        ("t10k-labels.idx1-ubyte", idx(LABELS), "2 images, but 6 labels"),
        ("t10k-labels.idx1-ubyte", idx(LABELS[:0]), "2 images, but 0 labels"),
        ("train-images-idx3-ubyte", idx(IMAGES[:0]), "holds no images"),
        ("train-images-idx3-ubyte", idx(IMAGES[:, :1]), "expected the same"),
        ("train-images-idx3-ubyte", b"", "the bytes of an empty file; expected 00 00 08 03"),
        ("train-images-idx3-ubyte", idx(LABELS), "begins with the bytes 00 00 08 01"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:10], "is cut off in its header"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:-1], "6 x 2 x 3 values, but the file has"),
        ("train-images-idx3-ubyte", idx(IMAGES) + b"\0", "but the file has more"),
        ("train-images-idx3-ubyte", idx(IMAGES)[:4] + b"\xff" * 12, "but the file has at most 0"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS))[:-9], "damaged or cut off"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS)[:-1]), "but the file has 5"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS) + b"\0"), "but the file has more"),
        ("train-labels-idx1-ubyte.gz", b"\x1f\x8b no gzip", "damaged or cut off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_bad_files_are_refused(folder, name, content, message):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        images.idx(folder=str(folder))
    assert str(caught.value).startswith(str(folder))


def test_a_header_does_not_reserve_memory_that_the_file_cannot_fill(tmp_path):
    bomb = gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 1 << 20, 1 << 9, 2))
    (tmp_path / "bomb.gz").write_bytes(bomb)
    with pytest.raises(ValueError, match="1048576 x 512 x 2 values, but the file has at most"):
        idx_file.read(tmp_path / "bomb.gz", 3)


def test_a_missing_folder_says_what_to_install(tmp_path):
    with pytest.raises(ValueError, match="apt install dataset-fashion-mnist"):
        images.fashion_mnist(folder=str(tmp_path / "none"))


def test_fashion_mnist_names_its_classes(folder):
    data = images.fashion_mnist(folder=str(folder))
    assert data.meaning.classes[::9] == ("T-shirt/top", "Ankle boot")
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS + 10)))
    with pytest.raises(ValueError, match="its labels are of 13 classes; Fashion-MNIST has 10"):
        images.fashion_mnist(folder=str(folder))


@pytest.mark.full  # 60,000 images
@pytest.mark.skipif(
    not os.path.isdir(os.environ.get("FASHION_MNIST", FASHION)),
    reason="needs Debian's dataset-fashion-mnist; FASHION_MNIST may name another folder",
)
def test_debian_fashion_mnist():
    data = images.fashion_mnist(folder=os.environ.get("FASHION_MNIST", str(FASHION)), valid=5000)
    assert (data.train.xs.shape, data.test.xs.shape) == ((55000, 28, 28), (10000, 28, 28))
    np.testing.assert_array_equal(np.bincount(data.valid.targets), [500] * 10)
    np.testing.assert_array_equal(np.bincount(data.test.targets), [1000] * 10)
    np.testing.assert_array_equal(data.test.targets[:8], [9, 2, 1, 1, 6, 1, 4, 6])
    assert data.test.xs[0].sum() * 255 == pytest.approx(33456)
