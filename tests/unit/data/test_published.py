"""Data sets by name: files found, verified, unpacked, downloaded once and refused in one line."""

import gzip
import json
import os
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_sets
import torch
from faulty_server import serving
from torchvision import datasets

from vgg_lit.data import cifar100, mnist, stl10, svhn
from vgg_lit.data.cifar100 import CIFAR100
from vgg_lit.data.mnist import EMNIST, KMNIST, MNIST
from vgg_lit.data.sources import Source
from vgg_lit.data.stl10 import STL10
from vgg_lit.data.svhn import SVHN
from vgg_lit.errors import InputError

SETS = {
    "mnist": (MNIST, small_sets.make_mnist, "mnist"),
    "kmnist": (KMNIST, small_sets.make_kmnist, "KMNIST/raw"),
    "emnist": (EMNIST, small_sets.make_emnist, "emnist"),
    "cifar100": (CIFAR100, small_sets.make_cifar100, "."),
    "stl10": (STL10, small_sets.make_stl10, "."),
    "svhn": (SVHN, small_sets.make_svhn, "."),
}


@pytest.fixture(params=SETS)
def name(request):
    return request.param


@pytest.fixture
def contents(name, monkeypatch):
    """The published files of a small copy: name -> bytes."""
    return SETS[name][1](monkeypatch)


@pytest.fixture
def root(name, contents, tmp_path):
    """A folder with the published files."""
    folder = tmp_path / "root" / SETS[name][2]
    folder.mkdir(parents=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    return tmp_path / "root"


@pytest.fixture
def server(contents, local_downloads, monkeypatch):
    """A local server that replaces the published addresses."""
    with serving(contents) as server:
        use_server(monkeypatch, server.url)
        yield server


def use_server(monkeypatch, url):
    monkeypatch.setattr(mnist, "MNIST_URL", url)
    monkeypatch.setattr(mnist, "KMNIST_URL", url)
    monkeypatch.setattr(svhn, "URL", url)
    monkeypatch.setattr(mnist, "EMNIST_URL", url + "gzip.zip")
    monkeypatch.setattr(cifar100, "URL", url + "cifar-100-python.tar.gz")
    monkeypatch.setattr(stl10, "URL", url + "stl10_binary.tar.gz")


def test_published_files_in_root_are_used(name, root):
    source = SETS[name][0](root, download=False)
    assert isinstance(source, Source)
    source.prepare()
    small_sets.check_images(name, source)


def test_the_folder_of_the_data_set_itself_can_be_the_root(name, root):
    build, _, folder = SETS[name]
    if folder == ".":
        pytest.skip("its files are in root already")
    source = build(root / folder, download=False)
    if folder.endswith("raw"):
        with pytest.raises(InputError, match="not found, and download=false"):
            source.prepare()
    else:
        source.prepare()
        small_sets.check_images(name, source)


def test_download(name, server, tmp_path):
    server.faults = ["drop", "wrong"]
    source = SETS[name][0](tmp_path / "new")
    source.prepare()
    small_sets.check_images(name, source)
    requested = {file for file, _ in server.requests}
    assert requested == {file for file in server.contents if not file.startswith("extra")}
    requests = len(server.requests)
    SETS[name][0](tmp_path / "new").prepare()
    assert len(server.requests) == requests
    left = [path.name for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert not [file for file in left if file.endswith((".tar.gz", ".tmp"))]


def test_a_missing_file_without_download_is_one_line(name, contents, tmp_path):
    source = SETS[name][0](tmp_path / "none", download=False)
    for call in (source.prepare, lambda: source.load("train")):
        with pytest.raises(InputError, match="fashion_mnist_sample") as caught:
            call()
        assert re.search(r"not found.* put (it|them) into", str(caught.value))
        assert str(tmp_path / "none") in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("fault", ["gone", "wrong"])
def test_a_failing_server_is_one_line(name, server, tmp_path, fault):
    server.faults = [fault] * 50
    with pytest.raises(InputError, match="download failed") as caught:
        SETS[name][0](tmp_path / "new").prepare()
    assert "\n" not in str(caught.value)
    files = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {".download.lock"}


def test_files_that_are_cut_or_changed_are_refused(name, root, contents):
    """Truncates at random places, flips bits and replaces the file by a pickle."""
    draws = random.Random(0)
    payload = pickle.dumps(Bomb())
    for file, content in contents.items():
        if file.startswith("extra"):
            continue
        path = next(root.rglob(file))
        cuts = [content[: draws.randrange(len(content))] for _ in range(4)]
        place = draws.randrange(len(content))
        flipped = content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]
        # a change of the gzip header or of a time stamp leaves MNIST's content as published
        for damaged in (*cuts, *([] if name == "mnist" else [flipped]), b"", payload):
            path.write_bytes(damaged)
            source = SETS[name][0](root, download=False)
            with pytest.raises(InputError, match=r"damaged.*delete it") as caught:
                prepare_and_load(source)
            assert file in str(caught.value)
            assert "\n" not in str(caught.value)
        path.write_bytes(content)
    SETS[name][0](root, download=False).prepare()


def prepare_and_load(source):
    source.prepare()
    source.load("train")
    source.load("test")


class Bomb:
    """Ends the process if it is unpickled."""

    def __reduce__(self):
        return os._exit, (77,)


@pytest.mark.parametrize("name", ["cifar100", "stl10"], indirect=True)
def test_unpacked_files_are_verified_in_every_read(name, root):
    source = SETS[name][0](root)
    source.prepare()
    folder = root / source.folders[0]
    next(root.glob("*.tar.gz")).unlink()
    for file in ("train", "test") if name == "cifar100" else ("train_X.bin", "test_y.bin"):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError, match=f"{file}: damaged"):
            source.load(file[:5].rstrip("_"))
        (folder / file).write_bytes(content)
    small_sets.check_images(name, source)


