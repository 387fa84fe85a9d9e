"""A table with gaps and a category: the progress of diabetes from a CSV file, and new rows without a target.

By the command it is `python -m trainkit task=tabular_regression data.path=<file> data.target=progression`.
"""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.datasets import load_diabetes

import trainkit as tk


def write_tables(folder: Path) -> None:
    """`known.csv` with the target, and `new.csv` without. Every ninth blood pressure is missing."""
    data = load_diabetes(scaled=False)
    names = list(data.feature_names)
    rows = [dict(zip(names, values, strict=True)) for values in data.data.tolist()]
    for i, (row, progression) in enumerate(zip(rows, data.target.tolist(), strict=True)):
        row["sex"] = "female" if row["sex"] == 1 else "male"
        row["bp"] = "" if i % 9 == 0 else row["bp"]
        row["progression"] = progression
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns, some in (
        ("known.csv", [*names, "progression"], rows[:-20]),
        ("new.csv", names, rows[-20:]),
    ):
        with open(folder / name, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(some)


def main(folder: str = "runs/examples/table", epochs: int = 100) -> dict[str, float]:
    place = Path(folder)
    write_tables(place)
    task = tk.tasks.TabularRegression(settings={"path": str(place / "known.csv"), "target": "progression"})
    print(task.description())  # what each column is taken for
    trainer = tk.Trainer(epochs=epochs, batch_size=32, progress="auto")
    trainer.fit(task)
    results = trainer.evaluate()
    print(f"Test: mean absolute error {results['mae']:.1f}, R2 {results['r2']:.3f}")
    new = task.new_rows(str(place / "new.csv"))
    print("New rows:", ", ".join(task.decode(trainer.predict(new.arrays.x))[:5]), "...")
    return results


if __name__ == "__main__":
    main()
