"""The models of `benchmarks.zoo` in PyTorch: from the same weights, with Keras's constants.

Layers are made in the order of Keras's weights, so that both draw the same ones. Images have their channels
first, in the `channels_last` layout of memory, which is the faster one on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.contenders.torch_layers import Weights, norm, put
from benchmarks.zoo import ZOO

__all__ = ["error", "model", "tensors"]


class _Residual(nn.Module):
    def __init__(self, weights: Weights, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.pad = (0, 1, 0, 1) if stride > 1 else (1, 1, 1, 1)  # as Keras pads "same"
        self.first = weights.conv(channels, filters, 3, stride=stride, bias=False)
        short = weights.conv(channels, filters, 1, stride=stride, bias=False) if stride > 1 else None
        self.second = weights.conv(filters, filters, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([norm(filters), norm(filters)])
        self.short = nn.Sequential(short, norm(filters)) if short is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norms[0](self.first(functional.pad(x, self.pad))))
        return functional.relu(self.short(x) + self.norms[1](self.second(y)))


def _resnet(weights: Weights) -> nn.Module:
    parts: list[nn.Module] = [weights.conv(3, 16, 3, padding=1, bias=False), norm(16), nn.ReLU()]
    channels = 16
    for filters in (16, 32, 64):
        for number in range(3):
            stride = 2 if number == 0 and filters > 16 else 1
            parts.append(_Residual(weights, channels, filters, stride))
            channels = filters
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), weights.dense(64, 10))


class _Attention(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        made = []
        for _ in range(3):
            kernel, bias = weights(128, 4, 32).reshape(128, 128), weights(4, 32).reshape(128)
            made.append((kernel.T, bias))
        self.projected = nn.Linear(128, 3 * 128)
        put(
            self.projected,
            weight=torch.cat([k for k, _ in made]),
            bias=torch.cat([bias for _, bias in made]),
        )
        self.out = nn.Linear(128, 128)
        put(self.out, weight=weights(4, 32, 128).reshape(128, 128).T, bias=torch.zeros(128))

    def forward(self, x: Tensor) -> Tensor:
        rows, steps, _ = x.shape
        query, key, value = self.projected(x).view(rows, steps, 3, 4, 32).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(query, key, value)
        return self.out(y.transpose(1, 2).reshape(rows, steps, 128))


class _Block(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.attention = _Attention(weights)
        self.fed = nn.Sequential(weights.dense(128, 512), nn.GELU(), weights.dense(512, 128))
        self.norms = nn.ModuleList([nn.LayerNorm(128, eps=1e-3) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](x + self.attention(x))
        return self.norms[1](x + self.fed(x))


class _Mean(nn.Module):
    """Over one axis."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axis)


def _transformer(weights: Weights) -> nn.Module:
    words = weights.embedding(5000, 128)
    return nn.Sequential(words, _Block(weights), _Block(weights), _Mean(1), weights.dense(128, 2))


class _Lstm(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 128, batch_first=True)
        open_gate = torch.zeros(4, 128)
        open_gate[1] = 1.0
        put(
            self.lstm,
            weight_ih_l0=weights(32, 512).T,
            weight_hh_l0=weights(128, 512).T,
            bias_ih_l0=open_gate.flatten(),
            bias_hh_l0=torch.zeros(512),
        )
        self.lstm.bias_hh_l0.requires_grad_(False)  # Keras has one bias
        self.dense = weights.dense(128, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.lstm(x)[1][0][0])


class _Gru(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.words = weights.embedding(5000, 64)
        self.gru = nn.GRU(64, 48, batch_first=True, bidirectional=True)

        def reordered(value: Tensor) -> Tensor:  # Keras has the update gate first, PyTorch the reset gate
            update, reset, new = value.chunk(3, -1)
            return torch.cat([reset, update, new], -1)

        for end in ("l0", "l0_reverse"):
            inner, recurrent, bias = (
                reordered(weights(*shape)) for shape in ((64, 144), (48, 144), (2, 144))
            )
            values = {"weight_ih": inner.T, "weight_hh": recurrent.T, "bias_ih": bias[0], "bias_hh": bias[1]}
            put(self.gru, **{f"{name}_{end}": value for name, value in values.items()})
        self.dense = weights.dense(96, 2)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != 0).sum(1)  # the rows are padded at their end
        packed = nn.utils.rnn.pack_padded_sequence(
            self.words(x), lengths, batch_first=True, enforce_sorted=False
        )
        return self.dense(self.gru(packed)[1].transpose(0, 1).reshape(len(x), 96))


