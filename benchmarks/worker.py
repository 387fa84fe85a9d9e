"""A contender's own process: reads requests as JSON lines from stdin, answers each with one on stdout.

{"do": "variants", "workload": W} -> {"variants": [...], "long": bool, ...} | {"missing": module}
{"do": "prepare", "workload": W, "variant": V} -> {"compile_seconds": s}
{"do": "run", "workload": W, "variant": V, "epochs": E, "seed": n} -> the fields of Run
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from benchmarks.session import PEERS, Contender, Session, contender
from benchmarks.workloads import WORKLOADS


def answer(request: dict[str, Any], name: str, sessions: dict[str, Session]) -> dict[str, Any]:
    """Do what a request asks of a contender.

    Args:
        request: As described above.
        name: Of the contender.
        sessions: Those that are prepared, by variant; a new one is added.
    """
    try:
        module: Contender = contender(name)
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise
        return {"missing": error.name}
    workload = WORKLOADS[request["workload"]]
    variant = request.get("variant", "")
    if request["do"] == "variants":
        rows = workload.rows
        return {
            "variants": module.variants(workload),
            "long": module.LONG,
            "steps": workload.steps,
            "rows": len(rows.x),
            "source": rows.source,
        }
    if request["do"] == "prepare":
        sessions[variant] = module.prepare(workload, variant)
        return {"compile_seconds": sessions[variant].compile_seconds}
    return asdict(sessions[variant].run(request["epochs"], request["seed"]))


def main() -> None:
    """Answer the requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints must not come between the answers
    sessions: dict[str, Session] = {}
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), sys.argv[1], sessions)), file=answers)


if __name__ == "__main__":
    main()
