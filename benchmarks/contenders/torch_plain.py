"""Plain PyTorch: a hand-written loop over tensors in memory, no DataLoader."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from benchmarks.session import Run, Session
from benchmarks.workloads import Workload

LONG = False


def variants(workload: Workload) -> tuple[str, ...]:
    fused = ("fused optimizer",) if workload.optimizer == "adam" else ()
    layout = ("channels_last", "channels_last fused optimizer") if workload.network.convolutions else ()
    return "plain", *fused, *layout


def prepare(workload: Workload, variant: str) -> Session:
    return Plain(workload, fused="fused" in variant, channels_last="channels_last" in variant)


def network(workload: Workload, seed: int) -> nn.Sequential:
    """The model as logits or values, from the initial kernels that all contenders start from."""
    spec = workload.network
    parts: list[nn.Module] = []
    width = workload.shape[-1]
    kernels = [torch.from_numpy(kernel) for kernel in workload.kernels(seed)]
    for filters in spec.convolutions:
        parts += [
            nn.Conv2d(width, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        width = filters
    if spec.convolutions:
        side = workload.shape[0] >> len(spec.convolutions)
        parts.append(nn.Flatten())
        at = len(spec.convolutions)
        # PyTorch flattens with the channels first, so the rows of the next kernel take that order.
        by_place = kernels[at].reshape(side, side, width, -1)
        kernels[at] = by_place.permute(2, 0, 1, 3).reshape(len(kernels[at]), -1)
        width *= side * side
    for units in spec.hidden:
        parts += [nn.Linear(width, units), nn.ReLU(), *([nn.Dropout(spec.dropout)] if spec.dropout else [])]
        width = units
    model = nn.Sequential(*parts, nn.Linear(width, spec.outputs))
    with_kernels = [part for part in model if isinstance(part, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for part, kernel in zip(with_kernels, kernels, strict=True):
            part.weight.copy_(kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
            if isinstance(part, nn.Linear):
                part.bias.zero_()
    return model


def optimizer(workload: Workload, model: nn.Module, *, fused: bool) -> torch.optim.Optimizer:
    """With Keras's constants."""
    if workload.optimizer == "adam":
        return torch.optim.Adam(
            model.parameters(), workload.learning_rate, eps=1e-7, **({"fused": True} if fused else {})
        )
    return torch.optim.RMSprop(model.parameters(), workload.learning_rate, alpha=0.9, eps=1e-7)


def tensors(workload: Workload, arrays: tuple[Any, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as PyTorch wants them: channels first, classes as integers."""
    x, y = (torch.from_numpy(a) for a in arrays)
    if workload.network.convolutions:
        x = x.permute(0, 3, 1, 2).contiguous()
    return x, y.argmax(1) if workload.network.classes else y


def error(workload: Workload) -> nn.Module:
    return nn.CrossEntropyLoss() if workload.network.classes else nn.MSELoss()


def metric(workload: Workload, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sum over the rows of what is correct, or of the absolute error."""
    return (outputs.argmax(1) == y).sum() if workload.network.classes else (outputs - y).abs().sum()


class Plain(Session):
    """Trains a workload with a hand-written loop.

    Args:
        workload: What to train.
        fused: Whether to use the fused optimizer.
        channels_last: Whether to use that layout of memory.
    """

    def __init__(self, workload: Workload, *, fused: bool, channels_last: bool) -> None:
        begin = time.perf_counter()
        self.workload = workload
        self.fused = fused
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        rows = workload.rows
        self.x, self.y = tensors(workload, (rows.x, rows.y))
        if channels_last:
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.validation = tensors(workload, rows.validation) if rows.validation else None
        self.error = error(workload)
        self.run(1, 0)
        self.compile_seconds = time.perf_counter() - begin

    def run(self, epochs: int, seed: int) -> Run:
        torch.manual_seed(seed)
        self.model = network(self.workload, seed).to(memory_format=self.layout)
        self.optimizer = optimizer(self.workload, self.model, fused=self.fused)
        losses = []
        begin = time.perf_counter()
        for _ in range(epochs):
            losses.append(self._train())
            if self.validation is not None:
                self._validate(*self.validation)
        return Run(time.perf_counter() - begin, losses)

    def _train(self) -> float:
        """One epoch; its sums stay tensors until the end."""
        self.model.train()
        total = torch.zeros(())
        correct = torch.zeros(())
        for rows in torch.randperm(len(self.x)).split(self.workload.batch):
            x = self.x[rows]
            y = self.y[rows]
            outputs = self.model(x)
            loss = self.error(outputs, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(x)
            correct += metric(self.workload, outputs.detach(), y)
        correct.item()
        return float(total.item()) / len(self.x)

    @torch.no_grad()
    def _validate(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.model.eval()
        outputs = self.model(x)
        self.error(outputs, y).item()
        metric(self.workload, outputs, y).item()
