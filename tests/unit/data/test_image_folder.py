import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data import image_files
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder, num, seed=0, side=10):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for i in range(num):
        array = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(array).save(folder / f"{i:03}.{'png' if i % 2 else 'jpg'}")


@pytest.fixture
def divided(tmp_path):
    root = tmp_path / "divided"
    for split, num in (("train", 5), ("test", 2)):
        for seed, name in enumerate(("cat", "dog")):
            fill(root / split / name, num, seed)
    return root


@pytest.fixture
def undivided(tmp_path):
    root = tmp_path / "undivided"
    for seed, (name, num) in enumerate((("cat", 20), ("dog", 10))):
        fill(root / name, num, seed)
    return root


def make(root, **options):
    return ImageFolder(root, **{"size": 8, "num_workers": 0, **options})


def test_train_and_test_folders_are_the_splits(divided):
    source = make(divided)
    assert source.classes == ("cat", "dog")
    source.prepare()
    train, test = source.load("train"), source.load("test")
    assert train.images_NCHW.shape == (10, 3, 8, 8)
    assert train.labels_N.tolist() == [0] * 5 + [1] * 5
    assert test.labels_N.tolist() == [0, 0, 1, 1]


def test_a_held_out_test_split_is_stratified_and_stable(undivided):
    source = make(undivided)
    train, test = source._files("train"), source._files("test")
    assert not set(train.paths) & set(test.paths)
    assert len(train.paths) + len(test.paths) == 30
    assert torch.bincount(test.labels_N).tolist() == [4, 2]
    # another class does not change the test images of these classes
    fill(undivided / "ant", 10)
    again = make(undivided)._files("test")
    assert set(test.paths) <= set(again.paths)


def test_nested_folders_are_read_and_other_files_skipped(divided):
    fill(divided / "train/cat/more", 1)
    (divided / "train/cat/notes.txt").write_text("x")
    fill(divided / "train/cat/.thumbnails", 1)
    (divided / "train/.hidden").mkdir()
    paths = make(divided)._files("train").paths
    assert len(paths) == 11
    assert "train/cat/more/000.jpg" in paths


def test_a_class_may_be_named_train(tmp_path):
    for name in ("bus", "train"):
        fill(tmp_path / "root" / name, 5)
    assert make(tmp_path / "root").classes == ("bus", "train")


def test_one_class_is_enough(tmp_path):
    fill(tmp_path / "root/only", 5)
    assert len(make(tmp_path / "root").load("test").labels_N) == 1


def counted(monkeypatch):
    """Returns a list that collects the paths of decoded images."""
    calls = []
    read = image_files.read_image
    monkeypatch.setattr(image_files, "read_image", lambda *a: calls.append(a[0]) or read(*a))
    return calls


def test_the_cache_is_used_and_rebuilt_when_a_file_changes(divided, monkeypatch, cache):
    source, calls = make(divided), counted(monkeypatch)
    source.prepare()
    assert len(calls) == 14
    first = source.load("train").images_NCHW
    assert len(calls) == 14
    fill(divided / "train/cat", 5, seed=9)
    os.utime(divided / "train/cat/000.jpg", (1, 1))
    second = source.load("train").images_NCHW
    assert len(calls) == 24
    assert not torch.equal(first, second)
    assert len(list(cache.glob("*.npy"))) == 2  # the stale one is replaced
    assert not list(cache.glob("*.tmp"))
    make(divided, size=4).load("test")
    assert len(calls) == 28


@pytest.mark.parametrize("change", ["flip", "cut", "sidecar", "no sidecar"])
def test_a_damaged_cache_is_rebuilt(divided, monkeypatch, cache, change):
    source = make(divided)
    expected = source.load("test").images_NCHW
    (array,) = cache.glob("*.npy")
    body = bytearray(array.read_bytes())
    if change == "flip":
        body[200] ^= 1
        array.write_bytes(body)
    elif change == "cut":
        array.write_bytes(body[:-1])
    elif change == "sidecar":
        array.with_suffix(".json").write_text("{")
    else:
        array.with_suffix(".json").unlink()
    calls = counted(monkeypatch)
    assert torch.equal(source.load("test").images_NCHW, expected)
    assert len(calls) == 4


