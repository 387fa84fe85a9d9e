"""Workers on two machines, which are network namespaces here, and a cable that is pulled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from trainkit.checkpoint import members
from trainkit.distributed import cluster

NAMES = ("trainkit-a", "trainkit-b")
ADDRESSES = ("10.77.31.1", "10.77.31.2")
LIMIT = 120.0
WORDS = (
    *("task=boston", "data.source=embedded", "trainer.epochs=100000", "trainer.heartbeat_seconds=4"),
    *("progress=none", "callbacks=none", "run_dir=out"),
)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@pytest.fixture
def machines() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need ip(8) and root")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "tk0", "netns", NAMES[0], "type", "veth", "peer", "name", "tk1", "netns", NAMES[1])
        for number, (name, address) in enumerate(zip(NAMES, ADDRESSES, strict=True)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", f"tk{number}")
            ip("-n", name, "link", "set", f"tk{number}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield NAMES
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not permitted: {error.stderr.decode().strip()}")
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.slow
def test_workers_that_are_cut_off_end_by_themselves_with_their_state_saved(
    machines: tuple[str, str], tmp_path: Path
) -> None:
    workers = []
    for index, name in enumerate(machines):
        addresses = [f"{address}:{5000 + i}" for i, address in enumerate(ADDRESSES)]
        environment = {**os.environ, "TF_CONFIG": cluster.tf_config(addresses, index)}
        environment["PYTHONPATH"] = str(ROOT)
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "trainkit", *WORDS]
        with (tmp_path / f"{index}.log").open("w") as log:
            workers.append(
                subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
    try:
        last = tmp_path / "out" / "checkpoints" / "last"
        begin = time.monotonic()
        while not (last / members.META).exists():
            assert all(worker.poll() is None for worker in workers), (tmp_path / "0.log").read_text()
            assert time.monotonic() - begin < LIMIT
            time.sleep(0.05)
        ip("-n", machines[0], "link", "set", "tk0", "down")
        codes = [worker.wait(LIMIT) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [1, 1]
    for index in (0, 1):
        assert "another worker ended or no longer answers" in (tmp_path / f"{index}.log").read_text()
    assert json.loads((tmp_path / "out" / "status.json").read_text())["status"] == "failed"
    assert members.check(last)["position"]["step"] > 0
