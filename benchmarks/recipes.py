"""`python -m benchmarks.recipes`: the recipes as commands, beside a script of Keras that leaves as much.

`python -m trainkit task=boston` with all its observers, and `benchmarks.contenders.keras_script`; and how
long a process takes that only imports TensorFlow. Medians of rounds in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine

RECIPES = ("boston", "mnist")


def seconds(command: list[str]) -> float:
    """Of a whole process.

    Raises:
        SystemExit: if it fails, with its last line.
    """
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return time.perf_counter() - begin


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/recipes.json"))
    options = parser.parse_args()
    if "TRAINKIT_DATA" not in os.environ:
        parser.error("TRAINKIT_DATA is not set: it names the folder with mnist.npz and boston_housing.npz")
    found: dict[str, dict[str, list[float]]] = {recipe: {} for recipe in RECIPES}
    for _ in range(options.rounds):
        for recipe in RECIPES:
            with tempfile.TemporaryDirectory() as folder:
                own = ["trainkit", f"task={recipe}", "progress=none", f"run_dir={folder}/own"]
                theirs = ["benchmarks.contenders.keras_script", recipe, f"{folder}/keras"]
                commands = {
                    "trainkit": ["-m", *own],
                    "Keras": ["-m", *theirs],
                    "import tensorflow": ["-c", "import tensorflow"],
                }
                for name, command in commands.items():
                    found[recipe].setdefault(name, []).append(seconds([sys.executable, *command]))
    lines = []
    for recipe, runs in found.items():
        ratios = [a / b for a, b in zip(runs["trainkit"], runs["Keras"], strict=True)]
        line = {name: f"{statistics.median(times):.1f} s" for name, times in runs.items()}
        share = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append({"recipe": recipe, **line, "share": share})
    print(machine.table(lines))
    content = {**machine.describe(os.cpu_count() or 1), "rounds": options.rounds, "seconds": found}
    options.output.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
