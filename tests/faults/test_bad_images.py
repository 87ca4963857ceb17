"""Thirty bad image files are refused by name, from their header if possible."""

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


def jpeg_of_size(side):
    """Returns a JPEG with a false size in its header."""
    body = bytearray(encoded("JPEG"))
    place = body.index(b"\xff\xc0") + 5
    body[place : place + 4] = struct.pack(">HH", side, side)
    return bytes(body)


def flipped(body, place):
    return body[:place] + bytes([body[place] ^ 0x10]) + body[place + 1 :]


PNG, JPEG = encoded("PNG"), encoded("JPEG", quality=95)
EMPTY = chunk(b"IDAT", zlib.compress(b""))
BAD = {
    "empty.png": b"",
    "text.png": b"this is not an image\n" * 100,
    "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
    "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "zeros.jpg": bytes(10_000),
    "program.png": b"\x7fELF" + bytes(1000),
    "pickle.png": b"\x80\x04\x95cos\nsystem\n(S'touch executed'\ntR.",
    "archive.png": b"PK\x03\x04" + bytes(1000),
    "gif.png": encoded("GIF"),
    "bmp.png": encoded("BMP"),
    "tiff.jpg": encoded("TIFF"),
    "webp.jpg": encoded("WEBP"),
    "signature.png": PNG[:8],
    "header.png": PNG[:33],
    "half.png": PNG[: len(PNG) // 2],
    "no-end.png": PNG[:-12],
    "flipped.png": flipped(PNG, len(PNG) // 2),
    "no-pixels.png": png(32, 32),
    "few-pixels.png": png(32, 32, EMPTY),
    "no-width.png": png(0, 32, EMPTY),
    "no-palette.png": png(32, 32, EMPTY, colour=3),
    "depth.png": png(32, 32, EMPTY, bits=7),
    "bomb.png": png(9_000, 9_000, chunk(b"IDAT", zlib.compress(bytes(9_000 * 9_001), 9))),
    "large-bomb.png": png(2**31 - 1, 2**31 - 1, EMPTY),
    "text-bomb.png": png(32, 32, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 * 10**8))), EMPTY),
    "header.jpg": JPEG[:20],
    "half.jpg": JPEG[: len(JPEG) // 2],
    "no-end.jpg": JPEG[:-2],
    "padded.jpg": JPEG[: len(JPEG) // 2] + bytes(len(JPEG) // 2),
    "bomb.jpg": jpeg_of_size(60_000),
}


def test_there_are_thirty():
    assert len(BAD) == 30


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_named_in_one_line(name, mark, tmp_path):
    (tmp_path / name).write_bytes(BAD[name])
    forget_peak()
    before = peak()
    with pytest.raises(InputError, match=name) as caught:
        read_image(tmp_path / name, 3, 32)
    assert "\n" not in str(caught.value)
    assert peak() - before < GROWTH


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_predict_refuses_a_bad_image(name, refused, mark, tiny_run, tmp_path):
    (tmp_path / name).write_bytes(BAD[name])
    error = refused("predict", f"run={tiny_run.path}", f"images={name}", "accelerator=cpu")
    assert error.startswith(f"{name}: ")
    assert "0 of 1 images were classified" in error


def test_good_images_are_classified_despite_bad_ones(refused, tiny_run, tmp_path):
    for name, body in {**BAD, "good.png": PNG, "good.jpg": JPEG}.items():
        (tmp_path / name).write_bytes(body)
    error = refused(
        "predict", f"run={tiny_run.path}", "images=.", "accelerator=cpu", "output=a.csv"
    )
    assert "(and 29 more); 2 of 32 images were classified" in error
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3
