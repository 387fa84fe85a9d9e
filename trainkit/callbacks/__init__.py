"""Keras callbacks that watch a training, save it and stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.callbacks.checkpoints import Checkpoints
    from trainkit.callbacks.early_stopping import EarlyStopping
    from trainkit.callbacks.learning_rate import SetLearningRate
    from trainkit.callbacks.metrics_csv import MetricsCSV
    from trainkit.callbacks.observer import Observer
    from trainkit.callbacks.plots import Plots
    from trainkit.callbacks.profile import Profile
    from trainkit.callbacks.rate_finder import RateFinder
    from trainkit.callbacks.tensorboard import TensorBoard
    from trainkit.callbacks.weight_average import WeightAverage
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.callbacks.checkpoints": ("Checkpoints",),
            "trainkit.callbacks.early_stopping": ("EarlyStopping",),
            "trainkit.callbacks.learning_rate": ("SetLearningRate",),
            "trainkit.callbacks.metrics_csv": ("MetricsCSV",),
            "trainkit.callbacks.observer": ("Observer",),
            "trainkit.callbacks.plots": ("Plots",),
            "trainkit.callbacks.profile": ("Profile",),
            "trainkit.callbacks.rate_finder": ("RateFinder",),
            "trainkit.callbacks.tensorboard": ("TensorBoard",),
            "trainkit.callbacks.weight_average": ("WeightAverage",),
        },
    )

__all__ = [
    "Checkpoints",
    "EarlyStopping",
    "MetricsCSV",
    "Observer",
    "Plots",
    "Profile",
    "RateFinder",
    "SetLearningRate",
    "TensorBoard",
    "WeightAverage",
]
