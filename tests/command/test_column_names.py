"""The advice on a column whose name has a blank, an umlaut, a dot or a bracket works as it is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import QUIET, read, table
from trainkit.cli import main


@pytest.mark.slow
def test_advice_on_columns_of_any_name_holds_for_the_run_its_resumption_and_new_rows(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i % 7},{('NA', 'Rome', 'Oslo')[i % 3]},{i % 5},{i % 9}" for i in range(40)]
    Path("flats.csv").write_text("\n".join(["size.m2,floor area,größe,price (EUR)", *rows]) + "\n")
    words = ["task=tabular_regression", "data.path=flats.csv", 'data.target="price (EUR)"', *QUIET]
    assert main.main([*words, "trainer.epochs=1", "run_dir=first"]) == 0
    (note,) = [note for column in read("schema.json", "first")["columns"] for note in column["notes"]]
    advised = re.search(r"; (.*) makes it a gap", note)
    assert advised is not None

    words += [*shlex.split(advised[1]), "data.columns.größe=ignore", "data.columns.size.m2.kind=category"]
    assert main.main([*words, "trainer.epochs=1", "run_dir=run"]) == 0
    assert main.main(["resume=run", "trainer.epochs=2", *words[4:]]) == 0
    capsys.readouterr()
    assert main.main(["mode=predict", "resume=run", "predict.path=flats.csv"]) == 0
    (told,) = re.findall("Note: .*", capsys.readouterr().out)
    assert "has the target" in told
    assert len(table("predictions.csv", "run")) == 40
    kinds = {c["name"]: (c["kind"], c["role"], c["gaps"]) for c in read("schema.json", "run")["columns"]}
    assert kinds["floor area"] == ("category", "feature", 14)
    assert (kinds["größe"][1], kinds["size.m2"][0]) == ("ignored", "category")
