"""Class probabilities of image files.

predictor = load_trained(run.checkpoint(), "auto")
paths, rows, unreadable = classify(find_images("photos"), predictor, batch_size=64, top_k=3)
"""

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vgg_lit.errors import InputError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg")

Likeliest = list[tuple[str, float]]
"""Classes of an image with their probabilities, the likeliest first."""


@dataclass(frozen=True)
class Predictor:
    """A network for prediction.

    Attributes:
        probabilities: maps uint8 images (B, C, S, S) to class probabilities (B, K).
        classes: class names in label order.
        in_channels: channels of the images.
        source_size: side of the images, pixels.
    """

    probabilities: "Callable[[Tensor], Tensor]"
    classes: Sequence[str]
    in_channels: int
    source_size: int


def load_trained(checkpoint: Path, accelerator: str) -> Predictor:
    """Loads the network of a checkpoint onto its device.

    Raises:
        InputError: the checkpoint is damaged, or there is no such device.
    """
    import torch

    from vgg_lit.classifier import Classifier
    from vgg_lit.data.preprocessing import Preprocessing
    from vgg_lit.system.hardware import device_type

    device = device_type(accelerator)
    classifier = Classifier.load_from_checkpoint(checkpoint)
    classifier.to(device)
    prepare = Preprocessing.from_dict(classifier.preprocessing)

    def probabilities(images_BCHW: "Tensor") -> "Tensor":
        with torch.inference_mode():
            return classifier(prepare(images_BCHW).to(classifier.device)).float().softmax(dim=1)

    return Predictor(probabilities, classifier.classes, prepare.in_channels, prepare.source_size)


def find_images(pattern: str) -> list[str]:
    """Returns the sorted image files of a path, a glob, or a folder with its subfolders.

    Raises:
        InputError: there is no such image.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = [str(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES]
        if not found:
            raise InputError(
                f"images={pattern}: the folder holds no image; allowed: {', '.join(SUFFIXES)}"
            )
        return found
    found = sorted(p for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    if not found:
        raise InputError(f"images={pattern}: no such file or folder, and no match as a glob")
    return found


def classify(
    paths: Sequence[str], predictor: Predictor, batch_size: int, top_k: int
) -> tuple[list[str], list[Likeliest], list[InputError]]:
    """Classifies image files; shows progress.

    Args:
        paths: image files.
        predictor: the network.
        batch_size: images per batch.
        top_k: classes per image.

    Returns:
        The files that could be read, the likeliest classes of each, and the errors of the others.

    Raises:
        TrainingError: the output of the network is not finite.
    """
    read: list[str] = []
    rows: list[Likeliest] = []
    unreadable: list[InputError] = []
    for good, images, bad in _batches(paths, predictor, batch_size):
        unreadable += bad
        if good:
            read += good
            probabilities_BK = predictor.probabilities(images)
            if not probabilities_BK.isfinite().all():
                raise TrainingError(
                    "the network's output is not finite: its weights are not, or overflow; "
                    "use another checkpoint"
                )
            rows += likeliest(probabilities_BK, predictor.classes, top_k)
    return read, rows, unreadable


def _batches(
    paths: Sequence[str], predictor: Predictor, size: int
) -> "Iterator[tuple[list[str], Tensor, list[InputError]]]":
    """Yields readable files, their images (B, C, S, S) and the errors of the other files."""
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
    """Returns the `top_k` likeliest (class, probability) of each image, likeliest first."""
    top = probabilities_BK.topk(min(top_k, len(classes)))
    return [
        [(classes[k], p) for k, p in zip(labels, values, strict=True)]
        for labels, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