@pytest.mark.parametrize("name", ["cifar100", "stl10"], indirect=True)
def test_a_missing_member_is_unpacked_again(name, root):
    source = SETS[name][0](root, download=False)
    source.prepare()
    file = "train" if name == "cifar100" else "train_X.bin"
    (root / source.folders[0] / file).unlink()
    with pytest.raises(InputError, match="not found"):
        source.load("train")
    source.prepare()
    small_sets.check_images(name, source)


@pytest.mark.parametrize("name", ["stl10"], indirect=True)
def test_an_archive_without_a_file_is_refused(name, root, monkeypatch):
    monkeypatch.setitem(stl10.MEMBERS, "more.bin", "0" * 32)
    with pytest.raises(InputError, match=r"stl10_binary\.tar\.gz: has no more\.bin"):
        STL10(root).prepare()


@pytest.mark.parametrize("name", ["mnist", "cifar100"], indirect=True)
def test_racing_processes_download_once(name, server, contents, tmp_path):
    server.faults = ["slow"]
    digests = mnist.MNIST_FILES if name == "mnist" else cifar100.MEMBERS
    code = """
import json, sys
from vgg_lit.data import cifar100, downloads, mnist
name, url, root, archive, digests = sys.argv[1:]
downloads.SCHEMES, downloads.PAUSES = ("http://127.0.0.1",), (0.1,) * 4
mnist.MNIST_URL, mnist.MNIST_FILES = url, json.loads(digests)
cifar100.URL = url + "cifar-100-python.tar.gz"
cifar100.MEMBERS, cifar100.ARCHIVE_SHA256 = json.loads(digests), archive
sys.stdin.read()
source = {"mnist": mnist.MNIST, "cifar100": cifar100.CIFAR100}[name](root)
source.prepare()
print(len(source.load("train").labels_N), len(source.load("test").labels_N))
"""
    arguments = [name, server.url, str(tmp_path / "new"), cifar100.ARCHIVE_SHA256]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments, json.dumps(digests)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    for process in processes:
        output, error = process.communicate(timeout=120)
        assert output.split() == ["30", "20"], error
    assert len(server.requests) == len(contents)


def test_digests_names_and_addresses_match_torchvision():
    """torchvision publishes MD5 values; addresses differ in the scheme at most."""
    assert [member[1] for member in datasets.STL10.train_list[:2]] == [
        *(stl10.MEMBERS["train_X.bin"], stl10.MEMBERS["train_y.bin"]),
    ]
    assert dict(datasets.STL10.test_list).items() <= stl10.MEMBERS.items()
    published = dict(datasets.CIFAR100.train_list + datasets.CIFAR100.test_list)
    assert published.items() <= cifar100.MEMBERS.items()
    assert cifar100.MEMBERS["meta"] == datasets.CIFAR100.meta["md5"]
    assert datasets.CIFAR100.url == cifar100.URL
    assert https(datasets.STL10.url) == stl10.URL
    assert datasets.EMNIST.url == mnist.EMNIST_URL
    assert datasets.MNIST.mirrors[0] == mnist.MNIST_URL
    assert https(datasets.KMNIST.mirrors[0]) == mnist.KMNIST_URL
    for file in svhn.FILES:
        assert https(datasets.SVHN.split_list[file.split("_")[0]][0]) == svhn.URL + file
    for file, _ in datasets.MNIST.resources:
        assert file.removesuffix(".gz") in mnist.MNIST_FILES
        assert file.removesuffix(".gz") in mnist.KMNIST_FILES
    assert list(KMNIST.classes) == datasets.KMNIST.classes


def https(url):
    return url.replace("http://", "https://")


@pytest.mark.parametrize(
    "digest",
    [
        *mnist.MNIST_FILES.values(),
        *mnist.KMNIST_FILES.values(),
        *svhn.FILES.values(),
        *cifar100.MEMBERS.values(),
        *stl10.MEMBERS.values(),
        mnist.EMNIST_SHA256,
        cifar100.ARCHIVE_SHA256,
        stl10.ARCHIVE_SHA256,
    ],
)
def test_digests_are_well_formed(digest):
    assert re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", digest)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"split=all: unknown; allowed: balanced, byclass"):
        EMNIST(tmp_path, split="all")
    with pytest.raises(InputError, match=r"labels=both: unknown; allowed: fine, coarse"):
        CIFAR100(tmp_path, labels="both")


@pytest.mark.parametrize("name", ["stl10", "svhn", "mnist", "cifar100"], indirect=True)
def test_images_are_those_of_torchvision(name, root, monkeypatch):
    """Reads the same files with torchvision's classes, without their digests."""
    for module in ("cifar", "svhn", "stl10"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda *_: True)
    build, _, _ = SETS[name]
    source = build(root, download=False)
    source.prepare()
    if name == "mnist":
        raw = root / "MNIST/raw"
        raw.mkdir(parents=True)
        for path in Path(root / "mnist").iterdir():
            (raw / path.name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    flag = {"train": False} if name in ("mnist", "cifar100") else {"split": "test"}
    theirs = getattr(datasets, build.__name__)(str(root), **flag)
    ours = source.load("test")
    assert len(theirs) == len(ours.labels_N)
    for position, (image, label) in enumerate(theirs):
        pixels = torch.from_numpy(np.array(image))
        pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
        assert torch.equal(ours.images_NCHW[position], pixels)
        assert int(ours.labels_N[position]) == int(label)
