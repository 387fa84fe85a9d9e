"""TensorFlow's start: quickly, and without its log lines, which hide what a command has to say."""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import IO, Any

from trainkit.backend import compile_cache, xla_flags
from trainkit.core import first_import, stderr
from trainkit.core.errors import UserError

__all__ = ["import_tensorflow", "starting"]

# Lines of TensorFlow's C++ libraries: `I0000 00:00:1795451699.998250    6102 port.cc:153] ...`, and the
# warning that precedes them.
LOG_LINE = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w./-]+:\d+\])"
)

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


# Parts of Keras that import scikit-learn with SciPy, and Matplotlib: a third of the import, and nobody needs
# them who does not name them.
LATER = frozenset({"keras.wrappers", "keras.visualization", "keras.src.visualization"})
LOADING = threading.RLock()
_state: set[str] = set()  # of the import: "begun", and "running" until it is done


def import_tensorflow(*, keep_programs: bool = True) -> None:
    """Import TensorFlow and look for its devices.

    Args:
        keep_programs: Keep what XLA compiles for the next process.

    Raises:
        UserError: if Keras is told to use another backend.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if not _trains_here():
        raise UserError(
            f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}: trainkit trains with TensorFlow; unset it or set "
            "it to tensorflow."
        )
    if "tensorflow" in sys.modules:
        if not keep_programs:
            compile_cache.keep_no_more()
        return
    with starting(keep_programs=keep_programs):
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def starting(*, keep_programs: bool = True) -> Iterator[None]:
    """In the block TensorFlow or Keras is imported: without its log lines, unless TF_CPP_MIN_LOG_LEVEL is 0,
    with XLA's programs kept, and in half the time. With another backend of Keras, nothing changes.

    Args:
        keep_programs: Keep what XLA compiles for the next process.
    """
    if "running" in _state or not _trains_here():
        yield
        return
    first = not _state
    xla_flags.choose()  # before the folder of kept programs, whose name depends on it
    checking = compile_cache.using() if keep_programs and first else nullcontext()
    _state.update(("begun", "running"))
    try:
        with checking, _without_collections(freeze=first), _later(), _filtered():
            yield
    finally:
        _state.remove("running")


def _trains_here() -> bool:
    return os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


@contextmanager
def _without_collections(*, freeze: bool) -> Iterator[None]:
    """In the block Python does not look for garbage. The import makes half a million objects, nearly all of
    which stay. To look at them again and again takes as long as the rest of it, and a second or two at the
    end of the process, so they are frozen: from then on Python does not look at them."""
    enabled = gc.isenabled()
    if freeze:
        gc.collect()  # what is garbage by now would be frozen too
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def _later() -> Iterator[None]:
    """In the block some parts of Keras are not imported, but when they are first used."""
    finder = first_import.Finder(LATER, _LaterLoader)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LaterLoader(Loader):
    def __init__(self, usual: Loader) -> None:
        self.usual = usual

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LaterModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Not yet."""


class _LaterModule(ModuleType):
    """A module that is loaded when it is asked for a name. Not `importlib.util.LazyLoader`: that loads also
    when somebody looks at the files of all modules, as AutoGraph does."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self._load()
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> Iterable[str]:
        self._load()
        return dir(self)

    def _load(self) -> None:
        with LOADING:
            spec = self.__spec__
            if spec is not None and isinstance(spec.loader, _LaterLoader):
                self.__loader__ = spec.loader = spec.loader.usual
                try:
                    spec.loader.exec_module(self)
                except BaseException:
                    self.__loader__ = spec.loader = _LaterLoader(spec.loader)
                    raise
                object.__setattr__(self, "__class__", ModuleType)


@contextmanager
def _filtered() -> Iterator[None]:
    """Hold back what is written to the file of stderr in the block, by C++ too; afterwards write what is no
    log line of TensorFlow."""
    if os.environ.get(LEVEL) == "0":
        yield
        return
    # Nothing from here on but what ends the process: XLA calls each kept program an error, since it names
    # features of its own beside the processor's. At its start TensorFlow does not heed the level.
    os.environ.setdefault(LEVEL, "3")
    with ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            real = os.dup(2)
        except OSError:  # a daemon without stderr, a container without a folder for temporary files
            yield
            return
        stack.callback(_pass_on, held)
        stack.callback(os.close, real)
        stack.enter_context(stderr.leading_to(real))
        stack.callback(os.dup2, real, 2)
        stack.callback(_flush)
        _flush()
        os.dup2(held.fileno(), 2)
        yield


def _pass_on(held: IO[bytes]) -> None:
    held.seek(0)
    lines = held.read().decode(errors="replace").splitlines(keepends=True)
    if sys.stderr is not None:
        sys.stderr.write("".join(line for line in lines if not LOG_LINE.match(line)))


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
