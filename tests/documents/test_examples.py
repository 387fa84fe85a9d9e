"""Each example runs; here with few rows and epochs."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from trainkit.cli import main

EXAMPLES = ROOT / "examples"
SIZES: dict[str, dict[str, Any]] = {
    "images": {"rows": 100, "epochs": 1},
    "table": {"epochs": 1},
    "text": {"epochs": 1},
    "custom_step": {"epochs": 1},
}


def test_the_folders_page_lists_each_example_and_each_is_run_here() -> None:
    page = (EXAMPLES / "README.md").read_text()
    found = {path.stem for path in EXAMPLES.glob("*.py")}
    assert found == set(SIZES)
    assert all(f"python examples/{name}.py" in page for name in found)
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == {"two_workers"}
    assert {path.name for path in EXAMPLES.glob("*.ipynb")} == {"notebook.ipynb"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_an_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name=name)["main"](**SIZES[name])
    assert results["loss"] > 0


@pytest.mark.slow
def test_two_workers_train_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--config-dir", str(EXAMPLES / "two_workers"), "task=moons", "task.rows=400", "callbacks=none"]
    assert main.main(["launch", "workers=2", *words, "trainer.epochs=1"]) == 0
    assert list(tmp_path.glob("runs/moons/latest/summary.json"))


@pytest.mark.slow
def test_the_notebook_runs_and_shows_one_table_that_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a real kernel: each training leaves one output, the last picture of its table."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("EPOCHS", "15")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # what a reader sees is what he has run
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    tables = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            text = output.get("data", {}).get("text/html", "")
            if "<progress" in text:
                tables.append(text)
    assert len(tables) == 2
    for table in tables:
        assert table.count("<tr>") == 1 + 12  # the newest epochs
        assert "<td>15</td>" in table
        assert "<td>3</td>" not in table
        assert "<th>val_loss</th>" in table
        assert "compiling" not in table  # what it showed first was replaced
