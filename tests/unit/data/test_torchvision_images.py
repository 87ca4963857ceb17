"""Data sets of torchvision by name, built with the published layouts."""

import bz2
import csv
import inspect
import random
import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from vgg_lit.data import ImageDataModule, torchvision_images
from vgg_lit.data.fitting import fit_image
from vgg_lit.data.sources import Source, load_checked
from vgg_lit.data.torchvision_images import DATASETS, TorchvisionImages
from vgg_lit.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))


def picture(seed, side=(20, 14)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def make_pets(root):
    """OxfordIIITPet: 24 + 12 JPEG files in 37 breeds, of which the lists name three."""
    base = root / "oxford-iiit-pet"
    (base / "images").mkdir(parents=True)
    (base / "annotations").mkdir()
    breeds = ["Abyssinian", "american_bulldog", "Bengal"]
    for split, num in (("trainval", 24), ("test", 12)):
        lines = []
        for i in range(num):
            name = f"{breeds[i % 3]}_{split}{i}"
            picture(i + 100 * (split == "test")).save(base / "images" / f"{name}.jpg")
            lines.append(f"{name} {1 + i % 3} 1 1\n")
        (base / "annotations" / f"{split}.txt").write_text("".join(lines))


def make_eurosat(root):
    """EuroSAT: undivided, class folders."""
    for number, name in enumerate(("Forest", "River")):
        folder = root / "eurosat/2750" / name
        folder.mkdir(parents=True)
        for i in range(10):
            picture(10 * number + i, (9, 9)).save(folder / f"{name}_{i}.png")


def make_gtsrb(root):
    """GTSRB: PPM files; the test labels in a table."""
    for label in range(2):
        folder = root / "gtsrb/GTSRB/Training" / f"{label:05d}"
        folder.mkdir(parents=True)
        for i in range(6):
            picture(i).save(folder / f"{i}.ppm")
    folder = root / "gtsrb/GTSRB/Final_Test/Images"
    folder.mkdir(parents=True)
    with open(root / "gtsrb/GT-final_test.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Filename", "ClassId"])
        for i in range(4):
            picture(50 + i).save(folder / f"{i}.ppm")
            rows.writerow([f"{i}.ppm", i % 2])


def make_dtd(root):
    """DTD: train, val and test lists."""
    for split, first in (("train", 0), ("val", 10), ("test", 20)):
        lines = []
        for i in range(6):
            name = f"{('banded', 'dotted')[i % 2]}/{first + i}.jpg"
            (root / "dtd/dtd/images" / name).parent.mkdir(parents=True, exist_ok=True)
            picture(first + i).save(root / "dtd/dtd/images" / name)
            lines.append(name)
        labels = root / "dtd/dtd/labels"
        labels.mkdir(exist_ok=True)
        (labels / f"{split}1.txt").write_text("\n".join(lines))


def make_sun(root):
    """SUN397: undivided; torchvision lists its files in the order of the file system."""
    base = root / "SUN397"
    for number, name in enumerate(("abbey", "zoo")):
        folder = base / name[0] / name
        folder.mkdir(parents=True)
        for i in random.Random(number).sample(range(10), 10):
            picture(10 * number + i).save(folder / f"sun_{i}.jpg")
    (base / "ClassName.txt").write_text("/a/abbey\n/z/zoo\n")


