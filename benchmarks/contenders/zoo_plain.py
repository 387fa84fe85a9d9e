"""Plain PyTorch on the models of `benchmarks.zoo`: a loop over tensors in memory, with the fused Adam."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import zoo_torch
from benchmarks.zoo import ZOO


def train(kind: str, epochs: int) -> dict[str, Any]:
    """Seconds of each epoch, and the losses."""
    row = ZOO[kind]
    x, y = zoo_torch.tensors(kind, *row.rows(np.random.default_rng(0)))
    model = zoo_torch.model(kind)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7, fused=True)
    error = zoo_torch.error(kind)
    seconds = []
    losses = []
    for _ in range(epochs):
        begin = time.perf_counter()
        total = torch.zeros(())
        correct = torch.zeros(())
        for inputs, labels in zip(x.split(row.batch), y.split(row.batch), strict=True):
            outputs = model(inputs)
            loss = error(outputs, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(inputs)
            if row.classes:
                correct += (outputs.detach().argmax(1) == labels).sum()
        losses.append(total.item() / len(x))
        correct.item()
        seconds.append(time.perf_counter() - begin)
    return {"epochs": seconds, "loss": losses}
