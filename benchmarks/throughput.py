"""`python -m benchmarks.throughput`: trainkit beside other ways to train the same models, in rounds.

Every contender has the same rows, layers, initial weights, optimizer constants, batch size (partial last
batch included), metrics, float32, and number of threads; the row that says so validates after each epoch.
Each lives in a process of its own, and only one works at a time. Compiling and warming up are counted apart.
The training losses of all must agree, so that the work is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import contest, machine, report
from benchmarks.session import CONTENDERS
from benchmarks.workloads import WORKLOADS


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput", description=__doc__.partition("\n")[0]
    )

    def chosen(known: Sequence[str]) -> Callable[[str], list[str]]:
        def parse(text: str) -> list[str]:
            names = text.split(",")
            unknown = sorted(set(names) - set(known))
            if unknown:
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}; known: {', '.join(known)}")
            return names

        return parse

    parser.add_argument(
        "--rows",
        type=chosen(list(WORKLOADS)),
        default=list(WORKLOADS),
        help=f"of {', '.join(WORKLOADS)}; default: all",
    )
    parser.add_argument(
        "--only",
        type=chosen(CONTENDERS),
        default=list(CONTENDERS),
        help=f"of {', '.join(CONTENDERS)}; default: all",
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender, in turns; default: 5")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="of every contender; default: the machine's cores"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmarks/results"),
        help="folder for throughput.json and .png; default: %(default)s",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if a contender failed or did other work, else 0."""
    asked = arguments(argv)
    asked.output.mkdir(parents=True, exist_ok=True)
    began = datetime.now(UTC).isoformat(timespec="seconds")
    rows = {}
    about = {}
    for name in asked.rows:
        workload = WORKLOADS[name]
        print(f"{workload.title}", file=sys.stderr, flush=True)
        entries, about[name] = contest.run_contest(
            workload,
            asked.only,
            asked.rounds,
            asked.threads,
            lambda text: print(text, file=sys.stderr, flush=True),
        )
        rows[name] = (workload, report.results(workload, entries))
        print(report.table(*rows[name], about[name]) + "\n", flush=True)
        # After each row, so that a stopped benchmark leaves what it has.
        command = " ".join(["python -m benchmarks.throughput", *(sys.argv[1:] if argv is None else argv)])
        where = {"command": command, "began": began, **machine.describe(asked.threads)}
        measured = {key: {**about[key], "entries": report.plain(made)} for key, (_, made) in rows.items()}
        content = {**where, "rounds": asked.rounds, "rows": measured}
        (asked.output / "throughput.json").write_text(json.dumps(content, indent=1) + "\n")
        report.picture(
            asked.output / "throughput.png",
            rows,
            f"{where['processor']}, {asked.threads} threads, {asked.rounds} rounds",
        )
    wrong = [
        r for _, made in rows.values() for r in made if r.entry.status == "failed" or r.same_work is False
    ]
    for r in wrong:
        reason = "failed" if r.entry.status == "failed" else "its loss says that it did other work"
        print(f"{r.name}: {reason}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
