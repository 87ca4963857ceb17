"""Compares the data of a config with a record, before a run or a study continues with them."""

from collections.abc import Mapping
from typing import Any

from vgg_lit.data.data_changes import find_changes
from vgg_lit.data.data_record import DataRecord
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.recording import FileSource, changed_sets
from vgg_lit.data.sources import build_datamodule, build_source


def difference_from(record: DataRecord, data: Mapping[str, Any]) -> str:
    """Returns the difference between recorded data and those of a `data` group; "" if there is none.

    A data set that is verified when it is downloaded or read is the same in every place.

    Raises:
        InputError: the data cannot be read.
    """
    source = build_source(data["source"])
    if isinstance(source, FileSource):
        if not record.images:
            return f"{record.name} has no image files"
        return str(find_changes(record, source.present_images(), source.classes))
    if record.images:
        return f"{source.name} has no image files"
    if hasattr(source, "download"):
        return ""
    datamodule = build_datamodule(data, source=source, augment=None)
    datamodule.prepare_data()
    datamodule.setup()
    is_known = isinstance(datamodule, ImageDataModule)
    return str(changed_sets(datamodule, record)) if is_known else ""
