"""An exported file predicts new rows of tables of any shape: of one column, and of texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import QUIET, compared_here, table
from trainkit.cli import main

TEXTS = ("text_classification", [f"a {('bad', 'good')[i % 2]} thing number {i},c{i % 2}" for i in range(40)])
VALUES = ("tabular_regression", [f"{i * 37 % 41}.5,{1000 + i * 37 % 41 / 3}" for i in range(40)])
NUMBERS = ("tabular_classification", [f"{i * 37 % 41}.5,c{i * 37 % 41 // 21}" for i in range(40)])


@pytest.mark.slow
@pytest.mark.parametrize(("task", "rows"), [TEXTS, NUMBERS, VALUES], ids=["texts", "numbers", "values"])
def test_new_rows_of_one_column_are_predicted_by_the_file_as_by_the_run(
    task: str, rows: list[str], empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("all.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    words = (f"task={task}", "data.path=all.csv", "data.target=y", "trainer.epochs=1", "run_dir=run", *QUIET)
    assert main.main([*words]) == 0
    predict = ["mode=predict", "resume=run", "predict.path=all.csv"]
    assert main.main(predict) == 0
    true = [row["predicted"] for row in table("predictions.csv", "run")]
    for preparation in ("true", "false"):
        export = ("mode=export", "resume=run", "export.format=keras", f"export.preparation={preparation}")
        assert main.main([*export]) == 0
        assert main.main([*predict, "predict.model=run/export/model.keras"]) == 0
        found = [row["predicted"] for row in table("predictions.csv", "run")]
        if task == "tabular_regression":
            assert [float(text) for text in found] == pytest.approx([float(text) for text in true], rel=1e-6)
            assert max(map(len, found)) <= max(map(len, true)) + 1  # as many digits, one may fall away
        else:
            assert found == true
        # Without its preparation the file is a plain Keras model: that this loads alone, tests/laws knows.
        monkeypatch.setattr("trainkit.export.comparison.run_alone", compared_here)
