"""Images in the format of MNIST, read row by row or pixel by pixel."""

import os
import pathlib

import numpy as np

from jlstm import validation
from jlstm.train.data import idx_file
from jlstm.train.data.holdout import held_out
from jlstm.train.data.split import Data, Meaning, Split

_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"


def fashion_mnist(
    *,
    folder: str = "/usr/share/datasets/fashion-mnist",
    by: str = "rows",
    permuted: bool = False,
    train: int | None = None,
    valid: int = 0,
    test: int | None = None,
    seed: int = 0,
) -> Data:
    """Images of ten kinds of clothes: 60,000 to train on, 10,000 to test on, 28 rows of 28 pixels.

    Xiao, Rasul and Vollgraf, arXiv 1708.07747. The default folder is that of Debian's package
    dataset-fashion-mnist. Options and errors are those of `idx`.
    """
    if not os.path.isdir(folder):
        raise ValueError(
            f"{folder}: there is no such folder. Install the images with "
            "`apt install dataset-fashion-mnist`, or set `folder` to where they are"
        )
    data = idx(
        folder=folder, by=by, permuted=permuted, train=train, valid=valid, test=test, seed=seed
    )
    classes = tuple(_FASHION.split(","))
    if len(data.meaning.classes) > len(classes):
        raise ValueError(
            f"{folder}: its labels are of {len(data.meaning.classes)} classes; Fashion-MNIST has "
            f"{len(classes)}. Read other images with source = 'idx'"
        )
    return data._replace(meaning=data.meaning._replace(classes=classes))


def idx(
    *,
    folder: str,
    by: str = "rows",
    permuted: bool = False,
    train: int | None = None,
    valid: int = 0,
    test: int | None = None,
    seed: int = 0,
) -> Data:
    """Images of a folder of IDX files, the format of MNIST.

    The folder has the files train-images-idx3-ubyte, train-labels-idx1-ubyte,
    t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte. Each may be compressed and end in .gz. Pixels
    become numbers from 0 to 1.

    Args:
      folder: where the files are.
      by: "rows": a step is a row of an image. "pixels": a step is one pixel, row after row.
      permuted: reorder the pixels of every image by the same random permutation, which does not
        depend on `seed`.
      train: the number of training images, from the beginning of the file. None: all.
      valid: how many of these are the validation part. Each class has the same share of it.
      test: the number of test images, from the beginning of the file. None: all.
      seed: the seed that determines the validation images.

    Raises:
      TypeError: an option is of the wrong type.
      ValueError: an option is out of range, or a file is missing, damaged or does not go with the
        others.
    """
    validation.known_name("by", by, ("rows", "pixels"))
    validation.boolean("permuted", permuted)
    images, labels = _part(folder, "train", train)
    of_test, labels_of_test = _part(folder, "t10k", test)
    if images.shape[1:] != of_test.shape[1:]:
        raise ValueError(
            f"{folder}: training images of {images.shape[1:]} pixels and test images of "
            f"{of_test.shape[1:]}; expected the same"
        )
    classes = int(labels.max()) + 1
    if (highest := int(labels_of_test.max())) >= classes:
        raise ValueError(
            f"{folder}: the test images have the label {highest}, and the training images only "
            f"labels up to {classes - 1}; expected the same labels"
        )
    rows, columns = images.shape[1:]
    order = np.random.default_rng(0).permutation(rows * columns) if permuted else None
    features = columns if by == "rows" else 1

    def sequences(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1)
        flat = flat if order is None else flat[:, order]
        return flat.reshape(len(images), -1, features) / np.float32(255)

    trained, apart = held_out(Split(sequences(images), labels), valid, seed)
    return Data(
        trained,
        apart,
        Split(sequences(of_test), labels_of_test),
        Meaning(
            classes=tuple(map(str, range(classes))),
            input_mean=(0.0,) * features,
            input_scale=(255.0,) * features,
        ),
    )


def _part(folder: str, part: str, most: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The first `most` images of a part, uint8 [N, rows, columns], and labels, int32 [N]."""
    name = "test" if part == "t10k" else part
    images = idx_file.read(path := _file(folder, f"{part}-images", "idx3"), 3)
    labels = idx_file.read(_file(folder, f"{part}-labels", "idx1"), 1)
    if not images.size:
        raise ValueError(f"{path}: holds no images; expected at least one, of at least one pixel")
    if len(images) != len(labels):
        raise ValueError(
            f"{path}: {len(images)} images, but {len(labels)} labels in the file beside it; "
            "expected one label for each image"
        )
    if most is not None and validation.positive_int(name, most) > len(images):
        raise ValueError(
            f"{name} is {most}, the number of images; expected at most {len(images)}, "
            f"which {path} has"
        )
    return images[:most], labels[:most].astype("int32")


def _file(folder: str, name: str, kind: str) -> pathlib.Path:
    """The path of a file, whichever of the usual names it has."""
    for form in (f"{name}-{kind}-ubyte", f"{name}.{kind}-ubyte"):
        for ending in ("", ".gz"):
            if (path := pathlib.Path(folder, form + ending)).exists():
                return path
    raise ValueError(
        f"{folder}: has no file {name}-{kind}-ubyte, with or without .gz; expected the four files "
        "of a data set like MNIST"
    )
