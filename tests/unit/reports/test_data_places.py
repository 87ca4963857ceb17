"""Runs on copies of one data set have one place; other images have another."""

import pytest

from vgg_lit.data.data_record import DataRecord, RecordedImage, SetDigest, write_data_record
from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.data_places import one_place
from vgg_lit.reports.groups import RunGroups


def files(digest, split="train"):
    return {"images": (RecordedImage("a.png", 0, 1, digest, split),)}


RECORDS = {
    "first": files("1" * 64),
    "copy": files("1" * 64, split="val"),
    "other": files("2" * 64),
    "sets": {"sets": {"train": SetDigest(10, "3" * 64)}},
    "same sets": {"sets": {"train": SetDigest(10, "3" * 64)}},
}


@pytest.fixture
def runs(write_run):
    """Runs of two seeds with the same settings on data in places of their names."""
    runs = {}
    for seed, name in enumerate([*RECORDS, "unknown", "damaged"]):
        data = {"num_classes": 10, "root": f"/data/{name}"}
        run = runs[name] = write_run(name, {"val/acc": 0.5}, seed=seed, data=data)
        if name in RECORDS:
            record = DataRecord("photos", data["root"], ("cat",), **RECORDS[name])
            write_data_record(run.data_file, record)
    runs["damaged"].data_file.write_text("{")
    return runs


def test_runs_with_the_same_images_have_the_place_of_the_first(runs):
    assert one_place(runs, {name: name for name in runs}) == {
        **{name: name for name in runs},
        "copy": "first",
        "same sets": "sets",
    }


def test_only_runs_on_the_same_images_are_a_group(runs):
    groups = RunGroups(Comparison([runs["first"], runs["copy"], runs["other"]])).groups
    assert [list(group.members.values()) for group in groups] == [["first", "copy"], ["other"]]
    assert groups[1].settings == {"data.root": "/data/other"}
    (group,) = RunGroups(Comparison([runs["first"], runs["copy"]])).groups
    assert len(group.members) == 2
