"""Image files read as batches, as an array and as pixel sums."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data.image_files import ImageFiles, checked
from vgg_lit.data.images import read_image
from vgg_lit.data.statistics import channel_statistics, pixel_sums
from vgg_lit.errors import InputError


@pytest.fixture
def files(tmp_path):
    """Six images of noise, one of them in a subfolder."""
    paths = (*(f"{i}.png" for i in range(5)), "more/5.jpg")
    (tmp_path / "root/more").mkdir(parents=True)
    draws = np.random.default_rng(0)
    for path in paths:
        pixels = draws.integers(0, 256, (12, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "root" / path)
    return ImageFiles(
        root=tmp_path / "root",
        paths=paths,
        labels_N=torch.arange(6) % 2,
        in_channels=3,
        size=8,
        num_workers=0,
        cache=tmp_path / "cache/images.npy",
    )


@pytest.fixture
def expected(files):
    return torch.stack([read_image(files.root / path, 3, 8) for path in files.paths])


def test_batches_contain_the_requested_positions(files, expected):
    batches = [[4, 0], [5, 5, 1]]
    loader = files.loader(batches)
    for _ in range(2):  # reread on each iteration
        found = list(checked(loader))
        assert all(
            torch.equal(a, expected[positions]) for a, positions in zip(found, batches, strict=True)
        )
    batches.append([2])
    assert len(list(files.loader(batches))) == 3


def test_the_array_is_in_the_order_of_the_paths(files, expected):
    assert torch.equal(files.decoded(), expected)
    assert torch.equal(files.decoded(), expected)  # from the cache


def test_statistics_are_of_all_pixels_and_cached(files, expected):
    found = files.statistics()
    assert found == channel_statistics(pixel_sums(expected))
    (kept,) = files.cache.parent.iterdir()
    assert kept.name == "images.sums.json"
    kept.write_text("{")  # damaged: summed again
    assert files.statistics() == found


@pytest.mark.parametrize("change", ["touch", "grow"])
def test_a_changed_file_is_decoded_again(files, change):
    first = files.decoded()
    path = files.root / "0.png"
    if change == "touch":
        Image.fromarray(np.zeros((12, 9, 3), np.uint8)).save(path)
        os.utime(path, (1, 1))
        assert not files.decoded()[0].any()
    else:
        path.write_bytes(path.read_bytes() + b"a comment")
        assert torch.equal(files.decoded(), first)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_a_worker_is_raised_without_a_traceback(files, num_workers):
    (files.root / "3.png").write_bytes(b"no image")
    damaged = ImageFiles(**{**vars(files), "num_workers": num_workers})
    with pytest.raises(InputError, match=r"3\.png") as caught:
        list(checked(damaged.loader([[0, 1], [2, 3]])))
    assert "\n" not in str(caught.value)


def test_a_deleted_file_is_named(files):
    (files.root / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png: cannot be read"):
        files.decoded()
