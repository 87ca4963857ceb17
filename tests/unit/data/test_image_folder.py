import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data import decoding_loader, image_files
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.errors import InputError
from vgg_lit.system.files import KEPT


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


@pytest.mark.parametrize("splitting", ["stable", "stratified"])
def test_a_test_split_is_held_out(undivided, splitting):
    source = make(undivided)
    source.splitting = splitting
    train, test = source._files("train"), source._files("test")
    assert not set(train.paths) & set(test.paths)
    assert len(train.paths) + len(test.paths) == 30
    if splitting == "stratified":
        assert torch.bincount(test.labels_N).tolist() == [4, 2]


def test_added_images_move_no_others(undivided):
    before = set(make(undivided)._files("test").paths)
    old = before | set(make(undivided)._files("train").paths)
    fill(undivided / "ant", 10)
    fill(undivided / "cat" / "more", 30)
    again = set(make(undivided)._files("test").paths)
    assert again & old == before
    assert again - old


def test_nested_folders_are_read_and_other_files_skipped(divided):
    fill(divided / "train/cat/more", 1)
    (divided / "train/cat/notes.txt").write_text("x")
    fill(divided / "train/cat/.thumbnails", 1)
    (divided / "train/.hidden").mkdir()
    paths = make(divided)._files("train").paths
    assert len(paths) == 11
    assert "train/cat/more/000.jpg" in paths


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
    (streamed,) = decoding_loader.checked(files.loader([list(range(10))]))
    assert torch.equal(streamed, resident.images_NCHW)
    assert torch.equal(files.labels_N, resident.labels_N)


def test_more_workers_than_cores_are_not_started(divided, monkeypatch, recwarn):
    monkeypatch.setattr(decoding_loader, "count_cores", lambda: 1)
    loader = make(divided, in_memory=False, num_workers=64).load("train").loader([[0, 1]])
    assert loader.num_workers == 1
    assert not recwarn.list


def test_a_dangling_link_is_named(divided):
    (divided / "train/cat/gone.png").symlink_to(divided / "nowhere.png")
    with pytest.raises(InputError, match=r"train/cat/gone\.png \(no such image file\)"):
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


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.root=.*nowhere: no such folder"):
        make(tmp_path / "nowhere")
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"photos\.zip: is a file; unpack it"):
        make(tmp_path / "photos.zip")


@pytest.mark.usefixtures("any_file_name")
def test_a_folder_name_that_is_not_utf8_is_refused(divided, tmp_path):
    other = tmp_path / os.fsdecode(b"caf\xe9")
    divided.rename(other)
    with pytest.raises(InputError, match=r"caf\\xe9: the name of the folder is not UTF-8"):
        make(other)


def test_classes_without_test_images_are_accepted(divided):
    fill(divided / "train/eel", 2)
    source = make(divided)
    assert source.classes == ("cat", "dog", "eel")
    assert source.load("test").labels_N.tolist() == [0, 0, 1, 1]


def test_a_validation_folder_is_a_split(divided):
    assert not make(divided).has_validation
    fill(divided / "valid/dog", 3)
    source = make(divided)
    assert source.has_validation
    source.prepare()
    assert source.load("val").labels_N.tolist() == [1, 1, 1]
    assert len(source.load("train").labels_N) == 10
    assert "valid/ for validation" in source.facts()["folder"]


def test_the_folder_around_gives_the_same_splits(undivided, tmp_path):
    around = tmp_path / "around" / "dataset"
    around.parent.mkdir()
    (around / "__MACOSX").mkdir(parents=True)
    undivided.rename(around / "photos")
    outer, inner = make(tmp_path / "around"), make(around / "photos")
    assert outer._files("test").paths == inner._files("test").paths
    assert torch.equal(outer.load("train").images_NCHW, inner.load("train").images_NCHW)


@pytest.mark.parametrize("num", [2, 3, 4, 5, 9])
def test_every_class_of_two_images_is_in_both_splits(tmp_path, num):
    for name in "abcdefgh":
        fill(tmp_path / "root" / name, num)
    fill(tmp_path / "root" / "one", 1)
    source = make(tmp_path / "root", size=2)
    train, test = (torch.bincount(source._files(s).labels_N, minlength=9) for s in source.splits)
    assert (train > 0).all()
    assert (test[:8] > 0).all()
    assert test[8] == 0
    assert (train + test == torch.tensor([num] * 8 + [1])).all()


def test_classes_of_one_image_each_are_refused(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / "root" / name, 1)
    with pytest.raises(InputError, match=r"each of the 2 classes has one image.*train/ and test/"):
        make(tmp_path / "root").prepare()


