"""Thirty bad image files of each format are refused by name, from their header if possible."""

import io
import struct
import zlib

import numpy as np
import pytest
from memory import GROWTH, forget_peak, peak
from PIL import Image

from vgg_lit.data.images import read_image
from vgg_lit.errors import InputError

SIDE = 64
HUGE = 60_000
"""Side of the bombs, pixels: 3.6 gigapixels."""


def encoded(form, mode="RGB", **options):
    """Returns an encoded random image."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, *chunks, bits=8, colour=0):
    """Returns a PNG of these chunks."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def replaced(body, place, part):
    """Returns the body with other bytes at a place."""
    return body[:place] + part + body[place + len(part) :]


def tiff_with(body, tag, value):
    """Returns a TIFF with another value of a tag in its first directory."""
    (directory,) = struct.unpack_from("<I", body, 4)
    (count,) = struct.unpack_from("<H", body, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", body, entry)[0] == tag:
            return replaced(body, entry + 2, struct.pack("<HII", 4, 1, value))
    raise AssertionError(f"no tag {tag}")


PNG, JPEG = encoded("PNG"), encoded("JPEG", quality=95)
WEBP, LOSSLESS = encoded("WEBP"), encoded("WEBP", lossless=True)
BMP, GIF = encoded("BMP"), encoded("GIF")
TIFF, ZIPPED = encoded("TIFF"), encoded("TIFF", compression="tiff_adobe_deflate")
GOOD = {
    "png": PNG,
    "jpg": JPEG,
    "webp": WEBP,
    "lossless.webp": LOSSLESS,
    "bmp": BMP,
    "tif": TIFF,
    "zipped.tif": ZIPPED,
    "gif": GIF,
}
EMPTY = chunk(b"IDAT", zlib.compress(b""))
FRAME = JPEG.index(b"\xff\xc0") + 5
SIZE = struct.pack("<I", HUGE)

# No image of any format.
FOREIGN = {
    "empty": b"",
    "text": b"this is not an image\n" * 100,
    "page": b"<!DOCTYPE html><html><body>404</body></html>",
    "drawing": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "zeros": bytes(10_000),
    "program": b"\x7fELF" + bytes(1000),
    "pickle": b"\x80\x04\x95cos\nsystem\n(S'touch executed'\ntR.",
    "archive": b"PK\x03\x04" + bytes(1000),
}


def cut(body):
    """Returns an image without its last part, cut at several places."""
    places = (4, 8, 12, 20, 30, 40, *(len(body) * k // 8 for k in range(1, 8)), len(body) - 1)
    return {f"cut-{place}": body[:place] for place in sorted(set(places))}


SPECIAL = {
    "png": {
        "no-end": PNG[:-12],
        "flipped": replaced(PNG, len(PNG) // 2, bytes([PNG[len(PNG) // 2] ^ 16])),
        "no-pixels": png(32, 32),
        "few-pixels": png(32, 32, EMPTY),
        "no-width": png(0, 32, EMPTY),
        "no-palette": png(32, 32, EMPTY, colour=3),
        "depth": png(32, 32, EMPTY, bits=7),
        "bomb": png(12_000, 12_000, chunk(b"IDAT", zlib.compress(bytes(12_000 * 12_001), 9))),
        "large-bomb": png(2**31 - 1, 2**31 - 1, EMPTY),
        "text-bomb": png(32, 32, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 * 10**8))), EMPTY),
    },
    "jpg": {
        "no-end": JPEG[:-2],
        "padded": replaced(JPEG, len(JPEG) // 2, bytes(len(JPEG) // 2)),
        "bomb": replaced(JPEG, FRAME, struct.pack(">HH", HUGE, HUGE)),
        "no-width": replaced(JPEG, FRAME + 2, b"\0\0"),
        "no-tables": JPEG.replace(b"\xff\xdb", b"\xff\xec"),
        "no-scan": JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9",
        "film-after-half": JPEG[: len(JPEG) // 2] + b"\xff\xc0ftypmp42" + bytes(5000),
        "end-only": b"\xff\xd8\xff\xd9",
    },
    "webp": {
        "bomb": replaced(LOSSLESS, 21, b"\xff\xff\xff\x0f"),
        "lossy-bomb": replaced(WEBP, 26, b"\xff\x3f\xff\x3f"),
        "canvas-bomb": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2,
        "padded": replaced(LOSSLESS, 40, bytes(len(LOSSLESS) - 40)),
        "no-frame": replaced(WEBP, 12, b"VP8Z"),
        "no-start": replaced(WEBP, 23, b"\0\0\0"),
        "lossless-signature": replaced(LOSSLESS, 20, b"\0"),
        "size": replaced(WEBP, 4, b"\xff\xff\xff\x7f"),
    },
    "bmp": {
        "bomb": replaced(BMP, 18, SIZE * 2),
        "flat-bomb": replaced(BMP, 22, struct.pack("<i", -(2**31))),
        "no-width": replaced(BMP, 18, bytes(4)),
        "depth": replaced(BMP, 28, b"\x07\0"),
        "compression": replaced(BMP, 30, b"\x63\0\0\0"),
        "header": replaced(BMP, 14, b"\xff\0\0\0"),
        "offset": replaced(BMP, 10, b"\xff\xff\xff\x7f"),
        "larger": replaced(BMP, 18, struct.pack("<I", 2 * SIDE)),
    },
    "tif": {
        "bomb": tiff_with(tiff_with(TIFF, 256, HUGE), 257, HUGE),
        "zip-bomb": tiff_with(tiff_with(ZIPPED, 256, HUGE), 257, HUGE),
        "no-width": tiff_with(TIFF, 256, 0),
        "larger": tiff_with(TIFF, 257, 2 * SIDE),
        "zip-larger": tiff_with(ZIPPED, 257, 2 * SIDE),
        "compression": tiff_with(TIFF, 259, 9999),
        "photometric": tiff_with(TIFF, 262, 77),
        "strip": tiff_with(TIFF, 273, 2**31),
        "flipped": replaced(ZIPPED, 1000, bytes(1000)),
        "directory": replaced(TIFF, 4, b"\xff\xff\xff\x7f"),
    },
    "gif": {
        "bomb": replaced(GIF, 6, b"\xff\xff\xff\xff"),
        "frame-bomb": replaced(GIF, 786, b"\xff\xff\xff\xff"),
        "no-end": GIF[:-1],
        "no-frame": GIF[:13] + b"\0" * 768 + b";",
        "block": replaced(GIF, 781, b"\x99"),
        "no-pixels": GIF[:791] + b"\x08\0;",
        "few-pixels": GIF[:791] + b"\x08\x02\0\x01\0;",
        "code-size": replaced(GIF, 791, b"\x20"),
    },
}


def bad_images(ending):
    """Returns thirty bad files of a format by name."""
    files = {**FOREIGN, **SPECIAL[ending], **cut(GOOD[ending])}
    if ending in ("webp", "tif"):  # also of the other compression
        other = next(body for name, body in GOOD.items() if name.endswith(f".{ending}"))
        files |= {f"other-{name}": body for name, body in cut(other).items()}
    return {f"{name}.{ending}": body for name, body in list(files.items())[:30]}


@pytest.mark.parametrize("ending", SPECIAL)
def test_bad_images_are_named_in_one_line(ending, mark, tmp_path):
    files = bad_images(ending)
    assert len(files) == 30
    assert list(SPECIAL[ending])[-1] in " ".join(files)
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
        forget_peak()
        before = peak()
        with pytest.raises(InputError, match=name) as caught:
            read_image(tmp_path / name, 3, 32)
        assert "\n" not in str(caught.value)
        assert peak() - before < GROWTH, name


BAD = bad_images("png")


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_predict_refuses_a_bad_image(name, refused, mark, tiny_run, tmp_path):
    (tmp_path / name).write_bytes(BAD[name])
    error = refused("predict", f"run={tiny_run.path}", f"images={name}", "accelerator=cpu")
    assert error.startswith(f"{name}: ")
    assert "0 of 1 images were classified" in error


def test_good_images_are_classified_despite_bad_ones(refused, tiny_run, tmp_path):
    good = {f"good.{name}": body for name, body in GOOD.items()}
    for name, body in {**BAD, **good}.items():
        (tmp_path / name).write_bytes(body)
    error = refused(
        "predict", f"run={tiny_run.path}", "images=.", "accelerator=cpu", "output=a.csv"
    )
    assert "(and 29 more); 8 of 38 images were classified" in error
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 9
