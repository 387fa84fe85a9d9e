"""`--help`: every setting with its value, meaning, choices and range, as the schema has them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from trainkit.cli.arguments import FLAGS
from trainkit.cli.compose import Composed
from trainkit.cli.settings import flatten, plain
from trainkit.config import Config
from trainkit.config.fields import Setting, group_meaning, settings_of
from trainkit.config.root import MODES

__all__ = ["GROUPS", "WIDTH", "help_text"]

Row = tuple[str, str]  # what is typed, and what it means

WIDTH = 108
MAX_JOINED = 6  # more choices than this do not fit into a line
NO_BREAK = "\N{NO-BREAK SPACE}"
MAX_COLUMN = 52  # a longer left side has a line of its own

USAGE = """\
trainkit trains Keras models: python -m trainkit [flags] key=value ...

  python -m trainkit task=mnist                                 train; the run is runs/mnist/<time>-<id>
  python -m trainkit task=boston trainer.epochs=50 optimizer=adam optimizer.learning_rate=3e-4
  python -m trainkit task=mnist resume=last trainer.epochs=40   continue the newest run, to 40 epochs in all
  python -m trainkit mode=evaluate resume=runs/mnist/latest     loss and metrics of the best checkpoint
  python -m trainkit mode=predict task=mnist predict.show=20    predictions of the newest run
  python -m trainkit mode=tune task=boston tune.trials=50        search for good settings
  python -m trainkit mode=parity task=mnist                     compare with model.fit, step by step
  python -m trainkit -m optimizer.learning_rate=1e-3,1e-4       one run per value
  python -m trainkit launch workers=2 task=mnist                two workers on this machine
  python -m trainkit --config-dir my task=mine                  your own my/task/mine.yaml and class
  python -m trainkit --config-dir runs/mnist/latest --config-name config        repeat a run
"""

ENDING = """\
Exit code: 0 done, 1 failed, 2 wrong use, 130 Ctrl-C, 143 SIGTERM; after the last two and after a failure,
resume=last continues. A run leaves one directory: config.yaml, metrics.csv, summary.json, checkpoints/,
tensorboard/, plots/, model.keras.
"""

GROUPS = {
    "task": "what to train, and its recipe",
    "optimizer": "update rule with its options",
    "callbacks": "observers of the run",
    "tune": "how mode=tune searches",
    "experiment": "several choices under one name",
    "debug": "short runs that look for a fault",
}


def help_text(composed: Composed) -> str:
    """The whole help, with the values that the settings have on this command line."""
    options = composed.groups.options()
    groups = ((group, f"{GROUPS.get(group, '')}: {', '.join(options[group])}") for group in options)
    parts = [
        USAGE,
        _section("Modes (mode=...):", MODES.items()),
        _section("Groups (group=option):", groups),
        "Settings (key=value), with their values on this command line; null: not set.\n",
        *_settings(composed),
        _section("Flags:", ((flag.usage, flag.meaning) for flag in FLAGS)),
        ENDING,
    ]
    return "\n".join(parts).rstrip()


def _settings(composed: Composed) -> Iterator[str]:
    """A section for each group of settings, and for each group inside one."""
    values = flatten(plain(composed.settings))
    yield _section("The run", _rows(Config, "", values))
    comments = {"task._target_": "class of the task", **composed.groups.comments("task")}
    task = ((key, comments.get(key, "argument of the task")) for key in _inside("task.", values))
    yield _section("task: What to train.", ((_typed(key, values), meaning) for key, meaning in task))
    for name, group in settings_of(Config).items():
        if isinstance(group, type):
            yield from _group(group, name, values)


def _group(group: type[Any], name: str, values: Mapping[str, Any]) -> Iterator[str]:
    yield _section(f"{name}: {group_meaning(group)}", _rows(group, f"{name}.", values))
    for inner, described in settings_of(group).items():
        if isinstance(described, type):
            yield from _group(described, f"{name}.{inner}", values)


def _rows(group: type[Any], prefix: str, values: Mapping[str, Any]) -> Iterator[Row]:
    """The settings that lie directly in a group; of an open section, the keys that it has."""
    for name, described in settings_of(group).items():
        key = prefix + name
        if not isinstance(described, Setting) or key == "task":
            continue
        keys = list(_inside(f"{key}.", values)) or [key]
        yield from ((_typed(one, values), _described(described)) for one in keys)


def _inside(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    return (key for key, value in values.items() if key.startswith(prefix) and not isinstance(value, Mapping))


def _described(setting: Setting) -> str:
    """Meaning, then choices or range."""
    if setting.choices:
        joint = "|" if len(setting.choices) <= MAX_JOINED else " | "  # where a line may break
        return f"{setting.meaning} [{joint.join(setting.choices)}]"
    bounds = setting.bounds.replace(" ", NO_BREAK)
    return f"{setting.meaning} ({bounds})" if bounds else setting.meaning


def _typed(key: str, values: Mapping[str, Any]) -> str:
    """A setting as people type it: `trainer.devices=[0,1]`."""
    return f"{key}={_text(values[key])}"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value)


def _section(title: str, rows: Iterable[Row]) -> str:
    """A title, and rows whose right sides begin in one column."""
    rows = list(rows)
    column = 4 + max((len(left) for left, _ in rows if len(left) <= MAX_COLUMN), default=0)
    lines = [title]
    for left, right in rows:
        wrapped = textwrap.wrap(right, WIDTH - column, break_on_hyphens=False) or [""]
        if len(left) > MAX_COLUMN:
            lines.append(f"  {left}")
        else:
            lines.append(f"{'  ' + left:<{column}}{wrapped.pop(0)}".rstrip())
        lines += [" " * column + line for line in wrapped]
    return "\n".join(lines).replace(NO_BREAK, " ") + "\n"
