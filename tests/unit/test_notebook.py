"""A training in a notebook is one table, written anew in place, and not more often than it is read."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.support.observing import Clock, begin, end_epoch
from trainkit.callbacks.notebook import LAST, NotebookTable, in_notebook
from trainkit.callbacks.progress import Lines, make


class Shown:
    """What a notebook was told to show, in place of IPython."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, shell: Any) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        package, display = ModuleType("IPython"), ModuleType("IPython.display")
        package.get_ipython = lambda: shell  # type: ignore[attr-defined]
        display.DisplayHandle = lambda: SimpleNamespace(  # type: ignore[attr-defined]
            display=lambda data, raw: self.calls.append(("display", data)),
            update=lambda data, raw: self.calls.append(("update", data)),
        )
        monkeypatch.setitem(sys.modules, "IPython", package)
        monkeypatch.setitem(sys.modules, "IPython.display", display)


def test_a_table_is_for_kernels_of_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    assert isinstance(make("auto"), Lines)
    for shell in (None, SimpleNamespace()):  # a plain process; IPython in a terminal
        Shown(monkeypatch, shell)
        assert not in_notebook()
    Shown(monkeypatch, SimpleNamespace(kernel=object()))
    assert isinstance(make("auto"), NotebookTable)
    assert isinstance(make("plain"), Lines)


def test_many_epochs_in_a_moment_are_one_display_and_few_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch, SimpleNamespace(kernel=object()))
    clock = Clock()
    table = begin(NotebookTable(clock=clock), epochs=1000)
    for number in range(1, 1001):
        clock.now += 0.001
        end_epoch(table, number, {"val_loss": 0.5, "accuracy": 0.25, "loss": 1 / number, "<b>": 1.0})
    table.on_train_end()
    kinds = [kind for kind, _ in shown.calls]
    assert kinds == ["display"] + ["update"] * (len(kinds) - 1)
    assert 4 <= len(kinds) <= 8
    last = shown.calls[-1][1]["text/html"]
    assert '<progress max="1000" value="1000"></progress> <table>' in last
    heads = "".join(f"<th>{name}</th>" for name in ("epoch", "loss", "accuracy", "&lt;b&gt;", "val_loss"))
    assert heads in last
    assert [f"<td>{number}</td>" in last for number in (1000 - LAST, 1001 - LAST, 1000)] == [
        False,
        True,
        True,
    ]
    assert "<td>0.001</td>" in last
    assert "loss 0.001" in shown.calls[-1][1]["text/plain"]


def test_the_table_moves_within_an_epoch_and_says_that_a_training_ended_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Shown(monkeypatch, SimpleNamespace(kernel=object()))
    table = begin(NotebookTable(every=0.0), initial_epoch=1)
    table.on_train_batch_end(1, {"loss": 0.75})
    pictures = [data["text/html"] for _, data in shown.calls]
    assert pictures[0] == '<progress max="10" value="1"></progress> compiling'
    assert pictures[1].startswith(
        '<progress max="10" value="1.4"></progress> epoch 2 of 10, step 2 of 5<table>'
    )
    assert "<td>…</td><td>0.75</td>" in pictures[1]
    end_epoch(table, 2, {"loss": 0.5}, seconds=3.0)
    assert "epoch 2 of 10, 24.0 s left" in shown.calls[-1][1]["text/html"]
    assert "…" not in shown.calls[-1][1]["text/html"]
    table.on_train_end()
    assert "ended after epoch 2 of 10" in shown.calls[-1][1]["text/html"]
    table.on_failure()
    assert "failed in epoch 3 of 10" in shown.calls[-1][1]["text/html"]
