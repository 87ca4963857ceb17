import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from faulty_server import serving
from torchvision import datasets

from vgg_lit.data import cifar10
from vgg_lit.data.cifar10 import ARCHIVE, CIFAR10, FOLDER
from vgg_lit.errors import InputError


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def contents(monkeypatch):
    """Tiny files that replace the published ones: name -> content."""
    generator = np.random.default_rng(0)
    contents = {}
    for name in cifar10.ARCHIVE_FILES:
        data = generator.integers(0, 256, (4, 3072), dtype=np.uint8)
        contents[name] = pickle.dumps({"data": data, "labels": [0, 1, 2, 3]})
    monkeypatch.setattr(cifar10, "ARCHIVE_FILES", {name: sha256(c) for name, c in contents.items()})
    return contents


@pytest.fixture
def archive(contents, monkeypatch):
    """The bytes of an archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {**contents, "readme.html": b"hello"}.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", sha256(buffer.getvalue()))
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path, archive):
    """A folder with only the archive."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ARCHIVE).write_bytes(archive)
    return tmp_path / "root"


@pytest.fixture
def server(archive, local_downloads, monkeypatch):
    """A local server that replaces the published address."""
    with serving({ARCHIVE: archive}) as server:
        monkeypatch.setattr(cifar10, "URL", server.url + ARCHIVE)
        yield server


def test_file_names_and_url_match_torchvision():
    batches = [*cifar10.BATCHES["train"], *cifar10.BATCHES["test"]]
    published = datasets.CIFAR10.train_list + datasets.CIFAR10.test_list
    assert batches == [name for name, _ in published]
    assert {*batches, datasets.CIFAR10.meta["filename"]} == set(cifar10.ARCHIVE_FILES)
    assert (
        datasets.CIFAR10.base_folder,
        datasets.CIFAR10.filename,
        datasets.CIFAR10.url,
    ) == (cifar10.FOLDER, cifar10.ARCHIVE, cifar10.URL)
    assert cifar10.URL.startswith("https://")


def test_the_archive_in_root_is_unpacked(root, contents):
    source = CIFAR10(root, download=False)
    source.prepare()
    train, test = source.load("train"), source.load("test")
    assert train.images_NCHW.shape == (20, 3, 32, 32)
    assert train.images_NCHW.is_contiguous()
    assert train.labels_N.tolist() == [0, 1, 2, 3] * 5
    assert train.labels_N.dtype.is_signed
    first = pickle.loads(contents["test_batch"])["data"]
    assert test.images_NCHW.numpy().tobytes() == first.tobytes()
    assert {path.name for path in (root / FOLDER).iterdir()} == {".download.lock", *contents}


def test_download(tmp_path, server):
    server.faults = ["drop", "wrong"]
    source = CIFAR10(tmp_path / "new")
    source.prepare()
    assert len(source.load("train").labels_N) == 20
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FOLDER]
    source.prepare()
    assert len(server.requests) == 3


def test_a_missing_file_is_unpacked_again(root):
    source = CIFAR10(root)
    source.prepare()
    (root / FOLDER / "data_batch_3").unlink()
    with pytest.raises(InputError, match="not found"):
        source.load("train")
    source.prepare()
    assert len(source.load("train").labels_N) == 20


def test_a_folder_without_the_names_of_the_classes_is_complete(root):
    CIFAR10(root).prepare()
    (root / FOLDER / "batches.meta").unlink()
    (root / ARCHIVE).unlink()
    source = CIFAR10(root / FOLDER, download=False)  # the folder itself is a root too
    source.prepare()
    assert len(source.load("test").labels_N) == 4


def test_a_damaged_file_is_never_unpickled(root):
    source = CIFAR10(root)
    source.prepare()

    class Bomb:
        def __reduce__(self):
            return exec, ("raise SystemExit('unpickled')",)

    (root / FOLDER / "data_batch_3").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"data_batch_3: damaged.*delete it"):
        source.load("train")


def test_a_damaged_archive_is_not_unpacked(root):
    archive = root / ARCHIVE
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz: damaged"):
        CIFAR10(root).prepare()
    assert [path.name for path in (root / FOLDER).iterdir()] == [".download.lock"]


@pytest.mark.parametrize("download", [True, False])
def test_a_missing_archive_is_one_line(tmp_path, download, server):
    server.contents.clear()
    source = CIFAR10(tmp_path, download=download)
    with pytest.raises(
        InputError, match=r"cifar-10-python\.tar\.gz not found.*put it into"
    ) as caught:
        source.prepare()
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="not found"):
        source.load("train")
