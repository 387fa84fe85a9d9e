"""A signal at any moment, from the first import on: no traceback, and what was saved is whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from trainkit.checkpoint import members

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The environment variable says how many signals are sent; the tests send a few.
COUNT = int(os.environ.get("FAULT_SIGNALS", "6"))
START_SECONDS = 8.0  # in which a training starts on a slow machine
LIMIT = 60.0
WORDS = (
    *("task=boston", "data.source=embedded", "trainer.epochs=1000000", "trainer.steps=100000000"),
    *("run_dir=out", "progress=none", "callbacks.tensorboard.enabled=false"),
)


def hears_sighup() -> None:
    """Also where the tests themselves run under `nohup`, which a training respects."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(COUNT))
def test_a_signal_at_any_moment_ends_a_training_in_order(number: int, tmp_path: Path) -> None:
    sent = SIGNALS[number % len(SIGNALS)]
    twice = number % 4 == 3
    command = [sys.executable, "-m", "trainkit", *WORDS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, preexec_fn=hears_sighup
        )
    try:
        time.sleep(random.Random(number).uniform(0.02, START_SECONDS))
        process.send_signal(sent)
        if twice:
            time.sleep(0.1)
            process.send_signal(sent)
        code = process.wait(LIMIT)
    finally:
        process.kill()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    # Before any handler is there, the system ends the process by the signal itself.
    assert code in (128 + sent, -sent), (code, said)
    run = tmp_path / "out"
    if code < 0 or not (run / "status.json").exists():
        return
    status = json.loads((run / "status.json").read_text())
    if status["status"] == "preempted":
        assert status["reason"] == sent.name
        saved = members.newest_good(run / "checkpoints")
        assert saved is not None or "Nothing was saved yet" in said
