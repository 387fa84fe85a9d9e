"""Lightning on the models of `benchmarks.zoo`: without progress bar, logger, checkpoints and sanity check."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders import zoo_torch
from benchmarks.zoo import ZOO

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class _Module(lightning.LightningModule):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.network = zoo_torch.model(kind)
        self.error = zoo_torch.error(kind)
        self.classes = ZOO[kind].classes
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def training_step(self, batch: Any, index: int) -> Any:
        x, y = batch
        outputs = self.network(x)
        loss = self.error(outputs, y)
        told = {"loss": loss}
        if self.classes:
            told["accuracy"] = (outputs.detach().argmax(1) == y).float().mean()
        self.log_dict(told, on_step=False, on_epoch=True, batch_size=len(x))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-3, eps=1e-7, fused=True)

    def on_train_epoch_start(self) -> None:
        self.begin = time.perf_counter()

    def on_train_epoch_end(self) -> None:
        self.losses.append(float(self.trainer.callback_metrics["loss"]))
        self.seconds.append(time.perf_counter() - self.begin)


def train(kind: str, epochs: int) -> dict[str, Any]:
    """Seconds of each epoch, and the losses."""
    row = ZOO[kind]
    x, y = zoo_torch.tensors(kind, *row.rows(np.random.default_rng(0)))
    module = _Module(kind)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, DataLoader(TensorDataset(x, y), row.batch))
    return {"epochs": module.seconds, "loss": module.losses}
