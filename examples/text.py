"""Texts in a folder per class: which library does a docstring come from, NumPy or scikit-learn?

By the command it is `python -m trainkit task=text_classification data.path=<folder>`.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import trainkit as tk

MODULES = {
    "numpy": ["numpy", "numpy.linalg", "numpy.random", "numpy.fft", "numpy.polynomial"],
    "sklearn": ["sklearn.metrics", "sklearn.linear_model", "sklearn.preprocessing", "sklearn.cluster"],
}


def write_docstrings(folder: Path) -> None:
    """One file per docstring, in the folder of its library: `folder/numpy/linalg.norm.txt`."""
    for library, modules in MODULES.items():
        (folder / library).mkdir(parents=True, exist_ok=True)
        for module in map(importlib.import_module, modules):
            for name in module.__all__:
                text = inspect.getdoc(getattr(module, name)) or ""
                body = text.partition("\nExamples\n")[0]  # which would name the library
                if len(body) > 100:
                    (folder / library / f"{module.__name__}.{name}.txt").write_text(body)


def main(folder: str = "runs/examples/text", epochs: int = 15) -> dict[str, float]:
    texts = Path(folder, "docstrings")
    write_docstrings(texts)
    task = tk.tasks.TextClassification(settings={"path": str(texts)})
    trainer = tk.Trainer(epochs=epochs, batch_size=32, progress="auto")
    trainer.fit(task)
    results = trainer.evaluate()
    print(f"Test accuracy: {results['accuracy']:.4f}")
    return results


if __name__ == "__main__":
    main()
