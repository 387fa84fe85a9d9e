"""What is built from a checkout: everything inside the package, and usable away from it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.slow


def run(*command: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "-w",
        str(folder),
        str(ROOT),
        cwd=folder,
    )
    return next(folder.glob("trainkit-*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """A folder with the wheel's contents, as pip lays them down."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_holds_package_conf_and_tasks_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "trainkit").rglob("*.py")}
    expected.add("trainkit/py.typed")
    for kind in ("*.js", "*.css"):
        expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "trainkit" / "reporting").glob(kind)}
    for folder, kind in (("conf", "*.yaml"), ("tasks", "*.py")):
        expected |= {f"trainkit/{path.relative_to(ROOT)}" for path in (ROOT / folder).rglob(kind)}
    assert held == expected


def test_wheel_finds_its_own_tasks_and_conf_beside_a_users(site: Path, tmp_path: Path) -> None:
    """A user's `tasks` and `conf` in the working directory neither hide ours nor are hidden by them."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("MINE = True\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "main.yaml").write_text("this: is not ours\n")
    program = (
        "import tasks, importlib.util as u, trainkit;"
        "print(tasks.MINE, trainkit.__file__, u.find_spec('trainkit.tasks.mnist').origin)"
    )
    mine, package, task = run("-c", program, cwd=tmp_path, PYTHONPATH=str(site)).split()
    assert mine == "True"
    assert Path(package) == site / "trainkit" / "__init__.py"
    assert Path(task) == site / "trainkit" / "tasks" / "mnist.py"
    settings = run("-m", "trainkit", "task=mnist", "--cfg", "job", cwd=tmp_path, PYTHONPATH=str(site))
    assert "trainkit.tasks.mnist.MNIST" in settings
