"""The documentation's page of settings, from the same fields as `--help`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trainkit.cli import arguments
from trainkit.cli.compose import compose
from trainkit.cli.help import GROUPS
from trainkit.config import Config
from trainkit.config.fields import Setting, group_meaning, settings_of
from trainkit.config.root import MODES

__all__ = ["settings_page"]

INTRODUCTION = """# Settings

`key=value` on the command line, or keywords of `Trainer(...)` for the group `trainer`. This page is made from
the fields that the command checks; `python -m trainkit --help` prints the same.
"""


def settings_page() -> str:
    """Modes, groups and all settings as Markdown: key, default, meaning, choices or range."""
    options = compose(arguments.parse([]))[0].groups.options()
    parts = [
        INTRODUCTION,
        "## Modes\n",
        *_table(["`mode=`", "does"], ((f"`{name}`", meaning) for name, meaning in MODES.items())),
        "\n## Groups\n",
        *_table(
            ["group", "what", "options"],
            ((f"`{group}=`", GROUPS.get(group, ""), ", ".join(options[group])) for group in options),
        ),
        *_group(Config, ""),
    ]
    return "\n".join(parts) + "\n"


def _group(group: type, prefix: str) -> Iterator[str]:
    """The settings that lie directly in a group, then those of the groups inside it."""
    yield f"\n## {prefix.rstrip('.') or 'The run'}\n"
    yield f"{group_meaning(group)}\n"
    rows = [
        (f"`{prefix}{name}`", _default(group, name), _meaning(one))
        for name, one in settings_of(group).items()
        if isinstance(one, Setting)
    ]
    yield from _table(["setting", "default", "meaning"], rows)
    for name, one in settings_of(group).items():
        if isinstance(one, type):
            yield from _group(one, f"{prefix}{name}.")


def _meaning(setting: Setting) -> str:
    if setting.choices:
        return f"{setting.meaning}: {', '.join(f'`{choice}`' for choice in setting.choices)}"
    return f"{setting.meaning} ({setting.bounds})" if setting.bounds else setting.meaning


def _default(group: type, name: str) -> str:
    value = getattr(group(), name)
    if value == "???":
        return ""
    text = (
        {None: "null", True: "true", False: "false"}.get(value)
        if isinstance(value, (bool, type(None)))
        else None
    )
    return f"`{text or value}`"


def _table(header: list[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
