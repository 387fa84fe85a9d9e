"""`python -m tests.faults.report`: kills trainings of every kind, tests faults, writes docs/faults.md.

The environment variable KILLS sets the kills for each training, 20 by default. Words choose: `boston replicas
tests` kills the trainings with these words in their names and runs the tests; without words, all is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "faults.md"
SHORT = ["trainer.epochs=3", "trainer.limit_train_batches=40"]
TRAININGS = {
    "boston, early stopping and plateau": [
        "task=boston",
        "trainer.epochs=60",
        "callbacks=early_stopping",
        "callbacks.reduce_lr.enabled=true",
    ],
    "mnist": ["task=mnist", *SHORT],
    "mnist, mixed_float16": ["task=mnist", "trainer.precision=mixed_float16", *SHORT],
    "mnist, two replicas": ["task=mnist", "trainer.strategy=mirrored", "trainer.replicas=2", *SHORT],
    "mnist_cnn, every 7 steps": ["task=mnist_cnn", "checkpoint.every_steps=7", "checkpoint.keep=2", *SHORT],
    "mnist, two workers": ["task=mnist", "verify.workers=2", *SHORT],
}
TESTS = [
    "tests/faults",
    "tests/laws/test_saving.py",
    "tests/laws/test_checkpoint_format.py",
    "tests/laws/test_nonfinite.py",
    "tests/unit/test_heartbeat.py",
    "tests/unit/test_signals.py",
    "tests/unit/test_safe.py",
]
HEAD = """# Faults

What was done to trainings, and what came of it. `python -m tests.faults.report` makes this page; with
`mode=verify_resume` you do the same to a task of your own.

## Kills

Each training was killed with SIGKILL at random moments (while it started, trained, saved, validated and
ended) and resumed each time. Compared with one that was not killed are weights, slots, seeds, states of
callbacks, `metrics.csv`, `summary.json` and the best checkpoint, bit for bit.

| training | kills | after the first save | trainings that came to their end | equal |
|---|---|---|---|---|
"""


def killed(words: list[str], kills: int, folder: Path) -> tuple[str, bool]:
    """The cells of a row, and whether the trainings were equal."""
    command = [sys.executable, "-m", "trainkit", "mode=verify_resume", f"verify.kills={kills}"]
    subprocess.run([*command, f"run_dir={folder}", *words], cwd=ROOT, check=False)
    found = json.loads((folder / "verify_resume.json").read_text())
    saved = sum(kill["stood"] != "nothing saved" for kill in found["kills"])
    differs = "; ".join(found["differences"])
    equal = "yes" if found["passed"] else f"**no**: {differs}"
    return f"{len(found['kills'])} | {saved} | {found['rounds']} | {equal}", found["passed"]


def tested(folder: Path) -> tuple[list[str], bool]:
    """A row for each test of faults, and whether all passed."""
    results = folder / "results.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--junitxml={results}", *TESTS]
    subprocess.run(command, cwd=ROOT, check=False)
    counts: dict[str, list[bool]] = {}
    for case in ElementTree.parse(results).iter("testcase"):
        name = case.attrib["name"].partition("[")[0].removeprefix("test_").replace("_", " ")
        bad = case.find("failure") is not None or case.find("error") is not None
        counts.setdefault(name, []).append(not bad)
    rows = [f"| {name} | {len(good)} | {sum(good)} |" for name, good in counts.items()]
    return rows, all(all(good) for good in counts.values())


def main() -> int:
    """Write the page; 0 if nothing was lost."""
    kills = int(os.environ.get("KILLS", "20"))
    chosen = sys.argv[1:] or [*TRAININGS, "tests"]
    page, good = HEAD, True
    with tempfile.TemporaryDirectory(prefix="trainkit-faults-") as folder:
        for number, (name, words) in enumerate(TRAININGS.items()):
            if not any(word in name for word in chosen):
                continue
            cells, equal = killed(words, kills, Path(folder) / str(number))
            page += f"| {name} | {cells} |\n"
            good &= equal
        if "tests" in chosen:
            rows, passed = tested(Path(folder))
            page += "\n## Other faults\n\n| law | cases | held |\n|---|---|---|\n" + "\n".join(rows) + "\n"
            good &= passed
    PAGE.write_text(page)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
