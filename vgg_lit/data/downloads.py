"""Downloads of published files over https, once for all processes and verified by a digest.

    with staging(root) as folder:  # one process at a time: check again for missing files here
        content = fetch(url, folder / "images.gz", partial(read_published, digest=SHA256))

An interrupted download stays in the staging folder and the next one resumes it. A file is moved to
its destination only after its digest matches. A digest is a SHA-256, or an MD5 for files with only an
MD5 published; the number of its digits tells them apart.
"""

import gzip
import hashlib
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

from vgg_lit.errors import InputError
from vgg_lit.system.locks import lacks_locks
from vgg_lit.system.progress_bars import progress_bar
from vgg_lit.system.terminal import visible

MAX_FILE_BYTES = 64 * 2**20
"""Default limit on the uncompressed size of a file; Fashion-MNIST's images have 45 MiB."""
MAX_DOWNLOAD_BYTES = 256 * 2**20
"""Default limit on the size of a download."""

T = TypeVar("T")

SCHEMES = ("https:",)
TIMEOUT = 60.0  # seconds without a byte
PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further attempt
_CHUNK = 2**18
_MD5_DIGITS = 32

# Errors worth a retry. An unreachable server is not retried.
_DROPPED = (ConnectionError, TimeoutError, ssl.SSLError, HTTPException)


class DownloadError(Exception):
    """A download that failed after all attempts; its message is one line."""


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yields a staging folder below `folder` under a lock, also across machines that share it.

    Raises:
        OSError: the folder cannot be written.
        DownloadError: the file system does not support locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Not 0644: in a shared folder, the lock file of one user would block the other users.
    lock = FileLock(folder / ".download.lock", mode=0o666)
    try:
        lock.acquire(timeout=2)
    except Timeout:
        print(
            f"waiting for another process that downloads to {visible(str(folder))}", file=sys.stderr
        )
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        if not lacks_locks(error):
            raise
        raise DownloadError(f"{folder}: the file system does not support locks") from error
    try:
        place = folder / ".download"
        place.mkdir(exist_ok=True)
        try:
            yield place
            shutil.rmtree(place)
        finally:
            with suppress(OSError):  # after a failure, a folder with a partial download is kept
                place.rmdir()
    finally:
        lock.release()


def fetch(
    url: str, path: Path, read: Callable[[Path], T], max_bytes: int = MAX_DOWNLOAD_BYTES
) -> T:
    """Downloads a file and returns `read(path)`; retries interrupted or damaged downloads.

    Args:
        url: address of the file.
        path: destination; existing content is taken as the beginning of the file and is continued.
        read: function that checks and reads the file; raises InputError if it is damaged.
        max_bytes: limit on the size of the file.

    Raises:
        DownloadError: the address is not https or redirects to one that is not, the server cannot be
            reached or does not have the file, or every attempt was interrupted or damaged.
        OSError: the file cannot be written.
    """
    reason = ""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            _receive(url, path, max_bytes)
        except urllib.error.HTTPError as error:
            reason = f"{url}: HTTP status {error.code}"
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            if error.code == 416:  # the existing content is not the beginning of the file
                path.unlink()
        except urllib.error.URLError as error:
            reason = f"{url}: {error.reason}"
            break
        except _DROPPED as error:
            reason = f"{url}: {type(error).__name__}: {error}"
        else:
            try:
                return read(path)
            except InputError:
                reason = f"{url}: not the published content"
                path.unlink()
    raise DownloadError(" ".join(reason.split()))


def is_published(path: Path, digest: str) -> bool:
    """Returns True if the file has this digest."""
    with path.open("rb") as file:
        found = _hasher(digest)
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest() == digest


def read_published(path: Path, digest: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Returns the content of a file (uncompressed for `.gz`) after checking its digest.

    Args:
        path: file.
        digest: digest of the uncompressed content.
        max_bytes: limit on the size of the uncompressed content.

    Raises:
        InputError: the digest differs, or the file cannot be read.
    """
    found = _hasher(digest)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(max_bytes + 1)  # bounds the unpacked size
        found.update(content)
        is_damaged = found.hexdigest() != digest
    except (gzip.BadGzipFile, EOFError, zlib.error):
        is_damaged = True
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if is_damaged:
        raise InputError(
            f"{path}: damaged (not the published content); delete it to download it again"
        )
    return content


def _hasher(digest: str) -> "hashlib._Hash":
    if len(digest) == _MD5_DIGITS:
        return hashlib.md5(usedforsecurity=False)
    return hashlib.sha256()


def _receive(url: str, path: Path, max_bytes: int) -> None:
    """Downloads the missing rest of a file and appends it to `path`."""
    begun = path.stat().st_size if path.is_file() else 0
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "vgg_lit"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    opener = urllib.request.build_opener(_SafeRedirects)
    with opener.open(request, timeout=TIMEOUT) as response:
        is_partial = response.status == 206
        with path.open("ab" if is_partial else "wb") as file:
            _copy(response, file.write, begun if is_partial else 0, path.name, max_bytes)


def _copy(
    response: HTTPResponse,
    write: Callable[[bytes], object],
    begun: int,
    name: str,
    max_bytes: int,
) -> None:
    """Writes the response body with a progress bar; raises ConnectionError if it is incomplete."""
    length = response.length  # None if the server does not send it
    total = None if length is None else begun + length
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    received = begun
    with progress_bar(*columns) as progress:
        task = progress.add_task(name, total=total, completed=begun)
        while chunk := response.read1(_CHUNK):
            received += len(chunk)
            if received > max_bytes:
                raise DownloadError(
                    f"{response.url}: larger than the limit of {max_bytes // 2**20} MiB"
                )
            write(chunk)
            progress.update(task, completed=received)
    if total is not None and received < total:
        raise ConnectionError(f"interrupted after {received:,} of {total:,} bytes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect handler that follows redirects to https only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if not url.startswith(SCHEMES):
        raise DownloadError(f"{url}: only https downloads are allowed")
