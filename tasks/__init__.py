"""The tasks that come with trainkit; each file is a template to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.tasks.boston import Boston
    from trainkit.tasks.image_classification import ImageClassification
    from trainkit.tasks.mnist import MNIST
    from trainkit.tasks.mnist_cnn import MnistCnn
    from trainkit.tasks.tabular import TabularClassification, TabularRegression
    from trainkit.tasks.text_classification import TextClassification
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.tasks.boston": ("Boston",),
            "trainkit.tasks.image_classification": ("ImageClassification",),
            "trainkit.tasks.mnist": ("MNIST",),
            "trainkit.tasks.mnist_cnn": ("MnistCnn",),
            "trainkit.tasks.tabular": ("TabularClassification", "TabularRegression"),
            "trainkit.tasks.text_classification": ("TextClassification",),
        },
    )

__all__ = [
    "MNIST",
    "Boston",
    "ImageClassification",
    "MnistCnn",
    "TabularClassification",
    "TabularRegression",
    "TextClassification",
]
