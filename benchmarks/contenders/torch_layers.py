"""PyTorch's layers from weights in Keras's shapes, drawn in Keras's order, with Keras's constants."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.zoo import drawn

__all__ = ["Weights", "norm", "put"]


class Weights:
    """Draws what `benchmarks.models` begins every model with; shapes are Keras's."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(1)

    def __call__(self, *shape: int) -> Tensor:
        return torch.from_numpy(drawn(self.draw, shape))

    def dense(self, width: int, units: int) -> nn.Linear:
        layer = nn.Linear(width, units)
        put(layer, weight=self(width, units).T, bias=torch.zeros(units))
        return layer

    def conv(self, channels: int, filters: int, size: int, **options: Any) -> nn.Conv2d:
        layer = nn.Conv2d(channels, filters, size, **options)
        put(layer, weight=self(size, size, channels, filters).permute(3, 2, 0, 1))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return layer

    def conv1d(self, channels: int, filters: int, size: int) -> nn.Conv1d:
        layer = nn.Conv1d(channels, filters, size)
        put(layer, weight=self(size, channels, filters).permute(2, 1, 0), bias=torch.zeros(filters))
        return layer

    def transposed(self, channels: int, filters: int) -> nn.ConvTranspose2d:
        layer = nn.ConvTranspose2d(channels, filters, 2, 2)
        put(layer, weight=self(2, 2, filters, channels).permute(3, 2, 0, 1), bias=torch.zeros(filters))
        return layer

    def embedding(self, count: int, width: int) -> nn.Embedding:
        layer = nn.Embedding(count, width)
        put(layer, weight=self(count, width))
        return layer


def put(layer: nn.Module, **values: Tensor) -> None:
    """Set parameters of a layer by their names."""
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(value)


norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
