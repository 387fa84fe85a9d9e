"""A workload's network as Keras objects, for the contenders that train with TensorFlow."""

from __future__ import annotations

import keras
from keras import layers

from benchmarks.workloads import Workload


def network(workload: Workload) -> keras.Model:
    """The model, with Keras's own initialisation."""
    spec = workload.network
    model = keras.Sequential([keras.Input(workload.shape)])
    for filters in spec.convolutions:
        for layer in (
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
        ):
            model.add(layer)
    if spec.convolutions:
        model.add(layers.Flatten())
    for units in spec.hidden:
        model.add(layers.Dense(units, activation="relu"))
        if spec.dropout:
            model.add(layers.Dropout(spec.dropout))
    model.add(layers.Dense(spec.outputs, activation="softmax" if spec.classes else None, dtype="float32"))
    return model


def optimizer(workload: Workload) -> keras.optimizers.Optimizer:
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[workload.optimizer](
        workload.learning_rate
    )


def loss(workload: Workload) -> keras.losses.Loss:
    return (
        keras.losses.CategoricalCrossentropy()
        if workload.network.classes
        else keras.losses.MeanSquaredError()
    )


def metric(workload: Workload) -> keras.metrics.Metric:
    return (
        keras.metrics.CategoricalAccuracy("accuracy")
        if workload.network.classes
        else keras.metrics.MeanAbsoluteError("mae")
    )


def start(workload: Workload, model: keras.Model, seed: int) -> None:
    """Give a model the initial kernels that all contenders start from."""
    kernels = [variable for variable in model.variables if variable.name == "kernel"]
    for variable, value in zip(kernels, workload.kernels(seed), strict=True):
        variable.assign(value)


class Restart:
    """Puts a model and its optimizer back to their start, without building or compiling anything again."""

    def __init__(self, workload: Workload, model: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self.workload, self.model = workload, model
        self.variables = [*model.variables, *optimizer.variables]
        self.values = [variable.numpy() for variable in self.variables]

    def __call__(self, seed: int) -> None:
        for variable, value in zip(self.variables, self.values, strict=True):
            variable.assign(value)
        start(self.workload, self.model, seed)
        keras.utils.set_random_seed(seed)
