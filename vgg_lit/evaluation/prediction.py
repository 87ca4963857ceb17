"""Class probabilities of image files.

predictor = load_trained(trained, "auto", precision=None)
predictions, unreadable = classify(find_images("photos").paths, predictor, batch_size=64, top_k=3)
"""

import glob
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vgg_lit.data.folder_listing import describe_counts, list_folder
from vgg_lit.data.image_formats import ENDINGS
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.system.files import expanded, shown_path
from vgg_lit.tables import print_facts

if TYPE_CHECKING:
    from torch import Tensor

    from vgg_lit.data.image_ranges import ImageRanges
    from vgg_lit.evaluation.trained import Trained
    from vgg_lit.value_types import Fit

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
        fit: way to a square, see `vgg_lit.data.fitting.fit_image`.
        ranges: pixel statistics of the training images; None: not known.
    """

    probabilities: "Callable[[Tensor], Tensor]"
    classes: Sequence[str]
    in_channels: int
    source_size: int
    fit: "Fit"
    ranges: "ImageRanges | None" = None


@dataclass(frozen=True)
class Prediction:
    """The prediction for an image file.

    Attributes:
        path: the file.
        likeliest: the likeliest classes with their probabilities.
        differences: pixel statistics outside those of the training images, in words.
        is_like_inverted: True if the image has differences and the inverted image has none.
    """

    path: str
    likeliest: Likeliest
    differences: Sequence[str] = ()
    is_like_inverted: bool = False


def load_trained(trained: "Trained", accelerator: str, precision: str | None) -> Predictor:
    """Loads the network of a checkpoint onto its device; it computes as in an evaluation.

    Prints the checkpoint and the precision.

    Args:
        trained: checkpoint of a run.
        accelerator: device type in Lightning's terms.
        precision: precision in Lightning's terms; None is as in the run.

    Raises:
        InputError: the checkpoint is damaged, or there is no such device.
    """
    import torch

    from vgg_lit.classifier import Classifier
    from vgg_lit.evaluation.scoring import Member
    from vgg_lit.evaluation.views import Views
    from vgg_lit.system.hardware import count_devices, resolve_precision
    from vgg_lit.system.lightning_internals import quieten_lightning

    quieten_lightning()
    count_devices(accelerator)
    asked = precision or trained.run.config["trainer"]["precision"]
    used, reason = resolve_precision(asked, accelerator)
    print_facts({"checkpoint": str(trained.checkpoint), "precision": f"{used} ({reason})"})
    prepare, ranges = trained.preprocessing, trained.image_ranges
    prepare.check_known(f"run={trained.run.path}")
    classifier = Classifier.load_from_checkpoint(trained.checkpoint)
    member = Member(classifier, prepare.source_size, accelerator, used)

    def probabilities(images_BCHW: "Tensor") -> "Tensor":
        with torch.inference_mode():
            return member.log_posterior(images_BCHW.to(member.device), Views()).exp().cpu()

    return Predictor(
        probabilities,
        classifier.classes,
        prepare.in_channels,
        prepare.source_size,
        prepare.fit,
        ranges,
    )


class FoundImages(NamedTuple):
    """Files to classify.

    Attributes:
        paths: the image files.
        passed_over: number of the other entries of folders by ending or kind, as in training.
    """

    paths: list[str]
    passed_over: Counter[str]


def find_images(images: str | Sequence[str]) -> FoundImages:
    """Finds the image files of paths, globs, or folders with their subfolders; prints what is passed over.

    Each file is found once. The files of a folder or glob are sorted. Hidden files and folders are passed over, except if a path
    or glob names them; so are folders that match a glob.

    Raises:
        InputError: there is no such image.
    """
    patterns = [images] if isinstance(images, str) else images
    found = [_find(pattern) for pattern in dict.fromkeys(patterns)]
    paths = list(dict.fromkeys(path for one in found for path in one.paths))
    passed_over = sum((one.passed_over for one in found), Counter())
    if passed_over:
        print_facts({"passed over": ", ".join(describe_counts(passed_over))})
    return FoundImages(paths, passed_over)


def _find(pattern: str) -> FoundImages:
    path = expanded(pattern)
    if path.is_file():
        return FoundImages([str(path)], Counter())
    if path.is_dir():
        listing = list_folder(path)
        found = [str(p) for p in sorted(path / name for name in listing.image_paths())]
        passed_over = listing.count_passed_over()
        if not found:
            others = ", ".join(describe_counts(passed_over))
            raise InputError(
                f"images={shown_path(pattern)}: the folder holds no image"
                f"{f' ({others} passed over)' if others else ''}; allowed: {', '.join(ENDINGS)}"
            )
        return FoundImages(found, passed_over)
    matches = sorted(glob.glob(str(path), recursive=True))
    files = [match for match in matches if Path(match).is_file()]
    if not files:
        raise InputError(
            f"images={shown_path(pattern)}: no such file or folder, and no match as a glob"
        )
    folders = Counter({"folders": len(matches) - len(files)})
    # with ** the folders are only on the way to the files
    return FoundImages(files, +folders if "**" not in pattern else Counter())


def classify(
    paths: Sequence[str],
    predictor: Predictor,
    batch_size: int,
    top_k: int,
    invert: bool = False,
) -> tuple[list[Prediction], list[InputError]]:
    """Classifies image files; shows progress.

    Args:
        paths: image files.
        predictor: the network.
        batch_size: images per batch.
        top_k: classes per image.
        invert: True inverts the pixels: black becomes white.

    Returns:
        The predictions for the files that could be read, and the errors of the others.

    Raises:
        TrainingError: the output of the network is not finite.
    """
    predictions: list[Prediction] = []
    unreadable: list[InputError] = []
    for good, images_BCHW, bad in _batches(paths, predictor, batch_size):
        unreadable += bad
        if not good:
            continue
        predictions += classify_tensor(images_BCHW, good, predictor, top_k, invert)
    return predictions, unreadable


def classify_tensor(
    images_BCHW: "Tensor",
    names: Sequence[str],
    predictor: Predictor,
    top_k: int,
    invert: bool = False,
) -> list[Prediction]:
    """Classifies uint8 images (B, C, S, S) of the predictor's channels and size.

    Args:
        images_BCHW: the images.
        names: a name or path for each image.
        predictor: the network.
        top_k: classes per image.
        invert: True inverts the pixels: black becomes white.

    Raises:
        TrainingError: the output of the network is not finite.
    """
    if invert:
        images_BCHW = 255 - images_BCHW
    probabilities_BK = predictor.probabilities(images_BCHW)
    if not probabilities_BK.isfinite().all():
        raise TrainingError(
            "the network's output is not finite: its weights are not, or overflow; "
            "use another checkpoint"
        )
    rows = likeliest(probabilities_BK, predictor.classes, top_k)
    remarks = _differences(images_BCHW, predictor.ranges)
    return [
        Prediction(name, row, *remark)
        for name, row, remark in zip(names, rows, remarks, strict=True)
    ]


def _differences(
    images_BCHW: "Tensor", ranges: "ImageRanges | None"
) -> list[tuple[Sequence[str], bool]]:
    """Returns the differences from training images, and True if the inverted image has none."""
    if ranges is None:
        return [((), False)] * len(images_BCHW)
    found = ranges.differences(images_BCHW)
    inverted = ranges.differences(255 - images_BCHW)
    return [(one, bool(one and not other)) for one, other in zip(found, inverted, strict=True)]


def _batches(
    paths: Sequence[str], predictor: Predictor, size: int
) -> "Iterator[tuple[list[str], Tensor, list[InputError]]]":
    """Yields readable files, their images (B, C, S, S) and the errors of the other files."""
    from functools import partial

    import torch
    from rich.progress import track

    from vgg_lit.data.images import read_image

    read = partial(
        read_image, in_channels=predictor.in_channels, size=predictor.source_size, fit=predictor.fit
    )
    starts = range(0, len(paths), size)
    for start in track(starts, "classifying", transient=True, disable=len(starts) == 1):
        good, images, bad = [], [], []
        for path in paths[start : start + size]:
            try:
                images.append(read(path))
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
