"""Data: named sources of rows, checked on reading, and their splits.

Example:
    >>> arrays, source = load(MNIST)
    >>> train, validation = holdout(Arrays(arrays["x_train"], arrays["y_train"]), 0.2, seed=0, stratify=arrays["y_train"])
"""

from trainkit.data.scikit import holdout
from trainkit.data.sources import BOSTON, MNIST, DataSet, DataWarning, load

__all__ = ["BOSTON", "MNIST", "DataSet", "DataWarning", "holdout", "load"]
