"""Shared by all tests: a quiet TensorFlow with four logical CPU devices, and the real data if it is given."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before anything imports TensorFlow, and for the processes that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if os.environ.get("TRAINKIT_DATA"):
    os.environ["TRAINKIT_DATA"] = str(
        Path(os.environ["TRAINKIT_DATA"]).resolve()
    )  # tests change the working directory

# Timings that are kept for the user's later runs are not to come from tests. Processes of one run of the
# tests share what XLA compiled.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="trainkit-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

# The same examples in every run, so that a run that passes passes again; nothing is kept between runs.
hypothesis.settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("repeatable")

# The modules of TensorFlow and of the tests stay: to look at them as garbage takes seconds.
gc.disable()

LOGICAL_CPUS = 4
REAL_FILES = ("mnist.npz", "boston_housing.npz")
# Begun first, so that no process is left alone with one of them at the end.
LONGEST = (
    "test_workers",
    "test_documents",
    "test_strategies",
    "test_export",
    "test_weighing",
    "test_conformance",
    "test_parity",
    "test_modes",
    "test_tune",
    "test_estimators",
    "test_larger_than_memory",
    "test_verify_resume",
    "test_overrides",
)


# Of cases that are alike, marked `in_parts`, a run takes a part, as of those of tests/conformance.
PART, _, PARTS = os.environ.get("TRAINKIT_CONFORMANCE_PART", "1/20").partition("/")


def leave_out_other_parts(items: list[pytest.Item], config: pytest.Config) -> None:
    """Of each test that is marked `in_parts(n)`, keep each n-th case: the part that this run takes."""
    counts: Counter[str] = Counter()
    others = []
    for item in items:
        marker = item.get_closest_marker("in_parts")
        if marker is not None and PARTS != "1":
            name = item.nodeid.partition("[")[0]
            if (counts[name] - int(PART) + 1) % marker.args[0]:
                others.append(item)
            counts[name] += 1
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Mark as slow all cases but the first of each test that is marked `slow_but_first`; the longest files
    come first."""
    leave_out_other_parts(items, config)
    seen = set()
    for item in items:
        if item.get_closest_marker("slow_but_first"):
            name = item.nodeid.partition("[")[0]
            if name in seen:
                item.add_marker("slow")
            seen.add(name)
    order = {stem: place for place, stem in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for garbage from here on alone; make four logical CPU devices for the tests of strategies, before
    TensorFlow fixes their number.

    They share one pool of threads, so a result on one of them is that of a program that has only one. If no
    collected test imports TensorFlow, this does not either: it takes seconds.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(100_000, 50, 50)  # a trace makes more objects than that, and keeps them all
    if "tensorflow" in sys.modules and not session.config.option.collectonly:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * LOGICAL_CPUS
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            pytest.skip("needs a GPU, and TensorFlow sees none")


@pytest.fixture(scope="module", autouse=True)
def without_garbage() -> Iterator[None]:
    """Collect the graphs of a file at its end, and look no more at what stays. A search for garbage among
    the objects of all files before takes a second, and was seen to take half a minute."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real `mnist.npz` and `boston_housing.npz`."""
    given = os.environ.get("TRAINKIT_DATA")
    if not given:
        pytest.skip("TRAINKIT_DATA is not set: it names the folder with " + " and ".join(REAL_FILES))
    missing = [name for name in REAL_FILES if not (Path(given) / name).is_file()]
    if missing:
        pytest.skip(f"TRAINKIT_DATA={given} has no {' and no '.join(missing)}")
    return Path(given)
