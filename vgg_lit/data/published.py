"""Published data sets: files verified by their digests, downloaded or unpacked once.

A data set names its files with `PublishedFile` and inherits `prepare` from `PublishedImages`.
"""

import gzip
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from vgg_lit.data.downloads import DownloadError, fetch, is_published, read_published, staging
from vgg_lit.errors import InputError
from vgg_lit.system.files import expanded, replacing

MIB = 2**20


@dataclass(frozen=True)
class PublishedFile:
    """A file at an https address, or an archive of files.

    Attributes:
        name: name of the file.
        url: address.
        digest: SHA-256 of the file, in hexadecimal, or its MD5.
        max_bytes: limit on the size of the file.
        max_content: limit on the size of its uncompressed content, or of each member.
        of_content: True if `digest` is that of the content of a `.gz`; then an uncompressed file
            without the ending is used as well.
        members: digests of the members of a tar archive by name. They are unpacked, and a
            downloaded archive is deleted. Empty for a file that is read itself.
        unread: members that may be missing in a folder that was unpacked elsewhere.
    """

    name: str
    url: str
    digest: str
    max_bytes: int = 64 * MIB
    max_content: int = 64 * MIB
    of_content: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()


class PublishedImages:
    """A data set of published files; the base of the data sets by name.

    Args:
        root: folder that contains one of the data set's folders.
        download: True allows downloading missing files.

    Attributes:
        title: name of the data set in messages.
        folders: folders below `root` that are searched for the files; downloads are written to the
            first.
    """

    title: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    files: tuple[PublishedFile, ...]

    def __init__(self, root: str | Path, download: bool = True) -> None:
        self.root = expanded(root)
        self.download = download

    def prepare(self) -> None:
        """Unpacks archives that are in root and downloads missing files; only one process does.

        Raises:
            InputError: an archive is damaged, or a file is missing and cannot be downloaded.
        """
        absent = self._absent()
        if not absent:
            return
        if not self.download and any(self._archive(file) is None for file in absent):
            raise InputError(self._remedy(absent, "not found, and download=false"))
        target = self.root / self.folders[0]
        try:
            with staging(target) as place:
                for file in self._absent():  # fewer, if this process had to wait for another
                    self._obtain(file, target, place)
        except (OSError, DownloadError) as error:
            if archives := [path for file in absent if (path := self._archive(file))]:
                raise InputError(
                    f"{self.title}: {archives[0]} cannot be unpacked into {target} ({error}); copy it to a folder "
                    "that can be written, and set data_root to that folder"
                ) from None
            raise InputError(
                self._remedy(absent, f"not found, and the download failed ({error})")
            ) from None

    def _read(self, name: str) -> bytes:
        """Returns the verified and uncompressed content of a file or of a member of an archive.

        Raises:
            InputError: the file is missing or damaged.
        """
        file = next(file for file in self.files if name == file.name or name in file.members)
        path = self._located(file, name)
        if name in file.members:
            return read_published(path, file.members[name], file.max_content)
        if file.of_content:
            return read_published(path, file.digest, file.max_content)
        _check(path, file)
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
                return opened.read(max(file.max_content, file.max_bytes))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None

    def _verified(self, name: str) -> Path:
        """Returns the path of a file after checking its digest.

        Raises:
            InputError: the file is missing or damaged.
        """
        file = next(file for file in self.files if name == file.name)
        path = self._located(file, name)
        _check(path, file)
        return path

    def _located(self, file: PublishedFile, name: str) -> Path:
        path = self._find(file, name)
        if path is None:
            raise InputError(self._remedy([file], "not found"))
        return path

    def _obtain(self, file: PublishedFile, target: Path, place: Path) -> None:
        archive = self._archive(file)
        if archive is not None:
            _unpack(archive, file, target)
        elif file.members:
            read = partial(_unpack, file=file, target=target)
            fetch(file.url, place / file.name, read, file.max_bytes)
        else:
            fetch(file.url, place / file.name, partial(_check, file=file), file.max_bytes)
            (place / file.name).replace(target / file.name)

    def _absent(self) -> list[PublishedFile]:
        return [
            file
            for file in self.files
            if any(
                self._find(file, name) is None
                for name in (file.members.keys() - file.unread or (file.name,))
            )
        ]

    def _find(self, file: PublishedFile, name: str) -> Path | None:
        names = (name.removesuffix(".gz"), name) if file.of_content else (name,)
        candidates = (self.root / folder / each for folder in self._searched() for each in names)
        return next((path for path in candidates if path.is_file()), None)

    def _archive(self, file: PublishedFile) -> Path | None:
        """Returns the path of an archive that can be unpacked, if there is one."""
        candidates = (self.root / folder / file.name for folder in (*self._searched(), ""))
        return next((path for path in candidates if file.members and path.is_file()), None)

    def _searched(self) -> tuple[str, ...]:
        """Returns the folders; `root` itself is one if it has the name of the data set's folder."""
        is_own = self.root.resolve().name.lower() in {folder.lower() for folder in self.folders}
        return (*self.folders, "") if is_own else self.folders

    def _remedy(self, files: list[PublishedFile], problem: str) -> str:
        names = ", ".join(file.name for file in files)
        are_archives = all(file.members for file in files)  # unpacked to a folder below root
        place = self.root if are_archives else self.root / self.folders[-1]
        return (
            f"{self.title}: {names} {problem}; put {'them' if len(files) > 1 else 'it'} into {place},"
            " or use data=fashion_mnist_sample, which needs no download"
        )


def _check(path: Path, file: PublishedFile) -> None:
    if file.of_content:
        read_published(path, file.digest, file.max_content)
        return
    try:
        is_damaged = path.stat().st_size > file.max_bytes or not is_published(path, file.digest)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if is_damaged:
        raise InputError(
            f"{path}: damaged (not the published content); delete it to download it again"
        )


def _unpack(archive: Path, file: PublishedFile, target: Path) -> None:
    """Extracts the members of a verified archive to `target`, each atomically and verified.

    Raises:
        InputError: the archive or a member is not the published one.
    """
    _check(archive, file)
    missing = dict(file.members)
    with tarfile.open(archive) as tar:
        for entry in tar:
            name = Path(entry.name).name
            member = tar.extractfile(entry) if entry.isfile() and name in missing else None
            if member is None:
                continue
            with replacing(target / name) as temporary:
                temporary.write_bytes(member.read(file.max_content + 1))
                read_published(temporary, missing.pop(name), file.max_content)
            if not missing:
                return
    raise InputError(f"{archive}: has no {', '.join(missing)}")
