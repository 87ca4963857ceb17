"""The runtimes of an export, measured against PyTorch."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from vgg_lit.classifier import Classifier
from vgg_lit.config.schema import Export as ExportSettings
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.errors import TrainingError
from vgg_lit.exporting.folder import NEEDED_PACKAGES
from vgg_lit.exporting.model import ONNX, ONNX_INT8, Description, ExportedModel
from vgg_lit.exporting.parity import ParityReport, Runtime, accuracies, compare_runtimes
from vgg_lit.exporting.programs import PixelClassifier
from vgg_lit.system.environment import describe_environment


def build_runtimes(
    classifier: Classifier,
    folded: PixelClassifier | None,
    files: Mapping[str, Path],
    settings: ExportSettings,
) -> dict[str, Runtime]:
    """Returns the network as used by `evaluate`, followed by each exported program."""
    prepare = Preprocessing.from_dict(classifier.preprocessing)

    def pytorch(images_BCHW: Tensor) -> Tensor:
        logits_BK = classifier(prepare(images_BCHW))
        return logits_BK.softmax(dim=1) if settings.softmax else logits_BK

    runtimes: dict[str, Runtime] = {"PyTorch": pytorch}
    if folded is not None:
        runtimes["PyTorch, folded"] = folded
    if "model.pt2" in files:
        with files["model.pt2"].open("rb") as file:
            runtimes["model.pt2"] = torch.export.load(file).module()
    return runtimes | {
        name: ExportedModel(files[name], is_isolated=False)
        for name in (ONNX, ONNX_INT8)
        if name in files
    }


def measure_runtimes(
    runtimes: Mapping[str, Runtime],
    files: Mapping[str, Path],
    description: Description,
    settings: ExportSettings,
    datamodule: ImageDataModule | None,
) -> ParityReport:
    """Compares outputs, accuracy and time of runtimes with the first one.

    Raises:
        TrainingError: the outputs of a float32 runtime differ.
    """
    side, draws = description.source_size, torch.Generator().manual_seed(0)
    comparisons = {}
    for count in dict.fromkeys(settings.batch_sizes):
        shape = (count, description.in_channels, side, side)
        noise_BCHW = torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8)
        comparisons[count] = compare_runtimes(runtimes, noise_BCHW)
    environment = describe_environment()
    report = ParityReport(
        comparisons,
        accuracies=accuracies(runtimes, datamodule.test_dataloader()) if datamodule else {},
        test_images=datamodule.sizes["test"] if datamodule else 0,
        megabytes={name: files[name].stat().st_size / 1e6 for name in runtimes if name in files},
        threads=torch.get_num_threads(),
        processor=environment["processor"],
        packages={
            package: version(package)
            for package in (
                "torch",
                *(p for form in settings.formats for p in NEEDED_PACKAGES[form]),
            )
        },
    )
    if wrong := [name for name in report.unequal() if name != ONNX_INT8]:
        worst = max(found[name].difference for found in comparisons.values() for name in wrong)
        raise TrainingError(
            f"{', '.join(wrong)}: differs from PyTorch (outputs by {worst:.3g}); "
            "nothing was written"
        )
    return report
