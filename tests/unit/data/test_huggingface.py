"""Parquet files read through the library `datasets`: columns, splits, labels and damage."""

import io
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data import ImageDataModule, huggingface
from vgg_lit.data.huggingface import HuggingFaceImages
from vgg_lit.data.image_records import decode
from vgg_lit.data.sources import Source, load_checked
from vgg_lit.errors import InputError

NAMES = ["ant", "bee"]


def png(seed, side=(12, 9)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """The library, without a network and with its cache in the test's folder."""
    library = pytest.importorskip("datasets", reason="needs the extra hf")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    library.disable_progress_bars()
    return library


@pytest.fixture
def write(datasets, tmp_path):
    """`write(train=30, test=10)`: parquet files of these splits; other columns replace the usual."""

    def write(folder="set", features=None, columns=None, metadata=True, **splits):
        (tmp_path / folder).mkdir(exist_ok=True)
        for number, (split, num) in enumerate(splits.items()):
            rows = {
                "image": [{"bytes": png(1000 * number + i), "path": None} for i in range(num)],
                "label": [i % 2 for i in range(num)],
            }
            rows |= {name: make(num) for name, make in (columns or {}).items()}
            kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
            kinds |= features or {}
            kinds = {name: kind for name, kind in kinds.items() if kind is not None}
            rows = {name: rows[name] for name in kinds}
            path = tmp_path / folder / f"{split}-00000-of-00001.parquet"
            datasets.Dataset.from_dict(rows, features=datasets.Features(kinds)).to_parquet(path)
            if not metadata:
                import pyarrow.parquet as pq

                pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
        return str(tmp_path / folder)

    return write


def source_of(path, **options):
    return HuggingFaceImages(path, **{"size": 8, "num_workers": 0, **options})


def test_a_folder_of_parquet_files(write):
    source = source_of(write(train=30, test=10))
    assert isinstance(source, Source)
    assert (source.name, source.classes) == ("set", ("ant", "bee"))
    source.prepare()
    train, test = load_checked(source, "train"), load_checked(source, "test")
    assert train.images_NCHW.shape == (30, 3, 8, 8)
    assert torch.equal(train.images_NCHW[7], decode(png(7), 3, 8))
    assert torch.equal(test.images_NCHW[3], decode(png(1003), 3, 8))
    assert train.labels_N.tolist() == [i % 2 for i in range(30)]
    assert not source.has_validation


def test_streamed_and_resident_images_are_equal(write):
    path = write(train=30, test=10)
    resident = source_of(path).load("train").images_NCHW
    source = source_of(path, in_memory=False, num_workers=2)
    source.prepare()
    streamed = source.load("train")
    assert torch.equal(torch.cat(list(streamed.loader([[0, 1], [29]]))), resident[[0, 1, 29]])
    datamodule = ImageDataModule(source, image_size=8, batch_size=10, val_fraction=0.2)
    datamodule.prepare_data()
    datamodule.setup()
    assert [len(batch[1]) for batch in datamodule.train_dataloader()] == [10, 10]
    whole = source_of(path).load("train").statistics()
    assert streamed.statistics() == whole


def test_the_own_validation_split(write):
    source = source_of(write(train=30, validation=12, test=10))
    assert source.has_validation
    assert [len(source.load(split).labels_N) for split in ("train", "val", "test")] == [30, 12, 10]


def test_a_validation_split_alone_is_the_test_split(write):
    source = source_of(write(train=30, validation=12))
    assert not source.has_validation
    assert len(source.load("test").labels_N) == 12


def test_without_a_test_split_images_are_held_out(write):
    source = source_of(write(train=30), test_fraction=0.2)
    train, test = source.load("train"), source.load("test")
    assert (len(train.labels_N), len(test.labels_N)) == (24, 6)
    assert test.labels_N.bincount().tolist() == [3, 3]
    both = torch.cat([train.images_NCHW, test.images_NCHW]).flatten(1).tolist()
    assert len({tuple(image) for image in both}) == 30


def test_parquet_without_the_metadata_of_the_library(write):
    source = source_of(write(train=30, test=10, metadata=False))
    assert source.classes == ("0", "1")
    assert torch.equal(source.load("train").images_NCHW[7], decode(png(7), 3, 8))


def test_one_parquet_file(write):
    source = source_of(write(train=30) + "/train-00000-of-00001.parquet")
    assert len(source.load("train").labels_N) == 24


def test_text_labels_are_sorted_classes(write, datasets):
    path = write(
        train=30,
        test=10,
        features={"label": datasets.Value("string")},
        columns={"label": lambda num: [("wasp", "ant")[i % 2] for i in range(num)]},
    )
    source = source_of(path)
    assert source.classes == ("ant", "wasp")
    assert source.load("test").labels_N.tolist() == [1, 0] * 5


def test_columns_are_chosen(write, datasets):
    path = write(
        train=30,
        test=10,
        features={"other": datasets.ClassLabel(names=["x", "y", "z"]), "label": None},
        columns={"other": lambda num: [i % 3 for i in range(num)]},
    )
    assert source_of(path).classes == ("x", "y", "z")
    path = write(
        "two",
        train=30,
        test=10,
        features={
            "coarse": datasets.ClassLabel(names=["x", "y", "z"]),
            "fine": datasets.ClassLabel(names=["x", "y", "z"]),
            "label": None,
        },
        columns={name: lambda num: [i % 3 for i in range(num)] for name in ("coarse", "fine")},
    )
    with pytest.raises(InputError, match=r"2 label columns found; set data\.source\.label to one"):
        _ = source_of(path).classes
    assert source_of(path, label="fine").classes == ("x", "y", "z")
    with pytest.raises(InputError, match=r"data\.source\.image=photo: no such column .* image"):
        source_of(path, label="fine", image="photo").prepare()
    with pytest.raises(InputError, match=r"data\.source\.label=image: is of type"):
        _ = source_of(path, label="image").classes


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None], "some rows have no label"),
        ([[1, 0]], "is of type List"),
        ([0.5], "is of type Value"),
    ],
)
def test_unusable_labels_are_refused(write, datasets, labels, message):
    kind = datasets.Value("int64") if labels == [None] else datasets.Value("float32")
    kind = datasets.List(datasets.Value("int64")) if isinstance(labels[0], list) else kind
    path = write(
        train=10,
        test=10,
        features={"label": kind},
        columns={"label": lambda num: labels * num},
    )
    with pytest.raises(InputError, match=message) as caught:
        _ = source_of(path, label="label").classes
    assert "\n" not in str(caught.value)


