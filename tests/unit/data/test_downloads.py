import errno
import gzip
import hashlib
import threading
from functools import partial

import pytest
from faulty_server import serving
from operating_systems import unreadable

from vgg_lit.data import downloads
from vgg_lit.data.downloads import DownloadError, fetch, is_published, read_published, staging
from vgg_lit.errors import InputError

CONTENT = bytes(range(256)) * 200
SHA256 = hashlib.sha256(CONTENT).hexdigest()
read = partial(read_published, digest=SHA256)


@pytest.fixture(autouse=True)
def local_server_allowed(local_downloads, monkeypatch):
    """Allows downloads from a local test server and, as in use, over https."""
    monkeypatch.setattr(downloads, "SCHEMES", ("https:", "http://127.0.0.1"))


@pytest.fixture
def server():
    with serving({"file": CONTENT}) as server:
        yield server


def test_a_file_is_fetched_with_one_request(server, tmp_path, capsys):
    assert fetch(server.url + "file", tmp_path / "file", read) == CONTENT
    assert server.requests == [("file", 0)]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "faults",
    [
        "drop",
        "drop drop drop",
        "wrong",
        "slow",
        "busy",
        "closed",
        "endless",
        "drop wrong busy closed",
    ],
)
def test_transient_faults_are_retried(server, tmp_path, faults):
    server.faults = faults.split()
    assert fetch(server.url + "file", tmp_path / "file", read) == CONTENT


def test_an_interrupted_download_is_resumed(server, tmp_path):
    server.faults = ["drop"]
    fetch(server.url + "file", tmp_path / "file", read)
    assert server.requests == [("file", 0), ("file", len(CONTENT) // 2)]
    assert server.sent == len(CONTENT)


def test_a_wrong_partial_download_is_deleted(server, tmp_path):
    for beginning in (b"wrong", CONTENT + b"more"):
        (tmp_path / "file").write_bytes(beginning)
        assert fetch(server.url + "file", tmp_path / "file", read) == CONTENT


@pytest.mark.parametrize(
    ("fault", "attempts", "words"),
    [
        ("drop", 5, "interrupted after 25,600 of"),
        ("wrong", 5, "not the published content"),
        ("busy", 5, "HTTP status 503"),
        ("closed", 5, "closed connection"),
        ("gone", 1, "HTTP status 404"),
    ],
)
def test_a_permanent_failure_is_one_line(server, tmp_path, monkeypatch, fault, attempts, words):
    monkeypatch.setattr(downloads, "_receive", from_the_start(downloads._receive))
    server.faults = [fault] * 9
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(server.url + "file", tmp_path / "file", read)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == attempts


def from_the_start(receive):
    """`_receive` without resuming; with resuming, repeated halves would complete the file."""

    def receive_all(url, path, max_bytes):
        path.unlink(missing_ok=True)
        receive(url, path, max_bytes)

    return receive_all


def test_an_unreachable_server_is_not_retried(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PAUSES", (600.0,))
    with pytest.raises(DownloadError, match="refused"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", read)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/file", "file:///etc/passwd", "ftp://example.org/file", "data:,x", "//x/y"],
)
def test_only_https_is_allowed_even_after_a_redirect(server, tmp_path, url):
    with pytest.raises(DownloadError, match="only https"):
        fetch(url, tmp_path / "file", read)
    server.faults, server.redirect_to = ["redirect"], url
    with pytest.raises(DownloadError, match=r"only https|HTTP status|redirected"):
        fetch(server.url + "file", tmp_path / "file", read)
    assert not (tmp_path / "file").exists()


def test_an_endless_download_is_stopped(server, tmp_path):
    server.faults = ["endless"]
    with pytest.raises(DownloadError, match="larger than"):
        fetch(server.url + "file", tmp_path / "file", read, max_bytes=1000)
    assert (tmp_path / "file").stat().st_size <= 1000


def test_staging_is_exclusive(tmp_path, capsys):
    inside, most = [], []

    def work():
        with staging(tmp_path / "new") as folder:
            inside.append(folder)
            most.append(len(inside))
            (folder / "file").write_text("x")
            threading.Event().wait(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".download.lock"]


def test_a_file_system_without_locks_is_an_error_of_one_line(tmp_path, monkeypatch):
    def acquire(lock, timeout=None):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(downloads.FileLock, "acquire", acquire)
    with (
        pytest.raises(DownloadError, match="the file system does not support locks"),
        staging(tmp_path),
    ):
        raise AssertionError("the context was entered")


def test_a_failure_keeps_the_partial_download(tmp_path):
    def fail_after(write):
        with staging(tmp_path) as folder:
            write(folder / "part")
            raise KeyError

    with pytest.raises(KeyError):
        fail_after(lambda path: path.write_text("x"))
    with staging(tmp_path) as folder:
        assert (folder / "part").read_text() == "x"
    assert not folder.exists()
    with pytest.raises(KeyError):
        fail_after(lambda path: None)
    assert not folder.exists()


def test_published_content_is_verified_by_its_hash(tmp_path):
    (tmp_path / "plain").write_bytes(CONTENT)
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(CONTENT))
    assert read(tmp_path / "plain") == read(tmp_path / "zipped.gz") == CONTENT
    assert is_published(tmp_path / "plain", SHA256)
    (tmp_path / "plain").write_bytes(CONTENT[:-1])
    assert not is_published(tmp_path / "plain", SHA256)
    with pytest.raises(InputError, match="plain: damaged"):
        read(tmp_path / "plain")


def test_a_file_that_unpacks_beyond_the_limit_is_refused(tmp_path):
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(CONTENT))
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "zipped.gz", max_bytes=len(CONTENT) - 2)


def test_an_md5_is_told_by_its_length(tmp_path):
    (tmp_path / "plain").write_bytes(CONTENT)
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert is_published(tmp_path / "plain", md5)
    assert read_published(tmp_path / "plain", md5) == CONTENT
    (tmp_path / "plain").write_bytes(CONTENT[:-1])
    assert not is_published(tmp_path / "plain", md5)
    with pytest.raises(InputError, match="plain: damaged"):
        read_published(tmp_path / "plain", md5)


@unreadable
def test_a_file_without_permission_is_named(tmp_path):
    (tmp_path / "plain").write_bytes(CONTENT)
    (tmp_path / "plain").chmod(0)
    with pytest.raises(InputError, match="plain: cannot be read"):
        read(tmp_path / "plain")
