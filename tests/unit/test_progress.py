"""The progress display says what was logged, seldom enough to be read, and gives the terminal back."""

from __future__ import annotations

import atexit
import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.observing import Clock, begin, end_epoch
from trainkit.callbacks.progress import Bars, Lines, format_values, make
from trainkit.cli.wrapping import wrapped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_follows_the_bars_begins_a_line(stream: type[io.StringIO]) -> None:
    out = stream()
    bars = begin(Bars(out))
    end_epoch(bars, 10)
    bars.on_train_end()
    written = out.getvalue().removesuffix("\x1b[?25h")  # the cursor is shown again
    assert written.endswith("\n")
    assert not written.endswith("\n\n")


@pytest.mark.parametrize(
    ("ran", "shown"), [(10, [1, 4, 7, 10]), (8, [1, 4, 7, 8])], ids=["all", "ends_early"]
)
def test_lines_show_first_and_last_and_at_most_one_per_second(ran: int, shown: list[int]) -> None:
    out = io.StringIO()
    clock = Clock()
    lines = begin(Lines(out, clock=clock))
    for number in range(1, ran + 1):
        end_epoch(lines, number)
        clock.now += 0.4
    lines.on_train_end()
    written = out.getvalue().splitlines()
    assert written[0] == "Compiling; the first epoch follows."
    assert [line.split("/")[0] for line in written[1:]] == [f"Epoch {number:>2}" for number in shown]
    assert written[1] == "Epoch  1/10  loss 1  accuracy 0.5  (250 ms, 52,300 examples/s)"


def test_a_line_tells_short_times_and_the_share_of_the_ceiling() -> None:
    out = io.StringIO()
    end_epoch(begin(Lines(out)), 1, {"loss": 1.0}, seconds=0.00278, tflops=0.25, roofline_fraction=0.5)
    assert "(2.78 ms, 52,300 examples/s, 250 GFLOP/s, 50% of ceiling)" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "about", "shown"),
    [
        (3.0, {}, "(3.0 s, 52,300 examples/s, 27.0 s left)"),
        (8e-9, {}, "(under 0.01 ms, 52,300 examples/s)"),
        (0.25, {"examples_per_second": 0.0}, "(250 ms, –)"),
        (0.25, {"roofline_fraction": 1.32}, "(250 ms, 52,300 examples/s, 100% of ceiling)"),
        (0.25, {"roofline_fraction": 0.001}, "(250 ms, 52,300 examples/s)"),
    ],
)
def test_impossible_figures_are_never_shown(seconds: float, about: dict[str, float], shown: str) -> None:
    out = io.StringIO()
    end_epoch(begin(Lines(out)), 1, {"loss": 1.0}, seconds=seconds, **about)
    assert shown in out.getvalue()


def test_values_show_training_before_validation_and_losses_before_metrics() -> None:
    logs = {"val_mae": 1.0, "mae": 2.0, "val_loss": 3.0, "b_loss": 4.0, "loss": 5.0}
    assert format_values(logs) == "b_loss 4  loss 5  mae 2  val_loss 3  val_mae 1"


def test_bars_are_for_terminals() -> None:
    assert isinstance(make("auto", Terminal()), Bars)
    assert isinstance(make("auto", io.StringIO()), Lines)
    assert isinstance(make("plain", Terminal()), Lines)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def test_bars_show_every_value_whole_and_give_the_terminal_back(terminal: Terminal) -> None:
    clock = Clock()
    bars = begin(Bars(terminal, clock))
    metrics = [f"a_metric_{i}" for i in range(8)]
    for number in range(1, 11):
        clock.now += 0.1
        bars.on_train_batch_end(3, {"loss": 0.5})
        end_epoch(bars, number, {"loss": 0.25, "val_loss": 0.125, **dict.fromkeys(metrics, 0.5)})
    bars.on_train_end()
    bars.close()
    shown = terminal.getvalue()
    expected = (
        "epochs",
        "10/10",
        "steps",
        "5/5",
        "validation",
        "loss 0.25",
        "loss 0.125",
        "52,300 examples/s",
    )
    assert all(text in shown for text in (*expected, *metrics))
    assert "…" not in shown
    left = [number for number in range(1, 11) if f"Epoch {number:>2}/10" in shown]
    assert left[0] == 1
    assert left[-1] == 10
    assert 4 <= len(left) <= 7  # those that end within a moment leave one line together
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor: hidden once, shown once


def test_bars_of_a_training_that_fails_give_the_terminal_back_when_the_process_ends(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], Any]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    begin(Bars(terminal))
    for function in at_exit:
        function()
    assert "\x1b[?25h" in terminal.getvalue()


def test_bars_are_gone_before_the_error_of_a_training_is_told(terminal: Terminal) -> None:
    bars = begin(Bars(terminal))
    bars.on_train_batch_end(1, {"loss": 0.5})
    bars.on_failure()
    before = terminal.getvalue()
    assert before.endswith("\x1b[?25h")
    bars.close()
    assert terminal.getvalue() == before


def test_the_last_epoch_of_a_training_that_ends_early_leaves_a_line(terminal: Terminal) -> None:
    bars = begin(Bars(terminal, Clock()))
    for number in (1, 2, 3):
        end_epoch(bars, number)
    bars.on_train_end()
    shown = terminal.getvalue()
    assert "Epoch  1/10" in shown
    assert "Epoch  2/10" not in shown
    assert "Epoch  3/10" in shown


def test_long_lines_are_wrapped_between_words_and_commands_are_not() -> None:
    text = (
        "Data:      a long line of many words that goes on\nEvaluate:  python -m trainkit resume=a/long/run"
    )
    assert wrapped(text, 30).split("\n") == [
        "Data:      a long line of many",
        "           words that goes on",
        "Evaluate:  python -m trainkit resume=a/long/run",
    ]


def test_a_line_tells_how_many_steps_were_left_out() -> None:
    out = io.StringIO()
    end_epoch(begin(Lines(out)), 1, {"loss": 1.0}, skipped_steps=3)
    assert "steps left out so far)" in out.getvalue()
