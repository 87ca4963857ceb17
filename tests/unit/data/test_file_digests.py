import hashlib
import os

import pytest

from vgg_lit.data import file_digests
from vgg_lit.data.file_digests import FileDigests
from vgg_lit.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode() * 9)
    return folder


@pytest.fixture
def reads(monkeypatch):
    """Paths that are read for a digest."""
    paths, read = [], file_digests.read_digest

    def spy(path):
        paths.append(os.path.basename(path))
        return read(path)

    monkeypatch.setattr(file_digests, "read_digest", spy)
    return paths


def test_a_digest_is_that_of_the_content_and_is_read_once(folder, reads):
    found = FileDigests(folder).of(["b", "a"])
    assert [digest for digest, _, _ in found] == [
        hashlib.sha256(name * 9).hexdigest() for name in (b"b", b"a")
    ]
    assert [size for _, size, _ in found] == [9, 9]
    assert FileDigests(folder).of(["a", "b"]) == found[::-1]
    assert reads == ["b", "a"]


def test_a_changed_file_is_read_again_even_with_its_old_size_and_time(folder, reads):
    before = FileDigests(folder).of(["a", "b"])
    status = os.stat(folder / "a")
    (folder / "a").write_bytes(b"x" * 9)
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    reads.clear()
    after = FileDigests(folder).of(["a", "b"])
    assert reads == ["a"]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_files_that_change_places_are_read_again(folder):
    first, second = FileDigests(folder).of(["a", "b"])
    os.utime(folder / "a", (1, 1))
    os.utime(folder / "b", (1, 1))
    FileDigests(folder).of(["a", "b"])
    (folder / "a").rename(folder / "c")
    (folder / "b").rename(folder / "a")
    (folder / "c").rename(folder / "b")
    after = FileDigests(folder).of(["a", "b"])
    assert [digest for digest, *_ in after] == [second.digest, first.digest]


@pytest.mark.parametrize(
    "content",
    ["", "{", "digests of files, version 1\nab 1/2/3 a\n", None],
)
def test_a_damaged_store_is_filled_again(folder, cache, content):
    expected = FileDigests(folder).of(["a", "b"])
    (file,) = cache.glob("*.digests")
    file.write_text(file.read_text().replace("a", "b") if content is None else content)
    assert FileDigests(folder).of(["a", "b"]) == expected


def test_a_missing_file_is_named(folder):
    with pytest.raises(InputError, match=r"files.c: cannot be read \(.*file"):
        FileDigests(folder).of(["c"])


@pytest.mark.usefixtures("any_file_name")
def test_any_name_is_stored(folder, reads):
    names = ["two\nlines", "back\\nslash", "tab\tand space", "caf\udce9", "r\rr", "u\u2028u"]
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    before = FileDigests(folder).of(names)
    reads.clear()
    assert FileDigests(folder).of(names) == before
    assert not reads
    assert len(set(before)) == len(names)