def test_facts_count_what_is_passed_over(divided):
    assert set(make(divided).facts()) == {"folder"}
    for name in ("train/cat/a.HEIC", "train/dog/b.heic", "test/notes", "test/cat/.DS_Store"):
        (divided / name).write_bytes(b"x")
    fill(divided / "unlabelled", 2)
    fill(divided / "train", 1)
    assert make(divided).facts()["passed over"] == (
        "unlabelled/ (2 images), 1 images outside the class folders in train/, "
        "2 .heic, 1 without ending, 1 hidden"
    )


@pytest.fixture
def broken(undivided):
    for name in ("cat/001.png", "dog/000.jpg", "dog/001.png"):
        (undivided / name).write_bytes(b"no image")
    return undivided


@pytest.mark.parametrize("in_memory", [True, False])
def test_damaged_images_of_all_splits_are_named_at_once(broken, in_memory):
    with pytest.raises(InputError, match="3 of 30 images") as caught:
        make(broken, in_memory=in_memory).prepare()
    for name in ("cat/001.png", "dog/000.jpg", "dog/001.png"):
        assert name in str(caught.value)


@pytest.mark.parametrize("in_memory", [True, False])
def test_damaged_images_are_left_out_if_asked(broken, in_memory, monkeypatch, cache):
    whole = make(broken)
    source = make(broken, damaged="skip", in_memory=in_memory)
    source.prepare()
    names = ["cat/001.png", "dog/000.jpg", "dog/001.png"]
    assert sorted(source.damaged_files) == names
    assert source.facts()["left out"] == "3 damaged images"
    images = {split: source.load(split) for split in source.splits}
    for split, found in images.items():  # the splits are those of the whole folder
        paths, labels_N = whole._files(split).paths, whole._files(split).labels_N
        kept = [i for i, path in enumerate(paths) if path not in names]
        assert torch.equal(found.labels_N, labels_N[kept])
        if not in_memory:
            assert found.paths == tuple(paths[i] for i in kept)
    assert sum(len(found.labels_N) for found in images.values()) == 27
    calls = counted(monkeypatch)
    again = make(broken, damaged="skip", in_memory=in_memory)
    again.prepare()
    assert sorted(again.damaged_files) == names
    assert len(calls) == 3  # only the damaged files are read again
    fill(broken / "dog", 1)  # repaired
    repaired = make(broken, damaged="skip", in_memory=in_memory)
    repaired.prepare()
    assert sorted(repaired.damaged_files) == [names[0], names[2]]


def test_a_table_gives_labels_and_splits(undivided):
    rows = ["file;label;split"]
    rows += [f"cat/{i:03}.{'png' if i % 2 else 'jpg'};{i % 3};train" for i in range(10)]
    rows += ["dog/000.jpg;2;Testing", "dog/001.png;0;valid"]
    (undivided / "labels.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    source = make(undivided, labels="labels.csv")
    source.prepare()
    assert source.classes == ("0", "1", "2")
    assert source.has_validation
    assert source.load("train").labels_N.tolist() == [0] * 4 + [1] * 3 + [2] * 3
    assert source.load("test").labels_N.tolist() == [2]
    assert source.load("val").labels_N.tolist() == [0]
    assert source.facts()["folder"].endswith("labels and splits of labels.csv")
    assert source.facts()["passed over"] == "18 images that are not in the table, 1 .csv"


def test_settings_that_change_the_images_change_the_cache(divided, cache):
    for options in ({}, {"max_megapixels": 5}, {"in_channels": 1}, {"size": 4}):
        make(divided, **options).load("test")
    assert len(list(cache.glob("*.npy"))) == 4


@pytest.mark.parametrize(
    "option",
    [
        {"in_channels": 2},
        {"size": 0},
        {"num_workers": -1},
        {"test_fraction": 1.0},
        {"max_megapixels": 0},
        {"damaged": "ignore"},
    ],
)
def test_values_out_of_range_are_refused(divided, option):
    with pytest.raises(InputError, match=f"{next(iter(option))}="):
        make(divided, **option)


def test_a_long_name_in_another_script_fits_the_cache(tmp_path, cache):
    """The name of the temporary file has all of it, except for the ending."""
    root = tmp_path / ("\u65e5" * 80)
    for name in ("cat", "dog"):
        fill(root / name, 2)
    make(root).prepare()
    assert [len(file.stem.encode()) <= KEPT for file in cache.glob("*.npy")] == [True, True]


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
    counts_K = torch.bincount(test.labels_N)
    assert len(counts_K) == 10
    assert counts_K.min() >= 10  # a fifth of 100 on average
    assert counts_K.max() <= 30
    assert test.images_NCHW.float().mean().item() / 255 == pytest.approx(0.477, abs=0.02)
