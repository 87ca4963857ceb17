"""The places of the data of several runs: one place stands for all places of the same images.

one_place(runs, {"a": "/data/pets", "b": "/mnt/pets"})      # {"a": "/data/pets", "b": "/data/pets"}
"""

from collections.abc import Hashable, Mapping
from typing import Any

from vgg_lit.errors import InputError
from vgg_lit.runs import Run

PLACES = ("data.root", "data.source.root")
"""Settings that are places of data; runs on copies of one data set have other values."""


def one_place(runs: Mapping[str, Run], places: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the places by run, in which runs with the same recorded images have the first one's place."""
    firsts: dict[Hashable, Any] = {}
    return {
        name: firsts.setdefault(_images(runs[name], place), place) for name, place in places.items()
    }


def _images(run: Run, place: Any) -> Hashable:
    """Returns what tells the images of runs apart; the place itself if they are not recorded."""
    from vgg_lit.data.data_record import read_data_record  # imports torch

    try:
        record = read_data_record(run.data_file)
    except InputError:
        record = None
    if record is None or not (record.images or record.sets):
        return place
    files = frozenset((image.path, image.label, image.digest) for image in record.images)
    return record.classes, files, frozenset(record.sets.items())
