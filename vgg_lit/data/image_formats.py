"""The file formats that are read: endings, and checks of size and completeness before decoding.

Pillow decodes some files of which a part is missing and fills in grey, and allocates memory for a WebP
image before its size can be checked. The functions here read headers and markers only.
"""

import re
from mmap import mmap
from os.path import splitext

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""Pillow's names; a file is read by its content, not by its ending."""

ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Endings of file names, in lower case, that are taken for images."""

PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Formats in which a picture is written, by the ending of the file."""

FORMAT_NAMES = "PNG, JPEG, WebP, BMP, TIFF or GIF"

_PNG_END = b"IEND\xaeB`\x82"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # skips coded data and restart markers
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_JPEG_WITHOUT_LENGTH = (0x01, 0xD8)
# Tables, comments and further scans; after the first scan anything else is not part of the image.
_JPEG_BETWEEN_SCANS = (0xC4, _JPEG_SCAN, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0))
_GIF_EXTENSION, _GIF_FRAME, _GIF_END = 0x21, 0x2C, 0x3B


def is_image_name(name: str) -> bool:
    """Returns True if the ending of a file name is that of an image."""
    return splitext(name)[1].lower() in ENDINGS


def is_complete(image_format: str | None, body: mmap | bytes) -> bool:
    """Returns True if an image is not cut off; bytes after its end are ignored.

    BMP and TIFF have no end marker; their decoders count the pixels.

    Args:
        image_format: Pillow's name of the format.
        body: content of the file.
    """
    if image_format == "PNG":
        return body.rfind(_PNG_END) > 0
    if image_format in ("JPEG", "MPO"):  # MPO: a JPEG followed by further images
        return _is_complete_jpeg(body)
    if image_format == "GIF":
        return _is_complete_gif(body)
    if image_format == "WEBP":
        return int.from_bytes(body[4:8], "little") + 8 <= len(body)
    return True


def _is_complete_jpeg(body: mmap | bytes) -> bool:
    """Returns True if the markers from the start of the file lead to the end of the image.

    The last marker of the file is not enough: phones append videos, which contain any bytes.
    """
    position, in_scans = 2, False
    while found := _JPEG_MARKER.search(body, position):
        marker, position = body[found.end() - 1], found.end()
        if marker == _JPEG_END:
            return in_scans
        if in_scans and marker not in _JPEG_BETWEEN_SCANS:
            return False
        if marker not in _JPEG_WITHOUT_LENGTH:
            position += max(2, int.from_bytes(body[position : position + 2], "big"))
        in_scans |= marker == _JPEG_SCAN
    return False


def _is_complete_gif(body: mmap | bytes) -> bool:
    """Returns True if the blocks of the file lead to its trailer, after at least one frame."""
    try:
        position, has_frame = 13 + _palette_bytes(body[10]), False
        while (kind := body[position]) != _GIF_END:
            if kind == _GIF_EXTENSION:
                position += 2
            elif kind == _GIF_FRAME:
                has_frame = True
                position += 11 + _palette_bytes(body[position + 9])
            else:
                return False
            while length := body[position]:
                position += 1 + length
            position += 1
    except IndexError:
        return False
    return has_frame


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Returns width and height of a WebP image from its first 30 bytes; None for other content."""
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = head[24:27], head[27:30]
        return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = head[26:28], head[28:30]
    return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
