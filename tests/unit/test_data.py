"""Laws of the data sources: the first that has the data wins, and a substitute says so."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.support.data_files import NOWHERE, digits, offline, packed, served, serving
from tests.support.repository import ROOT
from trainkit.core.errors import UserError
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, DataSet, DataWarning, load


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder given, an empty cache of Keras, and no proxy between the tests and their own server."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)


def test_folder_goes_before_cache_and_cache_before_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = packed(digits(5))
    cache = tmp_path / "keras" / "datasets" / "mnist.npz"

    with serving(online) as url:
        wanted = served(MNIST, url, online)
        rows, source = load(wanted)
    assert (len(rows["x_train"]), source.name, source.origin, cache.read_bytes()) == (
        5,
        "MNIST",
        str(cache),
        online,
    )

    wanted = offline(wanted)
    cache.write_bytes(packed(digits(6)))
    assert len(load(wanted)[0]["x_train"]) == 6

    (tmp_path / "mnist.npz").write_bytes(packed(digits(7)))
    monkeypatch.setenv("TRAINKIT_DATA", str(tmp_path))
    rows, source = load(wanted, "mnist")
    assert (len(rows["x_train"]), source.origin, source.substitute_for) == (
        7,
        str(tmp_path / "mnist.npz"),
        "",
    )
    assert source.sha256 == hashlib.sha256((tmp_path / "mnist.npz").read_bytes()).hexdigest()


@pytest.mark.parametrize("wanted", [MNIST, BOSTON], ids=["mnist", "boston"])
def test_fallback_is_never_silent(wanted: DataSet) -> None:
    for _ in range(2):  # also the second time in one process, as in a sweep
        with pytest.warns(DataWarning, match=f"NOT {wanted.name} but scikit-learn") as told:
            _, source = load(offline(wanted))
        text = str(told[0].message)
        assert "data.dir or TRAINKIT_DATA" in text
        assert "download failed" in text
        assert text.count("\n") == 1
    assert source.substitute_for == wanted.name
    assert source.name.startswith("scikit-learn")
    assert len(source.sha256) == 64


def test_every_run_of_a_process_is_warned_and_tensorflow_not_needed() -> None:
    program = f"""
import sys
from dataclasses import replace
from trainkit.data.sources.keras_datasets import BOSTON, load
nowhere = replace(BOSTON.files[0], url={NOWHERE!r})
for _ in range(2):
    load(replace(BOSTON, files=(nowhere,)))
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("This is NOT Boston housing") == 2


@pytest.mark.parametrize("wanted", [MNIST, BOSTON], ids=["mnist", "boston"])
def test_demanded_data_are_never_substituted(wanted: DataSet) -> None:
    with pytest.raises(
        UserError, match=f"data.source={wanted.key} demands the real data, but {wanted.name} was not found"
    ):
        load(offline(wanted), wanted.key)


@pytest.mark.parametrize("wanted", [MNIST, BOSTON], ids=["mnist", "boston"])
def test_embedded_on_request_warns_of_nothing(wanted: DataSet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, source = load(wanted, "embedded")
    assert source.substitute_for == wanted.name
    assert list(rows) == list(wanted.arrays)


def test_embedded_digits_fill_the_range_of_pixels() -> None:
    rows, _ = load(MNIST, "embedded")
    assert (rows["x_train"].shape, rows["x_train"].dtype, rows["x_test"].shape) == (
        (1437, 28, 28),
        np.uint8,
        (360, 28, 28),
    )
    assert (rows["x_train"].min(), rows["x_train"].max()) == (0, 255)
    assert set(rows["y_test"]) == set(range(10))


@pytest.mark.parametrize(
    ("wanted", "source", "said"),
    [
        (MNIST, "minst", "did you mean mnist"),
        (MNIST, "boston", "auto, mnist, embedded"),
        (BOSTON, "x", "auto, boston, embedded"),
    ],
    ids=["misspelt", "of the other", "unlike any"],
)
def test_unknown_source_names_the_known(wanted: DataSet, source: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(wanted, source)


def test_named_folder_must_have_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no mnist\.npz"):
        load(offline(MNIST), dir=str(tmp_path))
    with pytest.raises(UserError, match="is no folder"):
        load(offline(MNIST), dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("as_dir", [False, True])  # a config may hand the variable on as data.dir
def test_folder_of_the_environment_is_passed_over_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_dir: bool
) -> None:
    monkeypatch.setenv("TRAINKIT_DATA", str(tmp_path))
    with pytest.warns(DataWarning, match=r"TRAINKIT_DATA=.* has no mnist\.npz") as told:
        _, source = load(offline(MNIST), dir=str(tmp_path) if as_dir else None)
    assert (len(told), source.substitute_for) == (2, "MNIST")