def make_usps(root, monkeypatch):
    lines = [
        f"{1 + i % 10} " + " ".join(f"{j}:{(i + j) % 21 / 10 - 1:.1f}" for j in range(1, 257))
        for i in range(20)
    ]
    for name in ("usps.bz2", "usps.t.bz2"):
        (root / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    monkeypatch.setattr("torchvision.datasets.usps.download_url", lambda *_, **__: None)


def source_of(name, root, **options):
    return TorchvisionImages(
        name, root, **{"download": False, "size": 8, "num_workers": 0, **options}
    )


def test_pets(tmp_path):
    make_pets(tmp_path)
    source = source_of("OxfordIIITPet", tmp_path)
    assert isinstance(source, Source)
    assert source.classes == ("Abyssinian", "American Bulldog", "Bengal")
    source.prepare()
    train, test = load_checked(source, "train"), load_checked(source, "test")
    assert train.images_NCHW.shape == (24, 3, 8, 8)
    assert test.labels_N.tolist() == [0, 1, 2] * 4
    theirs = torchvision.datasets.OxfordIIITPet(str(tmp_path), split="test")
    for position, (image, _) in enumerate(theirs):
        expected = torch.from_numpy(fit_image(image, 3, 8))
        assert torch.equal(test.images_NCHW[position], expected)


def test_streamed_and_resident_images_are_equal(tmp_path):
    make_pets(tmp_path)
    resident = source_of("OxfordIIITPet", tmp_path).load("train").images_NCHW
    source = source_of("OxfordIIITPet", tmp_path, in_memory=False, num_workers=2)
    source.prepare()
    streamed = source.load("train")
    assert torch.equal(torch.cat(list(streamed.loader([[3, 1], [20]]))), resident[[3, 1, 20]])
    datamodule = ImageDataModule(source, image_size=8, batch_size=6, val_fraction=0.25)
    datamodule.prepare_data()
    datamodule.setup()
    assert [len(batch[1]) for batch in datamodule.train_dataloader()] == [6, 6, 6]


@pytest.mark.parametrize("make", [make_eurosat, make_sun])
def test_an_undivided_data_set_gets_a_test_split(tmp_path, make):
    make(tmp_path)
    name = "EuroSAT" if make is make_eurosat else "SUN397"
    source = source_of(name, tmp_path)
    train, test = source.load("train"), source.load("test")
    assert train.labels_N.bincount().tolist() == [8, 8]
    assert test.labels_N.bincount().tolist() == [2, 2]
    assert len(source.classes) == 2
    assert train.labels_N.tolist() == sorted(train.labels_N.tolist())  # by path


def test_tables_lists_and_validation_splits(tmp_path):
    make_gtsrb(tmp_path)
    source = source_of("GTSRB", tmp_path)
    assert source.classes == ("0", "1")
    assert load_checked(source, "test").labels_N.tolist() == [0, 1, 0, 1]
    make_dtd(tmp_path)
    source = source_of("DTD", tmp_path)
    assert source.has_validation
    assert source.classes == ("banded", "dotted")
    assert [len(source.load(split).labels_N) for split in ("train", "val", "test")] == [6, 6, 6]


def test_arrays_and_grey_images(tmp_path, monkeypatch):
    make_usps(tmp_path, monkeypatch)
    source = source_of("USPS", tmp_path, in_channels=1, size=16)
    train = load_checked(source, "train")
    assert train.images_NCHW.shape == (20, 1, 16, 16)
    assert train.labels_N.tolist() == [i % 10 for i in range(20)]
    assert len(source.classes) == 10


def test_options(tmp_path):
    options = {"size": 12, "image_size": [3, 9, 9], "num_classes": 3}
    source = source_of("FakeData", tmp_path, options=options)
    assert len(source.load("train").labels_N) == 12
    with pytest.raises(InputError, match=r"options\.colour: not an option of DTD; allowed: part"):
        source_of("DTD", tmp_path, options={"colour": 1})
    with pytest.raises(InputError, match=r"options\.root: not an option"):
        source_of("DTD", tmp_path, options={"root": "/"})


def test_every_listed_class_takes_its_arguments():
    for name, splits in DATASETS.items():
        parameters = inspect.signature(getattr(torchvision.datasets, name)).parameters
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for arguments in (splits.train, splits.test, splits.val):
            assert takes_any or set(arguments or {}) <= set(parameters)
        if splits.has_download:
            assert takes_any or "download" in parameters


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "FakeData"])
def test_a_missing_data_set_is_one_line(tmp_path, name):
    with pytest.raises(InputError, match=r"fashion_mnist_sample|needs the package") as caught:
        _ = source_of(name, tmp_path).classes
    assert "\n" not in str(caught.value)


def test_the_download_is_locked_and_its_failure_is_one_line(tmp_path, monkeypatch):
    locked = []

    def download(*_, **__):
        locked.append((tmp_path / ".download.lock").exists())
        raise OSError("no network\nat all")

    monkeypatch.setattr("torchvision.datasets.eurosat.download_and_extract_archive", download)
    with pytest.raises(InputError, match=r"the download failed \(no network at all\)"):
        _ = source_of("EuroSAT", tmp_path, download=True).classes
    assert locked == [True]


def test_a_download_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "torchvision.datasets.eurosat.download_and_extract_archive",
        lambda *_, **__: make_eurosat_once(tmp_path),
    )
    source = source_of("EuroSAT", tmp_path, download=True)
    assert source.classes == ("Forest", "River")


def make_eurosat_once(root):
    shutil.rmtree(root / "eurosat", ignore_errors=True)
    make_eurosat(root)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_damaged_files_are_named_by_their_position(tmp_path, num_workers):
    make_pets(tmp_path)
    path = tmp_path / "oxford-iiit-pet/images/Bengal_trainval5.jpg"
    content = path.read_bytes()
    draws = random.Random(num_workers)
    for _ in range(1 if num_workers else 8):
        path.write_bytes(content[: draws.randrange(len(content) // 2)])
        source = source_of("OxfordIIITPet", tmp_path, num_workers=num_workers)
        with pytest.raises(InputError, match="OxfordIIITPet, train: image 5") as caught:
            source.prepare()
        assert "\n" not in str(caught.value)


def test_changed_files_are_decoded_again(tmp_path):
    make_pets(tmp_path)
    first = source_of("OxfordIIITPet", tmp_path).load("train").images_NCHW
    picture(999, (21, 14)).save(tmp_path / "oxford-iiit-pet/images/Bengal_trainval5.jpg")
    second = source_of("OxfordIIITPet", tmp_path).load("train").images_NCHW
    changed = (first != second).flatten(1).any(1).nonzero().flatten().tolist()
    assert changed == [5]


def test_decoded_images_are_cached(tmp_path, monkeypatch):
    make_pets(tmp_path)
    first = source_of("OxfordIIITPet", tmp_path).load("train").images_NCHW
    monkeypatch.delattr(torchvision_images._Images, "__getitem__")
    second = source_of("OxfordIIITPet", tmp_path).load("train").images_NCHW
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MNIST", "dataset=MNIST: use data=mnist"),
        ("CIFAR100", "dataset=CIFAR100: use data=cifar100"),
        ("CocoDetection", "unknown data set 'CocoDetection'"),
        ("os", "unknown data set 'os'"),
        ("OxfordPet", "Did you mean 'OxfordIIITPet'"),
    ],
)
def test_other_classes_are_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        source_of(name, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 2}, "in_channels=2"),
        ({"size": 0}, "size=0"),
        ({"num_workers": -1}, "num_workers=-1"),
        ({"test_fraction": 1.0}, "test_fraction=1.0"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        source_of("EuroSAT", tmp_path, **options)
