"""PyTorch Lightning without progress bar, logger and checkpoints; and `barebones`, without the rest."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders import torch_plain
from benchmarks.session import Run, Session
from benchmarks.workloads import Workload

LONG = False
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")  # advice on workers and on what `barebones` leaves out


def variants(workload: Workload) -> tuple[str, ...]:
    return "default", "barebones"


def prepare(workload: Workload, variant: str) -> Session:
    return Lightning(workload, barebones=variant == "barebones")


class Module(lightning.LightningModule):
    """A workload as Lightning takes it."""

    def __init__(self, workload: Workload, seed: int) -> None:
        super().__init__()
        self.workload = workload
        self.network = torch_plain.network(workload, seed)
        self.error = torch_plain.error(workload)
        self.losses: list[float] = []

    def training_step(self, batch: Any, index: int) -> Any:
        loss, metric = self._both(batch)
        self.log_dict(
            {"loss": loss, "metric": metric}, on_step=False, on_epoch=True, batch_size=len(batch[0])
        )
        self.total += loss.detach() * len(batch[0])
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        loss, metric = self._both(batch)
        self.log_dict({"val_loss": loss, "val_metric": metric}, batch_size=len(batch[0]))

    def _both(self, batch: Any) -> tuple[Any, Any]:
        x, y = batch
        outputs = self.network(x)
        return self.error(outputs, y), torch_plain.metric(self.workload, outputs.detach(), y) / len(x)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch_plain.optimizer(self.workload, self, fused=False)

    def on_train_start(self) -> None:
        self.begin = time.perf_counter()

    def on_train_epoch_start(self) -> None:
        self.total = torch.zeros(())

    def on_train_epoch_end(self) -> None:
        self.losses.append(self.total.item() / len(self.workload.rows.x))

    def on_train_end(self) -> None:
        self.seconds = time.perf_counter() - self.begin


class Lightning(Session):
    """Trains a workload with Lightning.

    Args:
        workload: What to train.
        barebones: Whether to switch off all that Lightning can.
    """

    def __init__(self, workload: Workload, *, barebones: bool) -> None:
        begin = time.perf_counter()
        self.workload = workload
        quiet = {
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "logger": False,
            "num_sanity_val_steps": 0,
        }
        self.options: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            **({"barebones": True} if barebones else quiet),
        }
        rows = workload.rows
        self.train = self._loader((rows.x, rows.y), shuffle=True)
        self.validation = self._loader(rows.validation, shuffle=False) if rows.validation else None
        self.run(1, 0)
        self.compile_seconds = time.perf_counter() - begin

    def _loader(self, arrays: tuple[Any, Any], *, shuffle: bool) -> DataLoader:
        return DataLoader(
            TensorDataset(*torch_plain.tensors(self.workload, arrays)), self.workload.batch, shuffle=shuffle
        )

    def run(self, epochs: int, seed: int) -> Run:
        torch.manual_seed(seed)
        module = Module(self.workload, seed)
        lightning.Trainer(max_epochs=epochs, **self.options).fit(module, self.train, self.validation)
        return Run(module.seconds, module.losses)
