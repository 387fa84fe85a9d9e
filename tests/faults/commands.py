"""A command in this process, up to the moment at which it would train."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from tests.faults import tally
from trainkit.cli.main import main
from trainkit.core import blame
from trainkit.experiment import runner
from trainkit.experiment.callback_factory import monitored_value
from trainkit.trainer.trainer import Trainer

__all__ = ["examples", "refused_or_good"]

ENDED_WELL = 0
WRONG_USE = 2


def examples(count: int) -> int:
    """How many examples are drawn: so many for the report of faults, where FAULTS=all, else an eighth."""
    return count if os.environ.get("FAULTS") == "all" else count // 8


def refused_or_good(words: Sequence[str], folder: Path) -> str:
    """Why a command is refused; empty: it is good. It must be refused with exit code 2 and one line; either
    way, no file in the folder is changed, and none is made."""
    tally.add()
    before = _content(folder)
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(runner, "fit", _prepare),
        mock.patch.object(blame, "LIBRARIES", (*blame.LIBRARIES, Path(__file__).parents[1])),
        mock.patch.object(sys, "dont_write_bytecode", True),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        warnings.simplefilter("ignore")
        code = main([*words, f"runs_dir={folder / 'runs'}", "progress=none"])
    said = errors.getvalue()
    assert code in (ENDED_WELL, WRONG_USE), (code, said)
    assert "Traceback" not in out.getvalue() + said
    if code == WRONG_USE:
        assert said.startswith("trainkit: "), said
        assert said.count("\n") == 1, said
    assert _content(folder) == before
    return said


def _prepare(job: Any, **written: Any) -> int:
    """All of a training before its first step."""
    trainer = Trainer(job.config.trainer, optimizer=job.config.optimizer)
    monitored_value(job, trainer.prepare(job.task, data=job.data()))
    return ENDED_WELL


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }
