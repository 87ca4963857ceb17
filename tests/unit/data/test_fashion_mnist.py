import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from faulty_server import serving

from vgg_lit.data import fashion_mnist, published
from vgg_lit.data.fashion_mnist import FashionMNIST, FashionMNISTSample
from vgg_lit.errors import InputError

NUM = {"train": 30, "t10k": 10}


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.numpy().tobytes()


@pytest.fixture
def contents(monkeypatch):
    """A tiny data set that replaces the published one: name -> uncompressed content."""
    files = {}
    for prefix, num in NUM.items():
        files[f"{prefix}-images-idx3-ubyte"] = idx(
            torch.randint(0, 256, (num, 28, 28), dtype=torch.uint8)
        )
        files[f"{prefix}-labels-idx1-ubyte"] = idx((torch.arange(num) % 10).to(torch.uint8))
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    monkeypatch.setattr(fashion_mnist, "IDX_FILES", digests)
    return files


def write(folder, contents, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in contents.items():
        path = folder / (name + ".gz" if zipped else name)
        path.write_bytes(gzip.compress(body) if zipped else body)


@pytest.mark.parametrize("folder", [".", "FashionMNIST/raw", "fashion-mnist"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_are_found_and_parsed(tmp_path, contents, folder, zipped):
    write(tmp_path / folder, contents, zipped)
    source = FashionMNIST(tmp_path, download=False)
    source.prepare()
    images = source.load("train")
    assert images.images_NCHW.shape == (30, 1, 28, 28)
    assert images.images_NCHW.numpy().tobytes() == contents["train-images-idx3-ubyte"][16:]
    assert images.labels_N.tolist() == [i % 10 for i in range(30)]
    assert images.labels_N.dtype == torch.int64
    assert len(source.load("test").labels_N) == 10


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("change", ["cut", "flip", "empty"])
def test_a_damaged_file_is_named_with_a_remedy(tmp_path, contents, zipped, change):
    write(tmp_path, contents, zipped)
    path = tmp_path / ("train-images-idx3-ubyte" + (".gz" if zipped else ""))
    body = bytearray(path.read_bytes())
    if change == "flip":
        body[len(body) // 2] ^= 1
    path.write_bytes({"cut": body[:-100], "flip": body, "empty": b""}[change])
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.*delete it") as caught:
        FashionMNIST(tmp_path).load("train")
    assert "\n" not in str(caught.value)


def test_missing_files_without_download_are_refused(tmp_path, contents):
    source = FashionMNIST(tmp_path / "none", download=False)
    for call in (source.prepare, lambda: source.load("train")):
        with pytest.raises(InputError, match=r"train-images-idx3-ubyte.*data=fashion_mnist_sample"):
            call()
    assert not (tmp_path / "none").exists()


@pytest.fixture
def mirror(contents, local_downloads, monkeypatch):
    """A local server that replaces the published address."""
    with serving({f"{name}.gz": gzip.compress(body) for name, body in contents.items()}) as server:
        monkeypatch.setattr(fashion_mnist, "URL", server.url)
        yield server


def present(root):
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_the_published_address_is_https():
    assert fashion_mnist.URL.startswith("https://")


def test_download(tmp_path, mirror, contents):
    root = tmp_path / "root"
    source = FashionMNIST(root)
    source.prepare()
    assert len(source.load("train").labels_N) == 30
    # nothing else is left behind
    raw = "FashionMNIST/raw"
    assert present(root) == sorted([f"{raw}/.download.lock", *(f"{raw}/{n}.gz" for n in contents)])
    assert len(mirror.requests) == 4
    source.prepare()
    assert len(mirror.requests) == 4  # nothing to download


def test_a_deleted_file_is_downloaded_again(tmp_path, mirror):
    source = FashionMNIST(tmp_path / "root")
    source.prepare()
    path = tmp_path / "root/FashionMNIST/raw/t10k-images-idx3-ubyte.gz"
    path.write_bytes(b"broken")
    with pytest.raises(InputError, match="delete it"):
        source.load("test")
    path.unlink()
    source.prepare()
    assert len(source.load("test").labels_N) == 10
    assert len(mirror.requests) == 5


@pytest.mark.parametrize("failure", ["absent", "damaged", "another"])
def test_a_failing_server_is_one_line(tmp_path, mirror, failure):
    body = mirror.contents.pop("train-images-idx3-ubyte.gz")
    if failure != "absent":
        mirror.contents["train-images-idx3-ubyte.gz"] = {
            "damaged": body[:-5],
            "another": gzip.compress(b"\0" * 1000),
        }[failure]
    root = tmp_path / "root"
    with pytest.raises(InputError, match=r"download failed.*data=fashion_mnist_sample") as caught:
        FashionMNIST(root).prepare()
    assert "\n" not in str(caught.value)
    assert present(root) == ["FashionMNIST/raw/.download.lock"]


def test_a_complete_folder_is_not_written_to(tmp_path, contents, monkeypatch):
    write(tmp_path, contents)
    monkeypatch.setattr(published, "staging", lambda folder: pytest.fail("would write"))
    source = FashionMNIST(tmp_path)
    source.prepare()
    assert len(source.load("test").labels_N) == 10
    assert present(tmp_path) == sorted(contents)


def test_a_root_that_cannot_be_written_is_one_line(tmp_path, mirror):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"download failed.*Not a directory") as caught:
        FashionMNIST(tmp_path / "file" / "data").prepare()
    assert "\n" not in str(caught.value)


def test_sample():
    source = FashionMNISTSample()
    source.prepare()
    train, test = source.load("train"), source.load("test")
    assert train.images_NCHW.shape == (6000, 1, 28, 28)
    assert test.images_NCHW.shape == (1000, 1, 28, 28)
    assert torch.bincount(train.labels_N).tolist() == [600] * 10
    assert torch.bincount(test.labels_N).tolist() == [100] * 10
    # a sandal is mostly background, a pullover is not
    means = [train.images_NCHW[train.labels_N == label].float().mean() for label in range(10)]
    assert means[5] < 40 < 90 < means[2]
    assert (fashion_mnist.SAMPLE_FILE.parent / "LICENSE").is_file()


def test_a_damaged_sample_is_refused(tmp_path, monkeypatch):
    body = bytearray(fashion_mnist.SAMPLE_FILE.read_bytes())
    body[1000] ^= 1
    (tmp_path / "sample.png").write_bytes(body)
    monkeypatch.setattr(fashion_mnist, "SAMPLE_FILE", tmp_path / "sample.png")
    with pytest.raises(InputError, match="damaged; reinstall vgg_lit"):
        FashionMNISTSample().load("train")


@pytest.fixture
def full_data(data_folder):
    if not (data_folder / "fashion-mnist").is_dir():
        pytest.skip("needs Fashion-MNIST's idx files in $VGG_LIT_DATA/fashion-mnist")
    return data_folder


def test_the_published_files(full_data):
    source = FashionMNIST(full_data)
    source.prepare()
    train, test = source.load("train"), source.load("test")
    assert torch.bincount(train.labels_N).tolist() == [6000] * 10
    assert torch.bincount(test.labels_N).tolist() == [1000] * 10
    (mean,), (std,), _ = train.statistics()
    assert (round(mean, 4), round(std, 4)) == (0.2860, 0.3530)


def test_the_sample_is_made_from_the_published_files(full_data, tmp_path):
    script = Path(fashion_mnist.__file__).parents[2] / "scripts/make_fashion_mnist_sample.py"
    target = tmp_path / "sheet.png"
    command = [sys.executable, str(script), str(full_data), str(target)]
    environment = os.environ | {"PYTHONPATH": str(script.parents[1])}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert target.read_bytes() == fashion_mnist.SAMPLE_FILE.read_bytes()