def test_a_new_class_in_the_test_split_is_refused(write, datasets):
    path = write(
        train=30,
        test=31,
        features={"label": datasets.Value("string")},
        columns={"label": lambda num: ["wasp" if num == 31 else "ant"] * num},
    )
    with pytest.raises(InputError, match="test has classes that train does not have: wasp"):
        source_of(path).prepare()


def test_damaged_images_are_named_by_their_position(write, datasets):
    whole = png(0)
    draws = random.Random(0)
    bodies = [whole[: draws.randrange(len(whole) - 20)] for _ in range(8)] + [b"", b"\0" * 99]
    for position, body in enumerate(bodies):
        path = write(
            f"set{position}",
            train=10,
            test=10,
            columns={
                "image": lambda n, b=body: (
                    [{"bytes": whole, "path": None}] * (n - 1) + [{"bytes": b, "path": None}]
                )
            },
        )
        with pytest.raises(InputError, match=r"train: image 9: .*(damaged|not a PNG)") as caught:
            source_of(path, num_workers=int(position == 0)).prepare()
        assert "\n" not in str(caught.value)


def test_an_image_that_points_to_a_missing_file_is_refused(write, datasets):
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    path = write(
        train=10,
        test=10,
        features={"image": stored},
        columns={"image": lambda n: [{"bytes": None, "path": "/etc/none.png"}] * n},
        metadata=False,
    )
    with pytest.raises(InputError, match=r"image 0 cannot be read .*none\.png"):
        source_of(path).prepare()


def test_damaged_parquet_is_one_line(write, tmp_path):
    path = write(train=30, test=10)
    file = tmp_path / "set/train-00000-of-00001.parquet"
    content = file.read_bytes()
    draws = random.Random(0)
    for _ in range(4):
        file.write_bytes(content[: draws.randrange(len(content))])
        with pytest.raises(InputError, match=r"data\.source\.path=.*cannot be loaded") as caught:
            source_of(path).prepare()
        assert "\n" not in str(caught.value)


def test_changed_files_are_decoded_again(write):
    path = write(train=30, test=10)
    first = source_of(path).load("train").images_NCHW
    path = write(
        train=30,
        test=10,
        columns={"image": lambda n: [{"bytes": png(5000 + i), "path": None} for i in range(n)]},
    )
    second = source_of(path).load("train").images_NCHW
    assert not torch.equal(first, second)


def test_the_cache_is_used_by_another_process(write, tmp_path, monkeypatch):
    path = write(train=30, test=10)
    source_of(path).prepare()
    code = (
        "import datasets, sys; datasets.config.HF_DATASETS_CACHE = sys.argv[2]\n"
        "from vgg_lit.data.huggingface import HuggingFaceImages, _Encoded\n"
        "del _Encoded.__getitem__  # nothing may be decoded\n"
        "source = HuggingFaceImages(sys.argv[1], size=8, num_workers=0)\n"
        "source.prepare(); print(len(source.load('train').labels_N))"
    )
    arguments = [sys.executable, "-c", code, path, str(tmp_path / "hf")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["30"], done.stderr


def test_a_data_set_that_cannot_be_reached_is_one_line(datasets):
    with pytest.raises(InputError, match=r"data\.source\.path=no/such: cannot be loaded"):
        _ = source_of("no/such").classes


@pytest.mark.parametrize("path", ["/no/such/folder", "./none", "~/none", "a/b/c"])
def test_a_missing_folder_is_refused(path):
    with pytest.raises(InputError, match=f"path={path}: no such folder"):
        HuggingFaceImages(path)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r'pip install "vgg_lit\[hf\]"') as caught:
        _ = huggingface.HuggingFaceImages("a/b").classes
    assert "\n" not in str(caught.value)