def _conv1d(weights: Weights) -> nn.Module:
    parts: list[nn.Module] = []
    channels = 4
    for filters in (32, 64, 64):
        parts += [weights.conv1d(channels, filters, 5), nn.ReLU(), nn.MaxPool1d(2)]
        channels = filters
    return nn.Sequential(*parts, _Mean(2), weights.dense(64, 4))


def _dense(depth: int, width: int, weights: Weights) -> nn.Module:
    parts: list[nn.Module] = []
    for before in [20, *[width] * (depth - 1)]:
        parts += [weights.dense(before, width), nn.ReLU()]
    return nn.Sequential(*parts, weights.dense(width, 2))


class _Embeddings(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.columns = nn.ModuleList([weights.embedding(10_000, 16) for _ in range(10)])
        self.dense = nn.Sequential(weights.dense(160, 128), nn.ReLU(), weights.dense(128, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(torch.cat([column(x[:, i]) for i, column in enumerate(self.columns)], 1))


class _Unet(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()

        def twice(channels: int, filters: int) -> nn.Module:
            first = weights.conv(channels, filters, 3, padding=1)
            second = weights.conv(filters, filters, 3, padding=1)
            return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

        self.down = nn.ModuleList([twice(1, 16), twice(16, 32), twice(32, 64)])
        up = []
        for channels, filters in ((64, 32), (32, 16)):
            up += [weights.transposed(channels, filters), twice(2 * filters, filters)]
        self.up = nn.ModuleList(up)
        self.out = weights.conv(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down[0](x)
        second = self.down[1](functional.max_pool2d(first, 2))
        x = self.down[2](functional.max_pool2d(second, 2))
        x = self.up[1](torch.cat([self.up[0](x), second], 1))
        x = self.up[3](torch.cat([self.up[2](x), first], 1))
        return self.out(x)


class _Moved(nn.Module):
    """Random flip, rotation by a tenth of a turn and shift by a tenth of the side, as one resampling."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        rows = len(x)
        angle = (torch.rand(rows) * 2 - 1) * 0.2 * torch.pi
        flip = torch.where(torch.rand(rows) < 0.5, -1.0, 1.0)
        shift = (torch.rand(rows, 2) * 2 - 1) * 0.2  # the side is 2 long here
        across = torch.stack([angle.cos() * flip, -angle.sin(), shift[:, 0]], 1)
        down = torch.stack([angle.sin() * flip, angle.cos(), shift[:, 1]], 1)
        grid = functional.affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _augmented(weights: Weights) -> nn.Module:
    parts: list[nn.Module] = [_Moved()]
    channels = 3
    for filters in (16, 32):
        parts += [weights.conv(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    return nn.Sequential(*parts, nn.Flatten(), weights.dense(1152, 10))


def _autoencoder(weights: Weights) -> nn.Module:
    parts: list[nn.Module] = []
    width = 784
    for units in (256, 64, 16, 64, 256):
        parts += [weights.dense(width, units), nn.ReLU()]
        width = units
    return nn.Sequential(*parts, weights.dense(width, 784), nn.Sigmoid())


_MODELS: dict[str, Callable[[Weights], nn.Module]] = {
    "resnet": _resnet,
    "transformer": _transformer,
    "lstm": _Lstm,
    "table": partial(_dense, 2, 256),
    "embeddings": _Embeddings,
    "unet": _Unet,
    "augmented": _augmented,
    "gru": _Gru,
    "conv1d": _conv1d,
    "deep": partial(_dense, 50, 64),
    "autoencoder": _autoencoder,
}


def model(kind: str) -> nn.Module:
    """The network, which gives logits where it classifies."""
    made = _MODELS[kind](Weights())
    images = any(isinstance(part, nn.Conv2d) for part in made.modules())
    return made.to(memory_format=torch.channels_last) if images else made


def tensors(kind: str, x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
    """Rows as PyTorch takes them: channels first, classes as int64."""
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    if inputs.ndim == 4:  # a view whose memory stays with the channels last
        inputs = inputs.permute(0, 3, 1, 2)
        labels = labels.permute(0, 3, 1, 2) if labels.ndim == 4 else labels
    elif inputs.ndim == 3 and kind == "conv1d":
        inputs = inputs.transpose(1, 2).contiguous()
    return inputs, labels.long() if ZOO[kind].classes else labels


def error(kind: str) -> nn.Module:
    """Of outputs that are logits, or values."""
    return {"autoencoder": nn.MSELoss(), "unet": nn.BCEWithLogitsLoss()}.get(kind, nn.CrossEntropyLoss())
