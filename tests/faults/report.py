"""`python -m tests.faults.report`: kills trainings of every kind, makes faults, writes docs/faults.md.

    python -m tests.faults.report                       all, in about an hour
    python -m tests.faults.report boston replicas       the trainings with these words in their names alone
    python -m tests.faults.report tests                 the tests of faults alone
    python -m tests.faults.report --folder faults       keep what was done in a folder, and go on there

The environment variable KILLS sets the kills for each training, 20 by default, and FAULT_SIGNALS the signals
that are sent at random moments, 30 by default.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "faults.md"
KILLS = int(os.environ.get("KILLS", "20"))
SIGNALS = os.environ.get("FAULT_SIGNALS", "30")
SHORT = ("trainer.epochs=3", "trainer.limit_train_batches=60")
TRAININGS = {
    "MNIST": ("task=mnist", "trainer.epochs=3"),
    "Boston, early stopping and plateau": (
        *("task=boston", "trainer.epochs=100", "callbacks=early_stopping"),
        "callbacks.reduce_lr.enabled=true",
    ),
    "MNIST, convolutions, augmentation, saved every 7 steps": (
        *("task=image_classification", "data.source=mnist", "data.augment=standard", "data.train_rows=2000"),
        *("trainer.epochs=3", "trainer.batch_size=64", "checkpoint.every_steps=7", "checkpoint.keep=2"),
    ),
    "MNIST, mixed_float16": ("task=mnist", "trainer.precision=mixed_float16", *SHORT),
    "MNIST, two replicas": ("task=mnist", "trainer.strategy=mirrored", "trainer.replicas=2", *SHORT),
    "LSTM with dropout": ("--config-dir", "tests/faults/conf", "task=lstm"),
    "MNIST, two workers, saved every 7 steps": (
        *("task=mnist", "verify.workers=2", *SHORT, "checkpoint.every_steps=7", "checkpoint.keep=2"),
    ),
}
TESTS = (
    "tests/faults",
    "tests/laws/test_saving.py",
    "tests/laws/test_checkpoint_format.py",
    "tests/laws/test_nonfinite.py",
    "tests/unit/test_heartbeat.py",
    "tests/unit/test_signals.py",
    "tests/unit/test_safe.py",
    "tests/command/test_workers.py",
)
RESULTS = "tests.xml"
HEAD = """# Faults

What was done to trainings, and what came of it. `python -m tests.faults.report` makes this page; with
`mode=verify_resume` you do the same to a task of your own.

## Kills

Each training was killed with SIGKILL at random moments (while it started, trained, saved, validated and
ended) and resumed each time. Compared with one that was not killed are weights, slots, seeds, states of
callbacks, `metrics.csv`, `summary.json` and the best checkpoint, bit for bit: so a row that is there twice or
missing is a difference, and so is a run that cannot be resumed.

| training | kills | after the first save | before a write | trainings that came to their end | equal |
|---|---|---|---|---|---|
"""
OTHERS = """
## Other faults

Each fault was made as often as the second column says: a full disk is one whose operations (each write, each
flush, each renaming) failed in turn, a loss of power is one moment after a flush, with all that had not been
flushed gone. A law that holds leaves a run that can be resumed, or one line and exit code 2.

| law | faults | holds |
|---|---|---|
"""


def killed(words: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """What was found when a training was killed and resumed; not repeated if the folder has it already."""
    found = folder / "verify_resume.json"
    if not found.exists():
        shutil.rmtree(folder, ignore_errors=True)  # it was broken off
        command = [sys.executable, "-m", "trainkit", "mode=verify_resume", f"verify.kills={KILLS}"]
        subprocess.run([*command, f"run_dir={folder}", *words], cwd=ROOT, check=False)
    return dict(json.loads(found.read_text()))


def cells(found: dict[str, Any]) -> str:
    """The cells of a row about kills."""
    saved = sum(kill["stood"] != "nothing saved" for kill in found["kills"])
    writes = sum(kill["at_write"] for kill in found["kills"])
    differs = "; ".join(found["differences"])
    equal = "yes" if found["passed"] else f"**no**: {differs}"
    return f"{len(found['kills'])} | {saved} | {writes} | {found['rounds']} | {equal}"


def tested(folder: Path) -> dict[str, list[tuple[int, bool]]]:
    """The faults that each test made, and whether it passed, by the law that its name states."""
    results = folder / RESULTS
    if not results.exists():
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--junitxml={results}", *TESTS]
        more = {"FAULT_SIGNALS": SIGNALS, "FAULTS": "all"}
        subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, **more})
    laws: dict[str, list[tuple[int, bool]]] = {}
    for case in ElementTree.parse(results).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        law = case.attrib["name"].partition("[")[0].removeprefix("test_").replace("_", " ")
        counted = [int(p.attrib["value"]) for p in case.iter("property") if p.attrib["name"] == "faults"]
        good = case.find("failure") is None and case.find("error") is None
        laws.setdefault(law, []).append((sum(counted) or 1, good))
    return laws


def main() -> int:
    """Write the page; 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description="make faults, and write docs/faults.md")
    parser.add_argument("words", nargs="*", help="of the trainings that are killed, or tests")
    parser.add_argument("--folder", help="for the runs and results, which are kept there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trainkit-faults-") as scratch:
        folder = Path(chosen.folder or scratch).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return write_page(folder, [word.lower() for word in chosen.words])


def write_page(folder: Path, words: list[str]) -> int:
    """Do what the words choose, all without words, and write the page."""
    page, good = HEAD, True
    for name, training in TRAININGS.items():
        if words and not any(word in name.lower() for word in words):
            continue
        found = killed(training, folder / re.sub(r"\W+", "-", name.lower()))
        page += f"| {name} | {cells(found)} |\n"
        good &= found["passed"]
    if not words or "tests" in words:
        page += OTHERS
        for law, cases in tested(folder).items():
            held = all(passed for _, passed in cases)
            page += f"| {law} | {sum(faults for faults, _ in cases)} | {'yes' if held else '**no**'} |\n"
            good &= held
    PAGE.write_text(page)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
