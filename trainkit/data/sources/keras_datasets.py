"""The data sets that Keras has loaders for, by the names that `data.source` takes.

Sources: MNIST (LeCun et al. 1998), Boston housing (Harrison and Rubinfeld 1978), Fashion-MNIST (Xiao et al.
2017), CIFAR-10 (Krizhevsky 2009), California housing (Pace and Barry 1997), IMDB reviews (Maas et al. 2011),
Reuters newswires (Lewis 1987). The arrays are those of the files: what Keras's loaders split or shuffle,
the task does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from trainkit.data.sources import embedded, file_formats
from trainkit.data.sources.array_specs import ArraySpec
from trainkit.data.sources.known_sets import DataSet, DataWarning, Loaded, RemoteFile, load

__all__ = [
    "BOSTON",
    "CALIFORNIA_HOUSING",
    "CIFAR10",
    "FASHION_MNIST",
    "IMDB",
    "KNOWN_SETS",
    "MNIST",
    "REUTERS",
    "DataSet",
    "DataWarning",
    "Loaded",
    "RemoteFile",
    "load",
]

KERAS_FILES = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def _keras_file(name: str, sha256: str, folder: str = "") -> RemoteFile:
    return RemoteFile(folder + name, KERAS_FILES + name, sha256)


def _images(*shape: int) -> dict[str, ArraySpec]:
    return {
        "x_train": ArraySpec(("N", *shape), np.uint8, 0, 255),
        "y_train": ArraySpec(("N",), np.integer, 0, 9),
        "x_test": ArraySpec(("M", *shape), np.uint8, 0, 255),
        "y_test": ArraySpec(("M",), np.integer, 0, 9),
    }


def _table(features: int) -> dict[str, ArraySpec]:
    return {"x": ArraySpec(("N", features), np.floating), "y": ArraySpec(("N",), np.floating)}


def _parse_npz(arrays: Mapping[str, ArraySpec]) -> partial[dict[str, np.ndarray]]:
    return partial(file_formats.npz_file, names=tuple(arrays))


MNIST = DataSet(
    name="MNIST",
    key="mnist",
    files=(_keras_file("mnist.npz", "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"),),
    arrays=_images(28, 28),
    parse=_parse_npz(_images(28, 28)),
    embedded=embedded.digits,
    classes=tuple("0123456789"),
)


BOSTON = DataSet(
    name="Boston housing",
    key="boston",
    files=(
        _keras_file("boston_housing.npz", "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"),
    ),
    arrays=_table(13),
    parse=_parse_npz(_table(13)),
    embedded=embedded.diabetes,
)


# Keras states no checksums; these are those that Zalando publishes.
FASHION_MNIST = DataSet(
    name="Fashion-MNIST",
    key="fashion_mnist",
    files=(
        _keras_file(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "fashion-mnist/",
        ),
        _keras_file(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "fashion-mnist/",
        ),
        _keras_file(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "fashion-mnist/",
        ),
        _keras_file(
            "t10k-labels-idx1-ubyte.gz",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "fashion-mnist/",
        ),
    ),
    arrays=_images(28, 28),
    parse=partial(file_formats.idx_files, names=tuple(_images(28, 28))),
    classes=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
)


CIFAR10 = DataSet(
    name="CIFAR-10",
    key="cifar10",
    files=(
        RemoteFile(
            "cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            cached="cifar-10-batches-py-target_archive",
        ),
    ),
    arrays=_images(32, 32, 3),
    parse=partial(
        file_formats.cifar_archive,
        batches=tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        test="cifar-10-batches-py/test_batch",
    ),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
)


CALIFORNIA_HOUSING = DataSet(
    name="California housing",
    key="california_housing",
    files=(
        _keras_file(
            "california_housing.npz", "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
        ),
    ),
    arrays=_table(8),
    parse=_parse_npz(_table(8)),
)


# Reviews and newswires as word numbers by frequency, from 1.
IMDB = DataSet(
    name="IMDB reviews",
    key="imdb",
    files=(_keras_file("imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"),),
    arrays={
        "x_train": ArraySpec(("N",), list, 1),
        "y_train": ArraySpec(("N",), np.integer, 0, 1),
        "x_test": ArraySpec(("M",), list, 1),
        "y_test": ArraySpec(("M",), np.integer, 0, 1),
    },
    parse=partial(file_formats.ragged_npz_file, lists=("x_train", "x_test")),
    classes=("negative", "positive"),
)


REUTERS = DataSet(
    name="Reuters newswires",
    key="reuters",
    files=(_keras_file("reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"),),
    arrays={"x": ArraySpec(("N",), list, 1), "y": ArraySpec(("N",), np.integer, 0, 45)},
    parse=partial(file_formats.ragged_npz_file, lists=("x",)),
)


KNOWN_SETS = {
    known.key: known for known in (MNIST, FASHION_MNIST, CIFAR10, BOSTON, CALIFORNIA_HOUSING, IMDB, REUTERS)
}
