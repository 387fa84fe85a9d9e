"""The command outlives the reader of its output, and prints what a terminal has no character for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

GOES_ON = """
import os, sys
from trainkit.cli import outputs
outputs.outlive_readers()
sys.stdout.isatty()
for number in range(20_000):
    print("caf\\u00e9", number)
print("rare \\U0001F600", flush=True)
os.write(int(sys.argv[1]), b"done")
"""


def run(redirection: str, **environment: str) -> tuple[bytes, subprocess.CompletedProcess[bytes]]:
    """What a script that prints much says at its end, and how it ended."""
    reader, writer = os.pipe()
    command = f'"{sys.executable}" -c "$SCRIPT" {writer} {redirection}; echo "code $?" >&2'
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "SCRIPT": GOES_ON, "PYTHONPATH": str(ROOT), **environment},
        pass_fds=[writer],
        capture_output=True,
        check=False,
    )
    os.close(writer)
    with open(reader, "rb") as file:
        return file.read(), done


@pytest.mark.parametrize("redirection", ["| head -3", ">&-", "<&- >&- 2>&-", ">/dev/full"])
def test_a_command_goes_on_without_its_output(redirection: str) -> None:
    said, done = run(redirection)
    assert said == b"done"
    full = b"Warning: standard output: No space left on device. The command goes on without it.\n"
    assert done.stderr == (full if "full" in redirection else b"") + b"code 0\n"


def test_a_character_that_the_terminal_lacks_is_replaced() -> None:
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said, done = run("", **plain)
    assert said == b"done"
    assert done.stdout.endswith(b"caf? 19999\nrare ?\n")


def test_what_python_does_not_keep_back_arrives_from_a_process_that_is_killed() -> None:
    script = "import os; from trainkit.cli import outputs; outputs.outlive_readers(); print(1); os._exit(0)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
    assert done.stdout == b"1\n"
