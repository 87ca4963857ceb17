"""The data of a training: loaded, split as the run recorded it, and recorded in `data.json`."""

from collections.abc import Mapping
from typing import Any

from vgg_lit.checkpoints.folder import remove_predictions
from vgg_lit.config.network_checks import check_last_batch, check_network
from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.data.custom_groups import FOUND
from vgg_lit.data.data_record import DataRecord, read_data_record, write_data_record
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.recording import accepted, adopt, changed_sets, record_of
from vgg_lit.data.sources import build_datamodule, has_validation
from vgg_lit.errors import InputError
from vgg_lit.losses import with_class_weights, with_teacher_digest
from vgg_lit.models.data_arguments import DataShape, with_data_arguments
from vgg_lit.runs import Run
from vgg_lit.tables import print_facts

ACCEPT = "accept_data_changes"

SPLIT_SETTINGS = (
    *("val_fraction", "folds", "fold", "train_size", "test_size", "seed", "splitting"),
)
"""Settings of a data module that determine the splits of a folder."""

DRAW_SETTINGS = ("val_fraction", "folds", "fold", "seed")
"""Settings that determine the validation images drawn from another data set."""


def load_datamodule(config: dict[str, Any], resumed: Run | None = None) -> ImageDataModule:
    """Prepares and loads the data; replaces methods and None in the config by what the data gives.

    These are `num_classes`, arguments of the network, `loss.class_weights` and `loss.teacher_sha256`.

    Args:
        config: checked config as plain values.
        resumed: run to resume, whose splits are kept.

    Raises:
        InputError: the data is missing or damaged, does not match the config, or has changed since the
            run was trained.
    """
    datamodule: Any = build_datamodule(config["data"])
    datamodule.prepare_data()
    record = read_data_record(resumed.data_file) if resumed else None
    if resumed and isinstance(datamodule, ImageDataModule):
        _check_splits(datamodule, record, resumed.config["data"], config["data"])
    if resumed and record and isinstance(datamodule, ImageDataModule):
        _load_recorded(datamodule, record, resumed, config)
    else:
        datamodule.setup()
    sizes = (len(datamodule.classes), datamodule.source.in_channels)
    found = dict(zip(FOUND, (*sizes, datamodule.image_size, datamodule.batch_size), strict=True))
    config["data"] |= {key: found[key] for key in FOUND if config["data"].get(key) is None}
    shape = DataShape.of(config["data"])
    if isinstance(datamodule, CustomDataModule):
        datamodule.check_state()
        _, net = check_network(config["model"], shape)
        size = datamodule.batch_size
        last = datamodule.sizes["train"] - (datamodule.batches_per_epoch - 1) * size
        check_last_batch(net, (size, last), datamodule.image_size, config["trainer"])
    config["model"] = with_data_arguments(config["model"], shape)
    labels = getattr(datamodule, "training_labels", None)
    loss = with_class_weights(config["loss"], labels, len(datamodule.classes))
    config["loss"] = with_teacher_digest(loss)
    return datamodule


def _check_splits(
    datamodule: ImageDataModule,
    record: DataRecord | None,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> None:
    """Checks that a resumed run does not validate images that it was trained on.

    A smaller `val_fraction` may validate other images of a class, because shares of classes are rounded; 0
    validates none.

    Raises:
        InputError: a setting changes the splits of a folder, or the validation images drawn from another data set.
    """
    is_drawn = datamodule.folds or (
        datamodule.val_fraction and not has_validation(datamodule.source)
    )
    settings = SPLIT_SETTINGS if record and record.images else DRAW_SETTINGS if is_drawn else ()
    for key in settings:
        old, new = before.get(key), after.get(key)
        if old != new:
            raise InputError(
                f"data.{key}={new}: a resumed run keeps its splits, which were drawn with data.{key}={old}"
            )


def _load_recorded(
    datamodule: ImageDataModule, record: DataRecord, resumed: Run, config: Mapping[str, Any]
) -> None:
    """Sets up the recorded splits; refuses changed data unless the changes are accepted."""
    accepts = bool(config.get(ACCEPT))
    changes = adopt(datamodule, record, admits=accepts)
    if accepts or not changes:
        datamodule.setup()
        changes = changes or changed_sets(datamodule, record)
    if not changes:
        return
    if not accepts:
        raise InputError(
            f"resume={resumed.path}: the data set has changed since the run was trained: {changes}; to train "
            f"on it as it is now: {ACCEPT}=true"
        )
    datamodule.accepted = accepted(record, changes)


def record_data(run: Run, datamodule: Any) -> None:
    """Writes `data.json` for a new run, for an accepted change, and for a run of an earlier version."""
    if not isinstance(datamodule, ImageDataModule):
        return
    before = read_data_record(run.data_file)
    changed = datamodule.accepted
    if changed:
        kinds = changed.accepted[-1]["changes"]
        counts = ", ".join(f"{len(names):,} {kind}" for kind, names in kinds.items())
        print_facts({"accepted": f"{counts}; {run.data_file} has the names"})
    if changed:
        remove_predictions(run.path)  # of other images
    if before is None or changed:
        record = record_of(datamodule, changed)
        write_data_record(run.data_file, record)
        if copies := record.count_copies():
            named = ", ".join(f"{count:,} {split}" for split, count in copies.items())
            print_facts({"copies": f"{named} images have the content of a training image"})
