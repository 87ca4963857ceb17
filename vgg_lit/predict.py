"""Names what is on images, with a trained run or an exported model.

python -m vgg_lit.predict run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a images=shoe.png
python -m vgg_lit.predict model=exported/model.onnx images=shoe.png
"""

import csv
import glob
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vgg_lit.command import run_verb
from vgg_lit.config import check, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import write_text
from vgg_lit.runs import Run
from vgg_lit.schema import Predict
from vgg_lit.tables import print_facts, print_predictions
from vgg_lit.targets import trust

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg")


def predict(config: DictConfig) -> None:
    """Prints the likeliest classes of each image and writes them all to a CSV file.

    Images that cannot be read are named after the others are done and written.

    Raises:
        InputError: no such run or model, no image, or one that cannot be read.
    """
    settings = check(to_plain(config), Predict)
    trust(settings.trusted_targets)
    if (settings.run is None) == (settings.exported is None):
        raise InputError(
            "run: is needed; set run=<run directory> or model=<exported model>, one of them"
        )
    if settings.run is not None:
        run = Run(settings.run)
        file, folder = run.checkpoint(settings.checkpoint), run.path
        load: Callable[[Path], Predictor] = partial(load_trained, accelerator=settings.accelerator)
    else:
        file = find_exported(settings)
        load, folder = load_exported, file.parent
    paths = find_images(settings.images)
    predictor = load(file)
    rows: list[list[tuple[str, float]]] = []
    read: list[str] = []
    unreadable: list[InputError] = []
    for good, images, bad in _batches(paths, predictor, settings.batch_size):
        unreadable += bad
        if good:
            read += good
            rows += likeliest(predictor.probabilities(images), predictor.classes, settings.top_k)
    if read:
        print_predictions(read, rows)
        output = Path(settings.output or folder / "predictions.csv")
        write_text(output, _to_csv(read, rows))
        print_facts({"written": f"{output} ({len(read)} images)"})
    if unreadable:
        others = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise InputError(
            f"{unreadable[0]}{others}; {len(read)} of {len(paths)} images were classified"
        )


@dataclass(frozen=True)
class Predictor:
    """A network as prediction needs it.

    Attributes:
        probabilities: of uint8 images (B, C, S, S), as (B, K).
        classes: names by label.
        in_channels: of the images it takes.
        source_size: side of the images it takes, pixels.
    """

    probabilities: "Callable[[Tensor], Tensor]"
    classes: Sequence[str]
    in_channels: int
    source_size: int


def load_trained(checkpoint: Path, accelerator: str) -> Predictor:
    """The network of a checkpoint, on its device.

    Raises:
        InputError: the checkpoint is damaged, or there is no such device.
    """
    import torch

    from vgg_lit.classifier import Classifier
    from vgg_lit.data.preprocessing import Preprocessing
    from vgg_lit.hardware import count_devices

    kind, _ = count_devices(accelerator)
    classifier = Classifier.load_from_checkpoint(checkpoint)
    classifier.to({"gpu": "cuda"}.get(kind, kind))
    prepare = Preprocessing.from_dict(classifier.preprocessing)

    def probabilities(images_BCHW: "Tensor") -> "Tensor":
        with torch.inference_mode():
            return classifier(prepare(images_BCHW).to(classifier.device)).float().softmax(dim=1)

    return Predictor(probabilities, classifier.classes, prepare.in_channels, prepare.source_size)


def find_exported(settings: Predict) -> Path:
    """The program that `model` names.

    Raises:
        InputError: there is none, or settings are given that go with a run only.
    """
    from vgg_lit.exporting.model import find_program

    if settings.checkpoint != "best":
        raise InputError(f"checkpoint={settings.checkpoint}: goes with run=<run>, not with model")
    if settings.accelerator not in ("auto", "cpu"):
        raise InputError(f"accelerator={settings.accelerator}: an exported model runs on the CPU")
    return find_program(Path(str(settings.exported)).expanduser())


def load_exported(program: Path) -> Predictor:
    """The network of an ONNX file that `vgg_lit.export` wrote.

    Raises:
        InputError: it is none of those, or ONNX Runtime is not installed.
    """
    from vgg_lit.exporting.model import ExportedModel

    model = ExportedModel(program)
    what = model.description
    return Predictor(model.probabilities, what.classes, what.in_channels, what.source_size)


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
    paths: Sequence[str], predictor: Predictor, size: int
) -> "Iterator[tuple[list[str], Tensor, list[InputError]]]":
    """Paths that could be read, their images (B, C, S, S) as the predictor takes them, and the errors."""
    import torch
    from rich.progress import track

    from vgg_lit.data.images import read_image

    starts = range(0, len(paths), size)
    for start in track(starts, "classifying", transient=True, disable=len(starts) == 1):
        good, images, bad = [], [], []
        for path in paths[start : start + size]:
            try:
                images.append(read_image(path, predictor.in_channels, predictor.source_size))
                good.append(path)
            except InputError as error:
                bad.append(error)
        yield good, torch.stack(images) if images else torch.empty(0), bad


def likeliest(
    probabilities_BK: "Tensor", classes: Sequence[str], top_k: int
) -> list[list[tuple[str, float]]]:
    """The `top_k` likeliest (class, probability) of each image, or all classes, likeliest first."""
    top = probabilities_BK.topk(min(top_k, len(classes)))
    return [
        [(classes[k], p) for k, p in zip(labels, values, strict=True)]
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
    # `model` is the name of a group of configs too, among which Hydra would look for the file
    sys.argv[1:] = [re.sub(r"^model=", "exported=", argument) for argument in sys.argv[1:]]
    run_verb(predict, "predict")


if __name__ == "__main__":
    main()
