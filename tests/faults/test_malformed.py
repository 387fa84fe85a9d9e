"""Whatever a command line, a config file or a file of a run holds: one line, and no traceback."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults import tally
from trainkit.checkpoint import members
from trainkit.cli import arguments, planning
from trainkit.cli.compose import compose
from trainkit.config import Config
from trainkit.config.fields import walk
from trainkit.core import files
from trainkit.core.errors import UserError, one_line
from trainkit.data.sources import npz
from trainkit.runs.metrics_csv import curves, read_rows

KEYS = [key for key, _ in walk(Config)]
ODD = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "null", "nan", "inf", "-1", "0", "1e999", "[1", "{a", "[]", "{}", "${x}", "a.b", "'"]
    ),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
)
WORDS = st.tuples(st.one_of(st.sampled_from(KEYS), st.text(max_size=8)), ODD).map("=".join)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def plan(words: list[str]) -> None:
    """Plan a command: it is good, or refused by a `UserError` that says something."""
    tally.add()
    try:
        parsed = arguments.parse(words)
        if not parsed.shows and not parsed.multirun:
            planning.plan(compose(parsed)[0], parsed)
    except UserError as error:
        said = one_line(str(error))
    else:
        said = "good"
    assert said


@pytest.mark.slow
@hypothesis.settings(max_examples=400, suppress_health_check=list(hypothesis.HealthCheck))
@given(words=st.lists(WORDS, min_size=1, max_size=3))
def test_odd_command_lines(words: list[str]) -> None:
    before = sorted(Path().iterdir())
    plan(["task=boston", *words])
    assert sorted(Path().iterdir()) == before


@pytest.mark.slow
@hypothesis.settings(max_examples=200, suppress_health_check=list(hypothesis.HealthCheck))
@given(content=st.one_of(st.binary(max_size=60), JSON.map(json.dumps).map(str.encode)))
def test_odd_config_files(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("config")
    (folder / "task").mkdir()
    (folder / "task" / "odd.yaml").write_bytes(content)
    plan(["--config-dir", str(folder), "task=odd"])
    assert (folder / "task" / "odd.yaml").read_bytes() == content


@hypothesis.settings(max_examples=200, suppress_health_check=list(hypothesis.HealthCheck))
@given(content=st.one_of(st.binary(max_size=60), JSON.map(json.dumps).map(str.encode)))
def test_odd_files_of_a_run(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A manifest of a checkpoint, a table of metrics, a status."""
    tally.add()
    folder = tmp_path_factory.mktemp("run")
    for name in (members.META, "metrics.csv", "status.json"):
        (folder / name).write_bytes(content)
    (folder / "variables.bin").touch()
    (folder / "callbacks.bin").touch()
    with pytest.raises(UserError):
        members.check(folder)
    curves(read_rows(folder / "metrics.csv"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(files.read_or_set_aside(folder / "status.json"), dict)


@hypothesis.settings(max_examples=200, suppress_health_check=list(hypothesis.HealthCheck))
@given(data=st.data())
def test_a_damaged_archive_of_arrays_is_refused_before_it_takes_memory(
    data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tally.add()
    path = tmp_path_factory.mktemp("data") / "a.npz"
    np.savez_compressed(path, x=np.arange(50.0), y=np.zeros(7, np.int32))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    found = {}
    with suppress(
        ValueError, KeyError, EOFError, OSError, NotImplementedError, zipfile.BadZipFile, zlib.error
    ):
        found = npz.unpack(bytes(content), ("x", "y"))
    assert sum(array.nbytes for array in found.values()) < 10_000


def test_a_header_that_names_a_terabyte_is_refused() -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (137438953472,), }"
    member = b"\x93NUMPY\x01\x00" + np.uint16(118).tobytes() + header.ljust(117).encode() + b"\n" + bytes(8)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", member)
    with pytest.raises(ValueError, match="names 1099511627776 bytes, but holds 8"):
        npz.unpack(archive.getvalue(), ("x",))
