"""`report.html`: one run on one page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.core.figures import NOTHING, duration, moment, number, rate, share, size
from trainkit.core.words import command
from trainkit.reporting.page import Markup, data, details, element, figures, page, picture, section, table
from trainkit.reporting.results import read_part, results
from trainkit.reporting.run_data import RunData, read_run
from trainkit.reporting.series import chart, metric_chart
from trainkit.runs.picture_names import other_pictures
from trainkit.runs.run_dir import CONFIG

__all__ = ["REPORT_SECONDS", "report_html", "write_report"]

MAX_TEXT = 20_000  # characters of a file that is shown as it is
MAX_PICTURES = 270_000  # bytes of all pictures together, before they become text
TITLES = {"roc_pr": "ROC, precision over recall", "worst": "worst test rows"}  # of pictures
SHORTEST = 1e-5  # seconds; what took less took none
REPORT_SECONDS = 20.0  # between two reports of a run that goes on; one takes a hundredth of a second


def write_report(run: Path | str) -> Path:
    """Write `report.html` of a run, as far as the run has come.

    Raises:
        UserError: if it cannot be written.
    """
    found = read_run(run)
    return files.write_text(found.run.report, report_html(found))


def report_html(run: RunData) -> str:
    """The page of one run."""
    charts = [{**spec, "id": f"chart-{i}"} for i, spec in enumerate(_charts(run))]
    boxes = [element("div", element("h3", spec["y"]), element("div", id=spec["id"])) for spec in charts]
    return page(
        f"{run.task} {run.name}",
        *_head(run),
        section("Curves", element("div", *boxes, class_="charts") if boxes else None),
        section("Results", *results(run)),
        section("Pictures", *_pictures(run)),
        section("Speed", *_speed(run)),
        section("Data", *_data(run)),
        section("Exported", *_exported(run)),
        section("Commands", *_commands(run)),
        section("Model and settings", *_texts(run)),
        section("Environment", *_environment(run)),
        data("charts", charts),
        scripts=("chart.js", "report.js"),
        refresh=int(REPORT_SECONDS) if run.state == "running" else None,
    )


def _head(run: RunData) -> Iterator[Markup]:
    yield element("h1", f"{run.task} on {run.dataset.get('name', 'unknown data')}")
    heartbeat = moment(str(run.status.get("heartbeat", "")))
    where = f" {files.shown(run.run.path)}, {run.epochs:,} epochs, {heartbeat}"
    yield element(
        "p", element("span", run.state, class_=f"badge {run.state}"), element("span", where, class_="quiet")
    )
    if run.state == "running":
        yield element("p", "The run goes on; this page is written anew now and then.", class_="quiet")
    if run.status.get("reason"):
        kind = "failure" if run.state == "failed" else "warning"
        yield element("p", f"{run.state}: {run.status['reason']}", class_=kind)
    substitute = run.dataset.get("substitute_for")
    if substitute:
        text = (
            f"These are not the rows of {substitute}, which was asked for, but of {run.dataset.get('name')}."
        )
        yield element("p", text, class_="warning")
    for problem in run.problems:
        yield element("p", problem, class_="warning")
    yield figures(_headlines(run))


def _headlines(run: RunData) -> Iterator[tuple[str, str]]:
    best = run.best
    if best:
        yield f"best {run.monitor}, epoch {best['epoch']}", number(best["value"])
    for name, value in (best.get("test") or run.summary.get("test") or {}).items():
        yield f"test {name}, {'best' if best.get('test') else 'last'} weights", number(value)
    if run.seconds is not None:
        yield "whole training", duration(run.seconds)
    speed = (run.summary.get("throughput") or {}).get("examples_per_second")
    if speed:
        yield "training speed", rate(speed, "rows/s")


def _charts(run: RunData) -> Iterator[dict[str, Any]]:
    mark = run.best.get("epoch")
    for name in run.metrics:
        yield metric_chart(name, run.curves, mark)
    if "learning_rate" in run.curves:
        yield chart("learning rate", {"learning rate": run.curves["learning_rate"]}, mark)


def _pictures(run: RunData) -> Iterator[Markup]:
    """Pictures of the run that are no curves, since those are drawn above."""
    left = MAX_PICTURES
    shown, hidden = [], 0
    for path in other_pictures(run.run.plots, run.metrics):
        content = path.read_bytes()
        if len(content) > left:
            hidden += 1
            continue
        left -= len(content)
        title = element("h3", TITLES.get(path.stem, path.stem.replace("_", " ")))
        shown.append(element("div", title, picture(path.stem, content)))
    if shown:
        yield element("div", *shown, class_="charts")
    if hidden:
        yield element("p", f"{hidden} larger pictures are in {files.shown(run.run.plots)}.", class_="quiet")


def _speed(run: RunData) -> Iterator[Markup]:
    summary = run.summary
    if not summary.get("throughput"):
        return
    speed = summary["throughput"]
    rows = []
    if speed.get("examples_per_second"):
        rows.append(["training rows", rate(speed["examples_per_second"], "per second")])
        rows.append(["optimizer steps", rate(speed.get("steps_per_second"), "per second")])
    if speed.get("tflops"):
        rows.append(["arithmetic", f"{number(speed['tflops'] * 1000)} GFLOP/s"])
    reached = share(speed.get("roofline_fraction"))
    if reached:
        rows.append(["of the ceiling", f"{reached} of what the same products reach alone on this machine"])
    bottleneck = summary.get("bottleneck") or {}
    if bottleneck.get("by"):
        shares = [
            f"{key.removesuffix('_share')} {bottleneck[key]:.0%}"
            for key in ("host_share", "input_share")
            if bottleneck.get(key)
        ]
        rows.append(["bounded by", f"{bottleneck['by']}{' (' + ', '.join(shares) + ')' if shares else ''}"])
    rows.append(["execution", f"{summary.get('execution', '')}: {summary.get('execution_reason', '')}"])
    rows.append(
        [
            "precision, devices",
            f"{summary.get('precision')}, {summary.get('strategy')}, {summary.get('replicas')} replica(s)",
        ]
    )
    yield table([], rows, class_="wide")
    yield from _where_time_went(summary.get("seconds") or {})


def _where_time_went(seconds: Mapping[str, Any]) -> Iterator[Markup]:
    total = float(seconds.get("total") or 0)
    if total <= 0:
        return
    parts = {name: float(seconds.get(name) or 0) for name in ("train", "validate", "compile")}
    parts["other"] = max(0.0, total - sum(parts.values()))
    parts = {name: value for name, value in parts.items() if value >= SHORTEST}
    shares = [(name, value / max(total, sum(parts.values()))) for name, value in parts.items()]
    bars = [
        element("i", class_=f"c{i}", style=f"width:{share:.2%};border-color:var(--c{i})")
        for i, (_, share) in enumerate(shares)
    ]
    yield element("p", f"Where {duration(total)} went:")
    yield element("div", *bars, class_="bar")
    names = [
        element(
            "span", element("i", class_=f"swatch c{i}"), f"{name} {duration(parts[name])}", class_="entry"
        )
        for i, (name, _) in enumerate(shares)
    ]
    yield element("p", *names, class_="legend")


def _data(run: RunData) -> Iterator[Markup]:
    known = {"name": "data set", "origin": "read from", "sha256": "SHA-256", "substitute_for": "in place of"}
    rows = [[title, run.dataset[key]] for key, title in known.items() if run.dataset.get(key)]
    if rows:
        yield table([], rows, class_="wide")
    schema = read_part(run.run.path / "schema.json").get("columns")
    if isinstance(schema, list) and schema:
        names = ["name", "kind", "role"]
        lines = [[column.get(name, "") for name in names] for column in schema if isinstance(column, Mapping)]
        yield details(f"Schema of {len(lines):,} columns", table(names, lines[:300]))


def _exported(run: RunData) -> Iterator[Markup]:
    exported = read_part(run.run.path / "export" / "export.json").get("files")
    if not isinstance(exported, Mapping) or not exported:
        return
    rows = []
    refused = []
    for name, one in exported.items():
        gap = one.get("largest_difference")
        if one.get("file"):
            shown = NOTHING if gap is None else f"{gap:.1e}" if gap else "0"
            rows.append([name, one["file"], size(one.get("size")), shown])
        else:
            refused.append(element("p", f"{name}: {one.get('refused', 'refused')}", class_="quiet"))
    if rows:
        yield table(["format", "file", "size", "largest difference"], rows)
    yield from refused


def _commands(run: RunData) -> Iterator[Markup]:
    for title, text in _commands_of(run).items():
        yield element("h3", title)
        yield element("div", element("pre", text, class_="command"), class_="copied")
    argv = run.manifest.get("argv")
    if argv is not None:
        started = element("code", shlex.join(["trainkit", *map(str, argv)]))
        yield element("p", "It was started with: ", started, class_="quiet")


def _commands_of(run: RunData) -> dict[str, str]:
    """What can be done with a run; one from Python has no settings that the command could read."""
    if not (run.run.path / CONFIG).is_file():
        return {}
    path = files.shown(run.run.path)
    with_run = partial(command, resume=path)
    commands = {}
    if run.state in ("failed", "preempted"):
        commands["Resume it"] = with_run()
    commands["Repeat it"] = command("--config-dir", path, "--config-name", "config")
    if run.epochs:
        commands["Evaluate it"] = with_run("mode=evaluate")
        commands["Export it"] = with_run("mode=export", "export.format=all")
        commands["Train on"] = with_run(f"trainer.epochs={2 * run.epochs}")
    return commands


def _texts(run: RunData) -> Iterator[Markup]:
    for title, path in (
        ("Layers", run.run.model_summary),
        ("Settings", run.run.path / CONFIG),
        ("Error", run.run.error),
    ):
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            shown = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n… the rest is in {path.name}"
            yield details(title, element("pre", shown, class_=title.lower()))


def _environment(run: RunData) -> Iterator[Markup]:
    manifest = run.manifest
    git = manifest.get("git") or {}
    commit = (
        f"{git['commit']}{', with changes that are not committed' if git.get('dirty') else ''}"
        if git
        else None
    )
    rows: list[list[Any]] = [
        ["created", moment(str(manifest.get("created", "")))],
        ["devices", manifest.get("devices")],
        ["platform", manifest.get("platform")],
        ["commit", commit],
        ["seed", manifest.get("seed")],
        *([name, version] for name, version in (manifest.get("versions") or {}).items()),
    ]
    given = [[name, str(value)] for name, value in rows if value not in (None, "")]
    if given:
        yield table([], given, class_="wide")
