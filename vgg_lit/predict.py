"""Names what is on images, with a trained run.

python -m vgg_lit.predict run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a images=shoe.png
"""

import csv
import glob
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.config import check, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import write_text
from vgg_lit.runs import Run
from vgg_lit.schema import Predict
from vgg_lit.tables import print_facts, print_predictions
from vgg_lit.targets import trust

SUFFIXES = (".png", ".jpg", ".jpeg")


def predict(config: DictConfig) -> None:
    """Prints the likeliest classes of each image and writes them all to a CSV file.

    Images that cannot be read are named after the others are done and written.

    Raises:
        InputError: no such run, no image, or one that cannot be read.
    """
    settings = check(to_plain(config), Predict)
    trust(settings.trusted_targets)
    run = Run(settings.run)
    checkpoint = run.checkpoint(settings.checkpoint)
    paths = find_images(settings.images)

    from vgg_lit.classifier import Classifier
    from vgg_lit.hardware import count_devices

    kind, _ = count_devices(settings.accelerator)

    classifier = Classifier.load_from_checkpoint(checkpoint)
    classifier.to({"gpu": "cuda"}.get(kind, kind))
    top_k = min(settings.top_k, len(classifier.classes))
    rows: list[list[tuple[str, float]]] = []
    read: list[str] = []
    unreadable: list[InputError] = []
    for good, images, bad in _batches(paths, classifier.preprocessing, settings.batch_size):
        unreadable += bad
        if good:
            read += good
            rows += classify(classifier, images, top_k)
    if read:
        print_predictions(read, rows)
        output = Path(settings.output or run.path / "predictions.csv")
        write_text(output, _to_csv(read, rows))
        print_facts({"written": f"{output} ({len(read)} images)"})
    if unreadable:
        others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise InputError(
            f"{unreadable[0]}{others}; {len(read)} of {len(paths)} images were classified"
        )


def find_images(pattern: str) -> list[str]:
    """The image files that a path or a glob names, sorted; of a folder with all its subfolders.

    Raises:
        InputError: there is none.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = [str(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES]
        if not found:
            raise InputError(
                f"images={pattern}: the folder holds no image; read: {', '.join(SUFFIXES)}"
            )
        return found
    found = sorted(p for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    if not found:
        raise InputError(
            f"images={pattern}: there is no such file or folder, and no file matches it"
        )
    return found


def _batches(
    paths: Sequence[str], preprocessing: Any, size: int
) -> Iterator[tuple[list[str], Any, list[InputError]]]:
    """Paths that could be read, their images (B, C, H, W) as the net takes them, and the errors."""
    import torch
    from rich.progress import track

    from vgg_lit.data.images import read_image
    from vgg_lit.data.preprocessing import Preprocessing

    prepare = Preprocessing.from_dict(preprocessing)
    starts = range(0, len(paths), size)
    for start in track(starts, "classifying", transient=True, disable=len(starts) == 1):
        good, images, bad = [], [], []
        for path in paths[start : start + size]:
            try:
                images.append(read_image(path, prepare.in_channels, prepare.source_size))
                good.append(path)
            except InputError as error:
                bad.append(error)
        yield good, prepare(torch.stack(images)) if images else None, bad


def classify(classifier: Any, x_BCHW: Any, top_k: int) -> list[list[tuple[str, float]]]:
    """The `top_k` likeliest (class, probability) of each normalised image, likeliest first."""
    import torch

    with torch.inference_mode():
        probabilities_BK = classifier(x_BCHW.to(classifier.device)).float().softmax(dim=1)
    top = probabilities_BK.topk(top_k)
    return [
        [(classifier.classes[k], p) for k, p in zip(labels, values, strict=True)]
        for labels, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]


def _to_csv(paths: Sequence[str], rows: Sequence[Sequence[tuple[str, float]]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ranks = range(1, len(rows[0]) + 1)
    writer.writerow(["image", *(f"{what}{k}" for k in ranks for what in ("class", "probability"))])
    for path, row in zip(paths, rows, strict=True):
        writer.writerow([path, *(x for name, p in row for x in (name, f"{p:.6f}"))])
    return text.getvalue()


def main() -> None:
    """The console script `vgg-predict`."""
    run_verb(predict, "predict")


if __name__ == "__main__":
    main()
