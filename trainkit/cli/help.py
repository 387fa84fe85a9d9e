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

__all__ = ["GROUPS", "WIDTH", "described", "help_text"]

Row = tuple[str, str]  # what is typed, and what it means
Section = tuple[str, Iterable[Row]]  # its title, and its rows

WIDTH = 108
MAX_JOINED = 6  # more choices than this do not fit into a line
NO_BREAK = "\N{NO-BREAK SPACE}"
LEFT = 0.5  # of the width; a longer left side has a line of its own

TITLE = "trainkit trains Keras models: python -m trainkit [flags] key=value ..."
USAGE: tuple[Row, ...] = (
    ("python -m trainkit task=mnist", "train; the run is runs/mnist/<time>-<id>"),
    (
        "python -m trainkit task=boston optimizer=adam optimizer.learning_rate=3e-4",
        "other settings: key=value",
    ),
    (
        "python -m trainkit task=mnist resume=last trainer.epochs=40",
        "continue the newest run, to 40 epochs in all",
    ),
    ("python -m trainkit mode=evaluate resume=runs/mnist/latest", "loss and metrics of the best checkpoint"),
    ("python -m trainkit mode=predict task=mnist predict.show=20", "predictions of the newest run"),
    ("python -m trainkit mode=export resume=runs/mnist/latest", "the best model for other programs"),
    ("python -m trainkit mode=tune task=boston tune.trials=50", "search for good settings"),
    ("python -m trainkit mode=parity task=mnist", "compare with model.fit, step by step"),
    ("python -m trainkit -m optimizer.learning_rate=1e-3,1e-4", "one run per value"),
    ("python -m trainkit launch workers=2 task=mnist", "two workers on this machine; see launch --help"),
    ("python -m trainkit --config-dir my task=mine", "your own my/task/mine.yaml and class"),
    ("python -m trainkit --config-dir runs/mnist/latest --config-name config", "repeat a run"),
)

ENDING = """\
Exit code: 0 done, 1 failed, 2 wrong use, 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM; after the last three and
after a failure, resume=last continues. A run leaves one directory: config.yaml, metrics.csv, summary.json,
report.html, checkpoints/, tensorboard/, plots/, model.keras."""

GROUPS = {
    "task": "what to train, and its recipe",
    "optimizer": "update rule with its options",
    "callbacks": "observers of the run",
    "tune": "how mode=tune searches",
    "experiment": "several choices under one name",
    "debug": "short runs that look for a fault",
}


def help_text(composed: Composed, width: int = WIDTH) -> str:
    """The whole help, with the values that the settings have on this command line.

    Args:
        composed: The command line.
        width: Columns; no line is broken for more than `WIDTH`.
    """
    options = composed.groups.options()
    groups = ((group, f"{GROUPS.get(group, '')}: {', '.join(options[group])}") for group in options)
    sections: list[Section] = [
        ("Modes (mode=...):", MODES.items()),
        ("Groups (group=option):", groups),
        ("Settings (key=value), with their values on this command line; null: not set.", ()),
        *_settings(composed),
        ("Flags:", ((flag.usage, flag.meaning) for flag in FLAGS)),
    ]
    wide = min(width, WIDTH)
    texts = [_section(title, rows, wide) for title, rows in sections]
    usage = _section("", USAGE, wide, left=0.6)
    return "\n".join([TITLE, usage, *texts, textwrap.fill(ENDING, wide, break_on_hyphens=False)])


def _settings(composed: Composed) -> Iterator[Section]:
    """A section for each group of settings, and for each group inside one."""
    values = flatten(plain(composed.settings))
    yield "The run", _rows(Config, "", values)
    comments = {"task._target_": "class of the task", **composed.groups.comments("task")}
    task = ((key, comments.get(key, "argument of the task")) for key in _inside("task.", values))
    yield "task: What to train.", ((_typed(key, values), meaning) for key, meaning in task)
    for name, group in settings_of(Config).items():
        if isinstance(group, type):
            yield from _group(group, name, values)


def _group(group: type[Any], name: str, values: Mapping[str, Any]) -> Iterator[Section]:
    yield f"{name}: {group_meaning(group)}", _rows(group, f"{name}.", values)
    for inner, one in settings_of(group).items():
        if isinstance(one, type):
            yield from _group(one, f"{name}.{inner}", values)


def _rows(group: type[Any], prefix: str, values: Mapping[str, Any]) -> Iterator[Row]:
    """The settings that lie directly in a group; of an open section, the keys that it has."""
    for name, one in settings_of(group).items():
        key = prefix + name
        if not isinstance(one, Setting) or key == "task":
            continue
        keys = list(_inside(f"{key}.", values)) or [key]
        yield from ((_typed(each, values), described(one)) for each in keys)


def _inside(prefix: str, values: Mapping[str, Any]) -> Iterator[str]:
    return (key for key, value in values.items() if key.startswith(prefix) and not isinstance(value, Mapping))


def described(setting: Setting) -> str:
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


def _section(title: str, rows: Iterable[Row], width: int, left: float = LEFT) -> str:
    """A title, and rows whose right sides begin in one column."""
    rows = list(rows)
    longest = int(left * width)
    column = 4 + max((len(key) for key, _ in rows if len(key) <= longest), default=0)
    lines = textwrap.wrap(title, width)
    for key, right in rows:
        wrapped = textwrap.wrap(right, width - column, break_on_hyphens=False) or [""]
        if len(key) > longest:
            lines.append(f"  {key}")
        else:
            lines.append(f"{'  ' + key:<{column}}{wrapped.pop(0)}".rstrip())
        lines += [" " * column + line for line in wrapped]
    return "\n".join(lines).replace(NO_BREAK, " ") + "\n"
