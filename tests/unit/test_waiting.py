"""Workers that train together: where they are, and the wait until all have come."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest

from trainkit.backend import compat
from trainkit.core.errors import UserError
from trainkit.distributed import cluster, waiting


@pytest.fixture
def ports() -> list[int]:
    """Two that are free."""
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as other:
        return [each.getsockname()[1] for each in (one, other)]


def test_workers_go_on_once_all_have_come_and_say_who_is_missing(
    ports: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)
    told = threading.Event()
    look = waiting._listens
    monkeypatch.setattr(waiting, "_listens", lambda address: look(address) or (told.set(), False)[1])
    here = [f"localhost:{port}" for port in ports]
    first = threading.Thread(target=waiting.wait_for_all, args=(here, here[0]), daemon=True)
    first.start()
    assert told.wait(20)
    waiting.wait_for_all(here, here[1])
    with socket.create_server(("", ports[1])):  # as TensorFlow's
        first.join(20)
    assert not first.is_alive()
    assert f"Waiting for the worker at {here[1]} ..." in capsys.readouterr().err


def test_a_worker_that_does_not_come_is_named_at_last(
    ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_SECONDS", 0.0)
    here = [f"localhost:{port}" for port in ports]
    with pytest.raises(UserError, match=f"The worker at {here[1]} did not come within an hour"):
        waiting.wait_for_all(here, here[0])


def test_a_process_that_has_tensorflow_s_server_waits_no_more(
    ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat, "has_server", lambda: True)
    here = [f"localhost:{port}" for port in ports]
    with socket.create_server(("", ports[0])):
        waiting.wait_for_all(here, here[0])


def test_a_port_that_is_taken_is_refused_by_the_address(ports: list[int]) -> None:
    own = f"localhost:{ports[0]}"
    with (
        socket.create_server(("", ports[0])),
        pytest.raises(UserError, match=f"cannot listen at {own}: .*Name a port that is free"),
    ):
        waiting.wait_for_all([own, f"localhost:{ports[1]}"], own)


BOTH = ["a:1", "b:1"]


@pytest.mark.parametrize(
    ("workers", "task", "said"),
    [
        (BOTH, {"type": "worker", "index": 7}, "'index': 7}, which is none of the cluster"),
        (BOTH, {"type": "worker", "index": -1}, "expected {'type': 'worker', 'index': 0 to 1}"),
        (BOTH, {"type": "worker", "index": "a"}, "expected {'type': 'worker'"),
        (BOTH, {"type": "worker", "index": True}, "expected {'type': 'worker'"),
        (BOTH, {"type": "ps", "index": 0}, "expected {'type': 'worker'"),
        (BOTH, {"type": ["worker"], "index": 0}, "expected {'type': 'worker'"),
        (BOTH, {"type": "worker"}, "expected {'type': 'worker'"),
        (BOTH, {}, "task is {}"),
        (BOTH, 5, "task is 5"),
        (["a", "b:1"], {"type": "worker", "index": 0}, "address 'a' of a worker; expected host:port"),
        (
            ["a:1", "b:99999"],
            {"type": "worker", "index": 0},
            "expected host:port, with a port from 1 to 65535",
        ),
        (["a:1", "b:x"], {"type": "worker", "index": 0}, "expected host:port"),
        ([1, 2], {"type": "worker", "index": 0}, "address 1 of a worker"),
        (["a:1", "a:1"], {"type": "worker", "index": 0}, "names a:1 twice"),
        (["a:1", "grpc://b:1"], {"type": "worker", "index": 0}, "address 'grpc://b:1'"),
        (["a:1"], {"type": "evaluator", "index": 0}, "expected a worker, or the chief"),
        ("a:1", {"type": "worker", "index": 0}, "worker is 'a:1'; expected a list of host:port"),
    ],
)
def test_a_wrong_tf_config_is_refused_in_one_line(
    workers: Any, task: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": workers}, "task": task}))
    with pytest.raises(UserError) as caught:
        cluster.workers()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "count", "chief"),
    [
        ({"cluster": {"worker": BOTH}, "task": {"type": "worker", "index": "1"}}, 2, False),
        ({"cluster": {"worker": {"0": "a:1", "1": "b:1"}}, "task": {"type": "worker", "index": 0}}, 2, True),
        (
            {"cluster": {"chief": ["a:1"], "worker": ["[::1]:1"]}, "task": {"type": "worker", "index": 0}},
            2,
            False,
        ),
        ({"cluster": {"chief": ["a:1"], "worker": []}, "task": {"type": "chief", "index": 0}}, 1, True),
        ({"cluster": {"worker": ["a:1"]}}, 1, True),
        ({"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}, 1, True),
        ({"cluster": {}, "task": {"type": "worker", "index": 0}}, 0, True),
    ],
)
def test_what_tensorflow_takes_is_taken(
    config: Any, count: int, chief: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert (cluster.workers(), cluster.is_chief()) == (count, chief)
    if count > 1:
        assert cluster.own_address() in cluster.addresses()
