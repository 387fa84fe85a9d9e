"""Workers that would not train one model are refused; of one that fails, the chief says how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command.test_workers import run

TASK = """
import json
import os
from dataclasses import dataclass, replace

import numpy as np

from tests.support.toys import Toy


def index():
    return json.loads(os.environ["TF_CONFIG"])["task"]["index"]


@dataclass(frozen=True)
class Own(Toy):
    how: str = ""

    def data(self):
        splits = super().data()
        if index() == 0 or self.how == "fails":
            return splits
        return replace(splits, train=splits.train.take(np.arange(5, 75) if self.how == "fewer" else ORDER))

    def augmented(self, train, seed):
        def rows(epoch, numbers):
            if epoch and index():
                raise RuntimeError("mine")
            return train.take(numbers).batch()

        return rows if self.how == "fails" else None


ORDER = np.arange(75)[::-1]
"""


def launched(folder: Path, how: str, code: int) -> str:
    (folder / "task").mkdir()
    (folder / "own.py").write_text(TASK)
    (folder / "task" / "own.yaml").write_text("_target_: own.Own\nhow: ''\n")
    words = ("launch", "workers=2", "--config-dir", ".", "task=own", f"task.how={how}", "run_dir=r")
    return run(
        folder,
        *words,
        "callbacks=none",
        "progress=none",
        "trainer.batch_size=16",
        "trainer.epochs=3",
        code=code,
    )


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("how", "what"), [("other", "training rows"), ("fewer", "number or type of training rows")]
)
def test_workers_with_other_rows_are_refused_before_the_training(how: str, what: str, tmp_path: Path) -> None:
    output = launched(tmp_path, how, 2)
    assert f"[0] trainkit: The workers differ in their {what}; " in output
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_of_a_worker_that_fails_the_chief_says_once_how_to_go_on(tmp_path: Path) -> None:
    output = launched(tmp_path, "fails", 1)
    assert "RuntimeError: mine" in output
    assert output.count("Resume: ") == output.count("[0] trainkit: the training in r failed") == 1
    assert "Resume: python -m trainkit launch workers=2 resume=r\n" in output
