"""The documented service answers as the model predicts."""

from __future__ import annotations

import csv
import http.client
import importlib.util
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.commands import compared_here
from tests.support.repository import ROOT
from trainkit.cli import main


def asked(address: str, inputs: Any) -> Any:
    """The answer to one request."""
    body = json.dumps({"inputs": inputs}).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=60) as answer:
        return json.load(answer)["outputs"]


@pytest.mark.slow
def test_a_hundred_requests_are_answered_as_the_run_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    rows = [
        {"size": draw.randint(1, 99), "colour": draw.choice(["red", "blue", ""]), "kind": ""}
        for _ in range(100)
    ]
    for row in rows:
        row["kind"] = "large" if row["size"] > 50 else "small"
    with open("rows.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    words = ["task=tabular_classification", "data.path=rows.csv", "data.target=kind", "trainer.epochs=20"]
    assert main.main([*words, "run_dir=run", "callbacks=none", "progress=none"]) == 0
    monkeypatch.setattr("trainkit.export.comparison.run_alone", compared_here)  # the server loads it alone
    assert main.main(["mode=export", "resume=run", "export.format=saved_model"]) == 0
    assert main.main(["mode=predict", "resume=run", "predict.path=rows.csv", "predict.show=0"]) == 0
    with open("run/predictions.csv", newline="") as file:
        expected = [row["predicted"] for row in csv.DictReader(file)]
    command = [sys.executable, str(ROOT / "docs/serving/serve.py"), "run/export/saved_model", "--port", "0"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=quiet, stderr=subprocess.DEVNULL
    )
    timer = threading.Timer(120, server.kill)
    timer.start()
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        single = [{"size": [row["size"]], "colour": [row["colour"] or None]} for row in rows]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda inputs: asked(address, inputs), single))
        assert [answer["predicted"][0] for answer in answers] == expected
        with pytest.raises(urllib.error.HTTPError) as refused:
            asked(address, {"size": [1]})
        assert "missing inputs: ['colour']" in refused.value.read().decode()
    finally:
        timer.cancel()
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def serve() -> Any:
    """The module of the documented service."""
    spec = importlib.util.spec_from_file_location("serve", ROOT / "docs/serving/serve.py")
    assert spec is not None
    assert spec.loader is not None
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    return serve


@pytest.fixture(scope="module")
def service(serve: Any) -> Iterator[Any]:
    """The address of a service whose model gives back its first input, as lists."""
    specs = {name: tf.TensorSpec([None], tf.string, name) for name in ("text", "title")}

    def model(inputs: Any) -> dict[str, Any]:
        return {"text": len(serve.tensors(inputs, specs)["text"])}

    with serve.Server(("127.0.0.1", 0), serve.handler(model)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address
        server.shutdown()


@pytest.mark.parametrize(
    ("body", "path", "headers", "code", "said"),
    [
        ('{"inputs": {"text": ["a", "b"], "title": ["c", null]}}', "/predict", {}, 200, '"text": 2'),
        ('{"inputs": {"text": "the quick", "title": ["c"]}}', "/predict", {}, 400, "text: expected a list"),
        ('{"inputs": {"text": ["a"], "title": ["c", "d"]}}', "/predict", {}, 400, "as many rows in each"),
        ("[" * 100_000, "/predict", {}, 400, "Recursion"),
        ("null", "/predict", {}, 400, "expected {"),
        ("5", "/predict", {}, 400, "expected {"),
        ("{}", "/predict", {"Content-Length": "-1"}, 400, "JSONDecodeError"),
        ("2\r\n{}\r\n0\r\n\r\n", "/predict", {"Transfer-Encoding": "chunked"}, 411, "Content-Length"),
        ('{"inputs": [1]}', "/", {}, 404, "expected /predict"),
    ],
)
def test_what_cannot_be_predicted_is_answered(
    service: Any, body: str, path: str, headers: dict[str, str], code: int, said: str
) -> None:
    connection = http.client.HTTPConnection(*service, timeout=20)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    assert answer.status == code
    assert said in answer.read().decode()
    connection.close()


def test_numbers_that_are_none_go_out_as_gaps_and_none_is_wrapped_into_another(serve: Any) -> None:
    assert json.dumps(serve._plain(np.array([[0.5, np.nan, -np.inf]], np.float32))) == "[[0.5, null, null]]"
    assert serve.tensors({"n": [7]}, {"n": tf.TensorSpec([None], tf.int32, "n")})["n"].numpy() == [7]
    with pytest.raises(OverflowError):
        serve.tensors({"n": [30_000_000_000]}, {"n": tf.TensorSpec([None], tf.int32, "n")})


def test_a_client_that_goes_away_before_its_answer_leaves_no_traceback(
    service: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    linger = struct.pack("ii", 1, 0)  # close with a reset, at once
    body = json.dumps({"inputs": {"text": ["a"] * 10_000, "title": ["b"] * 10_000}})
    request = f"POST /predict HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    for sent in (request, request[:99]):
        client = socket.create_connection(service)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.sendall(sent)
        client.close()
    connection = http.client.HTTPConnection(*service, timeout=20)
    connection.request("POST", "/predict", body)
    assert connection.getresponse().status == 200
    connection.close()
    assert "Traceback" not in capfd.readouterr().err


def test_the_documented_request_has_the_columns_of_the_documented_table() -> None:
    header = re.search(r"writerow\((\[.*\])\)", (ROOT / "docs/data.md").read_text())
    request = re.search(r"curl -d '(.*)' ", (ROOT / "docs/export.md").read_text())
    assert header is not None
    assert request is not None
    assert json.loads(request[1])["inputs"].keys() == set(json.loads(header[1])) - {"id", "price"}
