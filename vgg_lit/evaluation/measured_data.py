"""The images that networks are measured on: none that one of them was trained on.

datamodule = load_run_data(run, run.config["data"], "test").datamodule   # the recorded splits
measured = load_measured([trained], spec, "all", is_own=False)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from vgg_lit.data.custom_groups import is_custom
from vgg_lit.data.data_changes import Changes
from vgg_lit.data.data_record import read_data_record
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.recording import FileSource, adopt, changed_sets, hold_out
from vgg_lit.data.sources import build_datamodule, build_source
from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import Trained
from vgg_lit.system.files import shown_path

if TYPE_CHECKING:
    from vgg_lit.runs import Run

STAGES = {"test": "test", "val": "validate", "all": "test"}
"""The stage of a data module that sets up the images of a split."""


@dataclass(frozen=True)
class MeasuredData:
    """The images of an evaluation.

    Attributes:
        datamodule: data module with the images.
        split: split of the data module that has them, "test" or "val".
        asked: "test", "val" or "all".
        facts: lines for the header.
    """

    datamodule: ImageDataModule
    split: str
    asked: str
    facts: Mapping[str, str]


class LoadedData(NamedTuple):
    """The data of a run, the changes since its training, and the number of images that are left out."""

    datamodule: ImageDataModule
    changes: Changes
    left_out: int = 0


def load_run_data(
    run: "Run",
    data: Mapping[str, Any],
    stage: str | None = None,
    others: frozenset[str] = frozenset(),
) -> LoadedData:
    """Loads the data of a run with the splits that the run recorded.

    Args:
        run: the run.
        data: arguments of the data module: those of the run, or with another place.
        stage: stage of the data module; None: all splits.
        others: digests of images that other networks were trained on, which are left out.

    Raises:
        InputError: the data cannot be read, a data set without files has other training images, or no image
            is left to measure.
    """
    datamodule: ImageDataModule = build_datamodule(data)
    datamodule.prepare_data()
    record = read_data_record(run.data_file)
    if record is None or not isinstance(datamodule, ImageDataModule):
        datamodule.setup(stage)
        return LoadedData(datamodule, Changes())
    changes = adopt(datamodule, record)
    measured = "val" if stage == "validate" else "test"
    left_out = hold_out(datamodule, others, measured) if others and record.images else 0
    datamodule.setup(stage)
    sets = changed_sets(datamodule, record)
    if sets and stage != "test":
        raise InputError(f"run={run.path}: was trained on another data set: {sets}")
    return LoadedData(datamodule, changes if changes else sets, left_out)


def load_measured(
    trained: Sequence[Trained], data: Mapping[str, Any], split: str, is_own: bool
) -> MeasuredData:
    """Loads the images that networks are to be measured on.

    Args:
        trained: the networks.
        data: arguments of the data module.
        split: "test", "val" or, for another folder of images, "all".
        is_own: True if the data are those of the first network's run.

    Raises:
        InputError: the data cannot be used, or there is no image to measure.
    """
    runs, stage = [one.run for one in trained], STAGES[split]
    changes, left_out = Changes(), 0
    if is_own:
        others = _trained_by_any(runs[1:])
        datamodule, changes, left_out = load_run_data(runs[0], data, stage, others)
    else:
        datamodule = build_datamodule(data)
        datamodule.prepare_data()
        if isinstance(getattr(datamodule, "source", None), FileSource):
            left_out = hold_out(datamodule, _trained_by_any(runs), split)
        datamodule.setup(stage)
    measured = "val" if split == "val" else "test"
    count = datamodule.sizes[measured]
    if not count:
        allowed = [name for name in ("val", "test") if datamodule.sizes.get(name)]
        hint = f"; allowed: {allowed[0]}" if allowed else ""
        raise InputError(f"split={split}: {datamodule.source.name} has no images of it{hint}")
    where = f" of {shown_path(root)}" if (root := getattr(datamodule.source, "root", None)) else ""
    facts = {"data": f"{datamodule.source.name}, {split}: {count:,} images{where}"}
    if left_out:
        facts["left out"] = f"{left_out:,} images that were trained on"
    if changes:
        facts["changed"] = f"since the training: {changes}"
    return MeasuredData(datamodule, measured, split, facts)


def _trained_by_any(runs: "Sequence[Run]") -> frozenset[str]:
    return frozenset[str]().union(*map(trained_digests, runs))


def trained_digests(run: "Run") -> frozenset[str]:
    """Returns the digests of the image files that a run was trained on.

    A run of an earlier version has no record; its splits are drawn again if its folder is still there. The
    images of a data module of the user are not known.
    """
    if record := read_data_record(run.data_file):
        return record.trained
    data = run.config["data"]
    if is_custom(data):
        return frozenset()
    try:
        source = build_source(data["source"])
    except InputError:
        return frozenset()
    if not isinstance(source, FileSource):
        return frozenset()
    datamodule = build_datamodule(data, source=source, augment=None)
    datamodule.prepare_data()
    datamodule.setup("fit")
    images, ids = datamodule.stored("train")
    present = source.present_images()
    return frozenset(present[images.paths[i]].digest for i in ids.tolist())
