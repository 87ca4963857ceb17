"""Image files read as batches, as an array and as pixel sums."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from operating_systems import posix
from PIL import Image

from vgg_lit.data import image_cache, image_files
from vgg_lit.data.damaged_images import DamagedImages
from vgg_lit.data.decoding_loader import checked
from vgg_lit.data.image_files import ImageFiles
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
    (kept,) = files.cache.parent.glob("*.json")
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
    with pytest.raises(DamagedImages, match=r"1 of 6 images .*: 2\.png \(no such image file\)"):
        files.decoded()


def break_files(files, *positions):
    for position in positions:
        (files.root / files.paths[position]).write_bytes(b"no image")


@pytest.mark.parametrize("read", [ImageFiles.decoded, ImageFiles.statistics])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_all_damaged_files_are_named_at_once(files, read, num_workers):
    break_files(files, 1, 5)
    files = replace(files, num_workers=num_workers)
    with pytest.raises(DamagedImages) as caught:
        read(files)
    assert list(caught.value.reasons) == ["1.png", "more/5.jpg"]
    assert "2 of 6 images" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [file for file in files.cache.parent.iterdir() if file.suffix != ".lock"]


def test_known_damage_is_read_again_if_a_file_changes_or_recovers(files, monkeypatch):
    assert files.read_damage() is None
    break_files(files, 2)
    files.write_damage({"2.png": "not an image"})
    assert files.read_damage() == {"2.png": "not an image"}
    larger_limit = replace(files, max_megapixels=500)
    assert larger_limit.read_damage() is None
    with monkeypatch.context() as patch:  # a file that was unreadable only for a moment
        patch.setattr(image_files, "read_image", lambda *a: torch.zeros(3, 8, 8))
        assert files.read_damage() is None
    (files.root / "2.png").write_bytes(b"another file, not an image")
    assert files.read_damage() is None


def test_files_without_the_damaged_ones_keep_their_labels(files, expected):
    assert files.without({}) is files
    kept = files.without({"1.png": "", "4.png": ""})
    assert kept.paths == ("0.png", "2.png", "3.png", "more/5.jpg")
    assert kept.labels_N.tolist() == [0, 0, 1, 1]
    assert torch.equal(kept.decoded(), expected[[0, 2, 3, 5]])


def test_a_megapixel_limit_is_part_of_the_cache(files):
    files.decoded()
    with pytest.raises(DamagedImages, match="limit of 5e-05 megapixels"):
        replace(files, max_megapixels=5e-5).decoded()


@pytest.mark.usefixtures("any_file_name")
def test_names_in_any_encoding_are_read_and_shown_escaped(files):
    name = os.fsdecode(b"caf\xe9\n.png")
    (files.root / "0.png").rename(files.root / name)
    found = replace(files, paths=(name, *files.paths[1:]))
    assert len(found.decoded()) == 6
    break_files(found, 0)
    with pytest.raises(DamagedImages, match=r"caf\\xe9\\n\.png \(not a PNG"):
        found.decoded()


@posix
def test_one_process_of_several_fills_the_cache(files, capfd):
    files = replace(files, num_workers=0)
    start = multiprocessing.get_context("fork")
    with image_cache.locked(files.cache):
        others = [start.Process(target=files.decoded) for _ in range(2)]
        for process in others:
            process.start()
        time.sleep(2.5)
    for process in others:
        process.join(30)
        assert process.exitcode == 0
    assert "waiting for another process" in capfd.readouterr().err
    assert len(files.decoded()) == 6


@posix
def test_a_killed_process_leaves_no_lock_and_no_files(files):
    def fill():
        with image_cache.locked(files.cache):
            (files.cache.parent / f".{files.cache.name}.1234.tmp").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=fill)
    process.start()
    process.join(30)
    assert list(files.cache.parent.glob(".*.tmp"))
    assert len(files.decoded()) == 6
    assert not list(files.cache.parent.glob(".*.tmp"))
