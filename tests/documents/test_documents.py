"""Every snippet and command of the documentation runs, in the order in which a reader meets it."""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser

from tests.support.repository import ROOT
from trainkit.cli import main
from trainkit.experiment.shared_programs import shared_programs

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILE = re.compile(r"# ([\w/]+\.(py|yaml))\n")  # first line of a block that is a file
QUICK = ("callbacks.plots=false", "callbacks.tensorboard.enabled=false")  # pictures have their own tests


def _keep(example: Example) -> bool:
    """Write a block that names its file."""
    text = str(example.parsed)
    named = FILE.match(text)
    if named is not None:
        path = Path(named[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return named is not None


def _python(example: Example) -> Any:
    return None if _keep(example) else PythonEvaluator()(example)


def _yaml(example: Example) -> str | None:
    return None if _keep(example) else "a YAML block begins with a comment that names its file"


def _console(example: Example) -> str | None:
    """Run each line that begins with `$`; its exit code is 0, or what its comment says."""
    for line in str(example.parsed).replace("\\\n", " ").splitlines():
        if not line.startswith("$ "):
            continue
        command, _, comment = line.removeprefix("$ ").partition("  #")
        said = re.search(r"exit code (\d+)", comment)
        words = shlex.split(command)
        if words[:3] != ["python", "-m", "trainkit"]:
            return f"{line}: only commands of trainkit are run; use the language sh for others"
        trains = "mode=" not in command and "--" not in command and "launch" not in command
        code = main.main([*words[3:], *(QUICK if trains else ())])
        if code != int(said[1] if said else 0):
            return f"{line}: exit code {code}"
    return None


def test_links_lead_to_files_of_the_repository() -> None:
    """Others than those between pages, which Sphinx looks at, too, are not looked at."""
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:\s]+)[^):\s]*\)", path.read_text(encoding="utf-8"))
        if not (path.parent / target).is_file() and not (path.parent / target).is_dir()
    ]
    assert dead == []


def test_commands_for_a_shell_can_be_pasted() -> None:
    for path in DOCUMENTS:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            assert not re.search(r"^\$ ", block, re.MULTILINE), path


def _given() -> dict[str, Any]:
    """What the shortest snippets take for granted: a compiled model and its rows."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return {"model": model, "x": np.ones([40, 4], "float32"), "y": np.zeros([40], "int32")}


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_document_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    parsers = [
        CodeBlockParser("python", _python),
        CodeBlockParser("yaml", _yaml),
        CodeBlockParser("console", _console),
    ]
    document = Document.parse(str(path), *parsers)
    document.namespace.update(_given())
    with warnings.catch_warnings(), shared_programs():
        warnings.simplefilter("ignore")  # of data that are not the real ones
        for example in document.examples():
            example.evaluate()
