"""Helper threads take work until their owner ends them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import thread

import pytest

from trainkit.core.helpers import HelperThreads


def test_work_is_done_at_once_and_in_order_where_python_starts_no_thread_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[int] = []

    def work(number: int, seconds: float = 0.0) -> int:
        time.sleep(seconds)
        done.append(number)
        return number

    with HelperThreads(1) as helpers:
        helpers.submit(work, 1, 0.05)
        monkeypatch.setattr(thread, "_shutdown", True)
        assert helpers.submit(work, 2).result() == 2
        assert done == [1, 2]
        with pytest.raises(ZeroDivisionError):
            helpers.submit(lambda: 1 / 0).result()
        assert list(helpers.map(work, [3, 4])) == [3, 4]
        monkeypatch.setattr(thread, "_shutdown", False)


def test_work_for_which_no_thread_starts_is_not_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    helpers = HelperThreads(1)
    done: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fails)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            helpers.submit(done.append, 1)
    helpers.submit(done.append, 2).result()
    helpers.shutdown()
    assert sorted(done) == [1, 2]


def test_what_ends_the_process_in_work_that_is_done_at_once_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helpers = HelperThreads(1)
    with monkeypatch.context() as patched:
        patched.setattr(thread, "_shutdown", True)
        with pytest.raises(SystemExit):
            helpers.submit(sys.exit)
        assert helpers.submit(int).result() == 0


def test_nothing_is_done_after_the_owner_s_end() -> None:
    helpers = HelperThreads(1)
    helpers.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        helpers.submit(print)


TRAINS_ON = """
import atexit, sys, threading
import numpy as np
import trainkit as tk
import keras, tensorflow as tf

model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = np.ones((64, 2), "f"), np.ones((64, 1), "f")
rows = tf.data.Dataset.from_tensors((x, y)).repeat(150)

def train():
    tk.fit(model, rows, epochs=2, verbose=0)
    tk.fit(model, x, y, batch_size=1, epochs=20, verbose=0)
    print(int(model.optimizer.iterations), flush=True)

def train_on():
    threading.main_thread().join()
    train()

atexit.register(train)
threading.Thread(target=train_on).start()
"""


def test_a_training_goes_on_when_the_main_thread_has_ended() -> None:
    ended = subprocess.run([sys.executable, "-c", TRAINS_ON], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["1580", "3160"], ended.stderr
