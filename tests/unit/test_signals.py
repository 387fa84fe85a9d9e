"""A signal stops a training at its next safe point, and a second Ctrl-C at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from trainkit.cli import parent
from trainkit.experiment.signals import NUMBERS, stop_on_signals


@pytest.fixture(autouse=True)
def no_nohup() -> Iterator[None]:
    """Signals as in a terminal, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_asks_the_training_to_stop_and_says_so(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    with stop_on_signals(asked.append):
        signal.raise_signal(getattr(signal, name))
    assert asked == [name]
    assert "with the state saved" in capfd.readouterr().err


def test_a_second_ctrl_c_ends_at_once() -> None:
    asked: list[str] = []
    with stop_on_signals(asked.append):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked == ["SIGTERM"]


def test_signals_are_handled_afterwards_as_before() -> None:
    handlers = [signal.getsignal(number) for number in NUMBERS]
    with stop_on_signals(lambda name: None):
        assert signal.getsignal(signal.SIGHUP) not in handlers
    assert [signal.getsignal(number) for number in NUMBERS] == handlers


def test_a_training_under_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asked: list[str] = []
    try:
        with stop_on_signals(asked.append):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert asked == []


def test_a_training_in_another_thread_leaves_signals_alone() -> None:
    handler = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def train() -> None:
        with stop_on_signals(lambda name: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [handler]


def test_a_training_that_comes_to_no_safe_point_in_time_is_given_up() -> None:
    """Also while compiled code runs, where Python hears of no signal."""
    given_up: list[str] = []
    ended = threading.Event()

    def give_up(name: str) -> None:
        given_up.append(name)
        ended.set()

    with stop_on_signals(lambda name: None, give_up, grace=0.05):
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(20)
    assert given_up == ["SIGTERM"]


def test_a_training_that_stops_in_time_is_not_given_up() -> None:
    given_up: list[str] = []
    with stop_on_signals(lambda name: None, given_up.append, grace=60):
        signal.raise_signal(signal.SIGTERM)
    assert given_up == []


def test_a_second_signal_gives_up_at_once() -> None:
    ended = threading.Event()
    with stop_on_signals(lambda name: None, lambda name: ended.set(), grace=600):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(20)


@pytest.mark.parametrize("to_the_group", [True, False])
def test_the_death_of_the_parent_is_no_second_signal(
    to_the_group: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal to a group of processes reaches who was started as well as who started it, which it ends."""
    monkeypatch.setattr(parent.os, "getppid", lambda: 1)
    asked: list[str] = []
    with stop_on_signals(asked.append):
        if to_the_group:
            signal.raise_signal(signal.SIGINT)
        parent._stop_without(2)
    assert asked == ["SIGINT" if to_the_group else "SIGTERM"]
