"""The substitutes for MNIST and Boston: two small data sets that scikit-learn ships."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from trainkit.core.datasets import Source
from trainkit.data.splits import shuffled

__all__ = ["diabetes", "digits"]


def digits() -> tuple[dict[str, np.ndarray], Source]:
    """scikit-learn's 1,797 digits of 8x8 pixels, in the form of MNIST.

    Images are scaled to 28x28 uint8 from 0 to 255; a fifth of them is the test set.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    # Where the centres of 28 pixels lie among those of 8, and the weights of linear interpolation [28, 8].
    at = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    weight = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
    x = (weight @ (images.reshape(-1, 8, 8) * (255 / 16)) @ weight.T).round().astype(np.uint8)
    y = labels.astype(np.uint8)
    train, test = shuffled(len(y), 0.2, seed=0, labels=y)
    arrays = {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}
    return arrays, _source("scikit-learn digits 8x8 scaled to 28x28", "MNIST", arrays)


def diabetes() -> tuple[dict[str, np.ndarray], Source]:
    """scikit-learn's diabetes data in the form of Boston's.

    442 patients with 10 features, and how far the disease has come after a year.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    arrays = {"x": x, "y": y}
    name = "scikit-learn diabetes (disease progression, not prices)"
    return arrays, _source(name, "Boston housing", arrays)


def _source(name: str, wanted: str, arrays: Mapping[str, np.ndarray]) -> Source:
    import sklearn

    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return Source(name, f"scikit-learn {sklearn.__version__}", digest.hexdigest(), wanted)
