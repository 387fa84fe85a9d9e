"""Imported before Keras, trainkit prepares its import; after it, it changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT

SHOWN = """
import gc, importlib.util, sys
from trainkit.backend import compile_cache
assert type(keras.__spec__.loader).__name__ == "SourceFileLoader" == type(keras.__loader__).__name__
assert gc.isenabled()
print(bool(gc.get_freeze_count()), compile_cache.kept_in() is not None, "sklearn" in sys.modules)
"""

LATER = """
import threading
import tensorflow as tf

@tf.function
def doubled(x):  # AutoGraph looks at the files of all modules
    return 2 * x if x > 1 else x

doubled(tf.constant(2.0))
assert "sklearn" not in sys.modules and "matplotlib" not in sys.modules
found = []
many = [threading.Thread(target=lambda: found.append(keras.wrappers.SKLearnRegressor)) for _ in range(8)]
for one in many: one.start()
for one in many: one.join()
assert len(found) == 8 and set(found) == {keras.wrappers.SKLearnRegressor}
assert "SKLearnClassifier" in dir(keras.wrappers)
assert type(keras.wrappers) is type(sys) and not hasattr(keras.wrappers, "nothing")
from keras.visualization import *
assert callable(plot_image_gallery) and "matplotlib" in sys.modules
"""


FAILS_ONCE = """
import keras.src.visualization.draw_bounding_boxes
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "keras.src.visualization.plot_image_gallery":
            raise ImportError("not now")
missing = Missing()
sys.meta_path.insert(0, missing)
try:
    keras.src.visualization.plot_image_gallery
    raise SystemExit("it should have failed")
except ImportError:
    pass
sys.meta_path.remove(missing)
assert callable(keras.src.visualization.plot_image_gallery.plot_image_gallery)
"""

KEEPS_NONE = """
from trainkit.backend import startup
assert compile_cache.kept_in() is not None
startup.import_tensorflow(keep_programs=False)
print(compile_cache.kept_in())
"""


def run(program: str, home: Path, **environment: str) -> tuple[str, str]:
    """What a program prints, to both streams."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}
    given |= {"XDG_CACHE_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    path = home / "program.py"
    path.write_text(program)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False, env=given)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_before_keras_its_import_is_prepared(tmp_path: Path) -> None:
    """Parts of it that nobody named are imported when they are used, also where they could not be before;
    and who wants to keep no programs keeps none, though Keras is there."""
    for names, then, said in (("keras", LATER, ""), ("tensorflow, keras", FAILS_ONCE + KEEPS_NONE, "None\n")):
        printed, errors = run(f"import trainkit, {names}{SHOWN}{then}", tmp_path)
        assert printed == f"True True False\n{said}", names
        assert "oneDNN" not in errors


def test_after_keras_nothing_changes(tmp_path: Path) -> None:
    assert run(f"import keras, trainkit{SHOWN}", tmp_path)[0] == "False False True\n"


def test_another_backend_of_keras_is_left_alone(tmp_path: Path) -> None:
    """With a Keras that only tells how it was imported: the real one with another backend needs that one."""
    stands_in = tmp_path / "keras" / "__init__.py"
    stands_in.parent.mkdir()
    stands_in.write_text("import gc, os; print(gc.isenabled(), os.environ.get('KERAS_BACKEND'))\n")
    program = "import trainkit, keras, gc; print(gc.get_freeze_count())"
    assert run(program, tmp_path, KERAS_BACKEND="jax")[0] == "True jax\n0\n"
    assert run(program, tmp_path, KERAS_BACKEND="tensorflow")[0].startswith("False tensorflow\n")
    unnamed = run(program, tmp_path)[0]  # then keras.json says it, which trainkit does not read
    assert unnamed.startswith("False None\n")
    assert int(unnamed.split()[-1]) > 0


def test_a_module_that_is_sought_but_not_imported_changes_nothing(tmp_path: Path) -> None:
    program = "import trainkit, sys; from importlib.util import find_spec; "
    program += "assert find_spec('keras').loader.get_source('keras'); assert 'keras' not in sys.modules"
    run(program, tmp_path)


def test_a_process_without_stderr_imports_keras(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'import trainkit, keras; print(keras.__version__)' 2>&-"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0
    assert done.stdout.strip()


def test_programs_that_cannot_be_checked_do_not_keep_keras_from_being_imported(tmp_path: Path) -> None:
    program = """
from trainkit.backend import compile_cache
def fails(folder): raise PermissionError(13, "Permission denied")
compile_cache._drop_damaged = fails
import warnings
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    import trainkit, keras
told = any("Cannot check" in str(one.message) for one in found)
print(told, compile_cache.kept_in(), callable(keras.Model))
"""
    assert run(program, tmp_path)[0] == "True None True\n"


CTRL_C = """
import os, signal
from trainkit.cli import interrupts
signal.signal(signal.SIGINT, interrupts.end)
from trainkit.backend import startup
with startup.starting():
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_in_the_import_is_told_though_stderr_is_held_back(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run([sys.executable, "-c", CTRL_C], capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (130, b"\ntrainkit: interrupted before the training started.\n")
