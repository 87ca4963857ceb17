"""Published files, known by their SHA-256: fetched over https once for all processes, checked when read.

    with staging(root) as folder:  # one process at a time: ask again now what is absent
        content = fetch(url, folder / "images.gz", partial(read_published, sha256=SHA256))

What a broken download has brought stays in the staging folder, and the next one goes on from there.
Nothing is put in place before its hash matches.
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
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from vgg_lit.errors import InputError

MAX_FILE_BYTES = 64 * 2**20
"""Of one file's uncompressed content; the largest we know, Fashion-MNIST's training images, has 45 MiB."""
MAX_DOWNLOAD_BYTES = 256 * 2**20

T = TypeVar("T")

SCHEMES = ("https:",)
TIMEOUT = 60.0  # seconds without a byte
PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further attempt
_CHUNK = 2**18

# What a further attempt may mend. A server that cannot be reached at all is none of them.
_DROPPED = (ConnectionError, TimeoutError, ssl.SSLError, HTTPException)


class DownloadError(Exception):
    """A download that failed for good; its message is one line."""


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A place for downloads below `folder`, for one process at a time, on all machines that share it.

    Raises:
        OSError: the folder cannot be written.
        DownloadError: its file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Not 0644, or the file that one user leaves would keep out the others of a shared folder.
    lock = FileLock(folder / ".download.lock", mode=0o666)
    try:
        lock.acquire(timeout=2)
    except Timeout:
        print(f"waiting for another process, which downloads to {folder}", file=sys.stderr)
        lock.acquire()
    except NotImplementedError as error:
        raise DownloadError(f"{folder}: its file system has no locks") from error
    try:
        place = folder / ".download"
        place.mkdir(exist_ok=True)
        try:
            yield place
            shutil.rmtree(place)
        finally:
            with suppress(OSError):  # after a failure it stays if it holds the beginning of a file
                place.rmdir()
    finally:
        lock.release()


def fetch(url: str, path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of a downloaded file; tries again what breaks off or arrives damaged.

    Args:
        url: of the file.
        path: where it goes; what lies there is the beginning of it.
        read: checks the file, and raises InputError if it is damaged.

    Raises:
        DownloadError: the address is not https or leads elsewhere, the server cannot be reached or has
            no such file, or every attempt broke off or brought something else.
        OSError: the file cannot be written.
    """
    reason = ""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            _receive(url, path)
        except urllib.error.HTTPError as error:
            reason = f"{url}: HTTP status {error.code}"
            if error.code < 500 and error.code not in (408, 416, 429):
                break
            if error.code == 416:  # what there is already is no beginning of the file
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


def is_published(path: Path, sha256: str) -> bool:
    """Whether a file is the one that has this SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == sha256


def read_published(path: Path, sha256: str) -> bytes:
    """The content of a file, of one in `.gz` uncompressed, if it has this SHA-256.

    Raises:
        InputError: it has another, or cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(
                MAX_FILE_BYTES + 1
            )  # and no more, whatever the file would unpack to
        is_damaged = hashlib.sha256(content).hexdigest() != sha256
    except (gzip.BadGzipFile, EOFError, zlib.error):
        is_damaged = True
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if is_damaged:
        raise InputError(
            f"{path}: damaged (not the published content); delete it, it is downloaded again"
        )
    return content


def _receive(url: str, path: Path) -> None:
    """Adds to `path` what of a file is not there yet."""
    begun = path.stat().st_size if path.is_file() else 0
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "vgg_lit"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    opener = urllib.request.build_opener(_SafeRedirects)
    with opener.open(request, timeout=TIMEOUT) as response:
        goes_on = response.status == 206
        with path.open("ab" if goes_on else "wb") as file:
            _copy(response, file.write, begun if goes_on else 0, path.name)


def _copy(response: HTTPResponse, write: Callable[[bytes], object], begun: int, name: str) -> None:
    """Passes the body on with a progress bar, and tells one that broke off from one that ended."""
    length = response.length  # None if the server does not say
    total = None if length is None else begun + length
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    received = begun
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=total, completed=begun)
        while chunk := response.read1(_CHUNK):
            received += len(chunk)
            if received > MAX_DOWNLOAD_BYTES:
                raise DownloadError(f"{response.url}: larger than any data set here")
            write(chunk)
            progress.update(task, completed=received)
    if total is not None and received < total:
        raise ConnectionError(f"broke off after {received:,} of {total:,} bytes")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to https alone."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if not url.startswith(SCHEMES):
        raise DownloadError(f"{url}: downloads are taken over https alone")
