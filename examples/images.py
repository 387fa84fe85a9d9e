"""Images in a folder per class: scikit-learn's digits are written as files, trained, judged and predicted.

By the command it is `python -m trainkit task=image_classification data.path=<folder> data.augment=standard`.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from sklearn.datasets import load_digits

import trainkit as tk


def write_digits(folder: Path, rows: int) -> None:
    """One PNG per image, in the folder of its class: `folder/7/12.png`."""
    digits = load_digits()
    for i, (image, label) in enumerate(zip(digits.images[:rows], digits.target, strict=False)):
        path = folder / str(label) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png((image[:, :, None] * 15).astype("uint8")).numpy())


def main(folder: str = "runs/examples/images", rows: int = 1797, epochs: int = 15) -> dict[str, float]:
    images = Path(folder, "digits")
    write_digits(images, rows)
    task = tk.tasks.ImageClassification(settings={"path": str(images), "augment": "light"}, filters=(32, 64))
    trainer = tk.Trainer(epochs=epochs, batch_size=64, progress="auto")
    trainer.fit(task)
    results = trainer.evaluate()
    print(f"Test accuracy: {results['accuracy']:.4f}")
    new = task.new_rows(str(images / "7"))
    answers = task.decode(trainer.predict(new.arrays.x))
    print(f"Of the images in {images / '7'}, {answers.count('7')} of {len(answers)} are read as 7.")
    return results


if __name__ == "__main__":
    main()