def test_streaming_does_not_write_to_root_and_caches_statistics(divided, cache, monkeypatch):
    before = sorted(divided.rglob("*"))
    source = make(divided, in_memory=False)
    source.prepare()
    assert sorted(divided.rglob("*")) == before
    calls = counted(monkeypatch)
    statistics = source.load("train").statistics()
    assert not calls
    assert statistics == make(divided).load("train").statistics()
    records = [json.loads(path.read_text()) for path in cache.glob("*.json")]
    assert records
    assert all(records)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_streaming_equals_resident_with_any_number_of_workers(divided, num_workers):
    resident = make(divided, num_workers=num_workers).load("train")
    files = make(divided, in_memory=False, num_workers=num_workers).load("train")
    assert isinstance(files, ImageFiles)
    (streamed,) = image_files.checked(files.loader([list(range(10))]))
    assert torch.equal(streamed, resident.images_NCHW)
    assert torch.equal(files.labels_N, resident.labels_N)


def test_more_workers_than_cores_are_not_started(divided, monkeypatch, recwarn):
    monkeypatch.setattr(image_files, "count_cores", lambda: 1)
    loader = make(divided, in_memory=False, num_workers=64).load("train").loader([[0, 1]])
    assert loader.num_workers == 1
    assert not recwarn.list


def test_a_dangling_link_is_named(divided):
    (divided / "train/cat/gone.png").symlink_to(divided / "nowhere.png")
    with pytest.raises(InputError, match=r"gone\.png: cannot be read"):
        make(divided).prepare()


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_corrupt_image_is_named(divided, cache, num_workers, in_memory):
    path = divided / "train/dog/002.jpg"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"train/dog/002\.jpg.*damaged") as caught:
        make(divided, num_workers=num_workers, in_memory=in_memory).prepare()
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*.tmp"))


def test_missing_and_inconsistent_folders_are_refused(tmp_path, divided):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        make(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no class folders"):
        make(tmp_path / "empty")
    fill(divided / "train/eel", 1)
    with pytest.raises(InputError, match="have different class folders: eel"):
        make(divided)
    (divided / "test/eel").mkdir()
    with pytest.raises(InputError, match="test/eel: no PNG or JPEG"):
        make(divided).prepare()


def test_train_without_test_is_refused(tmp_path):
    fill(tmp_path / "root/train/cat", 2)
    with pytest.raises(InputError, match="no class folders in test/"):
        make(tmp_path / "root")


def test_too_few_images_for_a_test_split_are_refused(tmp_path):
    fill(tmp_path / "root/cat", 2)
    with pytest.raises(InputError, match=r"test_fraction=0\.2: 0 of 2 images are for testing"):
        make(tmp_path / "root").prepare()


@pytest.mark.parametrize(
    "option", [{"in_channels": 2}, {"size": 0}, {"num_workers": -1}, {"test_fraction": 1.0}]
)
def test_values_out_of_range_are_refused(divided, option):
    with pytest.raises(InputError, match=f"{next(iter(option))}="):
        make(divided, **option)


def test_an_unwritable_cache_is_reported(divided, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="VGG_LIT_CACHE"):
        make(divided).prepare()


def test_cifar10_as_jpeg_files(data_folder, tmp_path):
    archive = data_folder / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip("needs $VGG_LIT_DATA/cifar10-jpeg.tar.xz")
    import tarfile

    with tarfile.open(archive) as tar:
        members = [m for m in tar if m.name.startswith("cifar10-jpeg/test/") and m.isfile()]
        assert len(members) == 10_000
        for member in members[::10]:
            tar.extract(member, tmp_path, filter="data")
    source = ImageFolder(tmp_path / "cifar10-jpeg/test")
    assert len(source.classes) == 10
    test = source.load("test")
    assert torch.bincount(test.labels_N).tolist() == [20] * 10
    assert test.images_NCHW.float().mean().item() / 255 == pytest.approx(0.477, abs=0.02)
