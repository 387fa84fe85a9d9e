"""The tasks that come with trainkit; each file is a template to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.tasks.boston import Boston
    from trainkit.tasks.mnist import MNIST
    from trainkit.tasks.mnist_cnn import MnistCnn
    from trainkit.tasks.tabular import TabularClassification, TabularRegression
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.tasks.boston": ("Boston",),
            "trainkit.tasks.mnist": ("MNIST",),
            "trainkit.tasks.mnist_cnn": ("MnistCnn",),
            "trainkit.tasks.tabular": ("TabularClassification", "TabularRegression"),
        },
    )

__all__ = ["MNIST", "Boston", "MnistCnn", "TabularClassification", "TabularRegression"]
