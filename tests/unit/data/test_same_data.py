"""Data of a config that are compared with a record."""

import numpy as np
import pytest
from image_groups import folder_group, write_folder, write_image

from vgg_lit.data.data_record import DataRecord, RecordedImage
from vgg_lit.data.recording import record_of
from vgg_lit.data.same_data import difference_from
from vgg_lit.data.sources import build_datamodule
from vgg_lit.errors import InputError


def group(**source):
    """A `data` group of another source."""
    return folder_group("", source=source)


def arrays(path):
    return group(_target_="vgg_lit.data.NpzImages", root=str(path))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return write_folder(tmp_path / "root", 8)


def record(spec):
    data = build_datamodule(spec)
    data.prepare_data()
    data.setup()
    return record_of(data)


def write_arrays(path, shift=0):
    draws = np.random.default_rng(0)
    content = {}
    for split, count in (("train", 8), ("test", 4)):
        content[f"{split}_images"] = draws.integers(0, 200, (count, 8, 8), dtype=np.uint8) + shift
        content[f"{split}_labels"] = np.arange(count)[:, None] % 2
    np.savez(path, **{name: array.astype(np.uint8) for name, array in content.items()})
    return path


def test_a_folder_is_the_same_in_another_place_until_a_file_changes(root, tmp_path):
    before = record(folder_group(root))
    moved = root.rename(tmp_path / "elsewhere")
    assert difference_from(before, folder_group(moved)) == ""
    write_image(moved / "a" / "new.png", 99)
    assert difference_from(before, folder_group(moved)) == "1 added (a/new.png)"


def test_arrays_are_compared_by_their_pixels(tmp_path):
    before = record(arrays(write_arrays(tmp_path / "x.npz")))
    assert difference_from(before, arrays(write_arrays(tmp_path / "y.npz"))) == ""
    found = difference_from(before, arrays(write_arrays(tmp_path / "z.npz", 1)))
    assert found.startswith("2 splits with other images (train: 8 -> 8 images")


def test_a_record_of_the_other_kind_differs(root, tmp_path):
    files, values = record(folder_group(root)), record(arrays(write_arrays(tmp_path / "x.npz")))
    assert difference_from(values, folder_group(root)).endswith(" has no image files")
    assert difference_from(files, arrays(tmp_path / "x.npz")).endswith(" has no image files")


def test_a_published_set_is_the_same_everywhere(tmp_path):
    """It is verified when it is read, so nothing is downloaded to compare it."""
    nowhere = {"root": str(tmp_path / "nowhere"), "download": False}
    spec = group(_target_="vgg_lit.data.MNIST", **nowhere)
    assert difference_from(DataRecord("mnist", None, ("0",)), spec) == ""
    recorded = DataRecord("x", None, ("a",), images=(RecordedImage("a/1", 0, 1, "0", "train"),))
    assert difference_from(recorded, spec) == "mnist has no image files"


def test_data_that_cannot_be_read_are_one_line(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        difference_from(DataRecord("x", None, ("a",)), folder_group(tmp_path / "nowhere"))
