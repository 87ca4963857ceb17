"""Images of other libraries: conversion, limits and batches."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data.image_records import ImageRecords, cache_file, decode
from vgg_lit.data.images import read_image
from vgg_lit.errors import InputError
from vgg_lit.system.files import KEPT


def encoded(format, mode="RGB", side=(21, 15)):
    pixels = np.random.default_rng(0).integers(0, 256, (*side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_formats_are_decoded(format, in_channels):
    pixels = decode(encoded(format), in_channels, 8)
    assert pixels.shape == (in_channels, 8, 8)
    assert pixels.dtype == torch.uint8
    assert pixels.float().std() > 5


@pytest.mark.parametrize(("format", "mode"), [("PNG", "RGBA"), ("PNG", "L"), ("JPEG", "CMYK")])
def test_images_are_those_of_a_file(format, mode, tmp_path):
    (tmp_path / "image").write_bytes(encoded(format, mode))
    expected = read_image(tmp_path / "image", 3, 8)
    assert torch.equal(decode(encoded(format, mode), 3, 8), expected)


def test_arrays_and_opened_images_are_equal():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert torch.equal(decode(pixels, 3, 8), decode(Image.fromarray(pixels), 3, 8))
    same = decode(pixels, 3, 20)
    assert np.array_equal(same.numpy(), pixels.transpose(2, 0, 1))


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("sides", [(100_000, 2_000), (60_000, 60_000)])
def test_a_bomb_is_refused_before_decoding(sides):
    header = struct.pack(">IIBBBBB", *sides, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    bomb += chunk(b"IDAT", zlib.compress(bytes(1_000_000))) + chunk(b"IEND", b"")
    with pytest.raises(InputError, match="exceeds the limit of 120 megapixels"):
        decode(bomb, 3, 8)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_cut_images_are_refused(format):
    whole, draws = encoded(format, side=(60, 60)), random.Random(0)
    for _ in range(20):
        with pytest.raises(InputError, match=r"image is damaged|^not a PNG") as caught:
            decode(whole[: draws.randrange(len(whole) // 2)], 3, 8)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_without_its_end_is_refused_as_in_a_file(format, tmp_path):
    cut = encoded(format, side=(60, 60))[:-2]
    (tmp_path / "image").write_bytes(cut)
    with pytest.raises(InputError) as of_file:
        read_image(tmp_path / "image", 3, 8)
    with pytest.raises(InputError, match="the image is damaged") as of_record:
        decode(cut, 3, 8)
    assert str(of_file.value) == f"{tmp_path / 'image'}: {of_record.value}"


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_32_bits_per_channel_are_refused(kind):
    levels = np.arange(64, dtype=kind).reshape(8, 8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "TIFF")
    for record in (buffer.getvalue(), Image.fromarray(levels), levels):
        with pytest.raises(InputError, match=r"^has 32 bits per channel; allowed: 8 or 16$"):
            decode(record, 1, 8)


def test_16_bit_levels_are_scaled():
    levels = np.full((8, 8), 102 * 257, np.uint16)
    buffers = {format: io.BytesIO() for format in ("PNG", "TIFF")}
    for format, buffer in buffers.items():
        Image.fromarray(levels).save(buffer, format)
    for record in (levels, *(buffer.getvalue() for buffer in buffers.values())):
        assert (decode(record, 1, 8) == 102).all()


@pytest.mark.parametrize("record", [None, "text", 3, np.zeros((4, 4, 7), np.uint8), b"<svg/>"])
def test_other_objects_are_refused(record):
    with pytest.raises(InputError, match=r"damaged or unreadable|^not a PNG"):
        decode(record, 3, 8)


def test_a_missing_package_in_a_record_is_one_line(tmp_path):
    class Needing:
        def __len__(self):
            return 1

        def __getitem__(self, position):
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    records = ImageRecords(
        "some, train", Needing(), torch.zeros(1).long(), 3, 8, 0, tmp_path / "some.npy", ""
    )
    with pytest.raises(InputError, match=r"some, train: image 0 cannot be read .*'scipy'"):
        records.decoded()


def test_cache_files_differ_by_what_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path))
    names = {cache_file(f"a/b train|{size}").name for size in (8, 9)}
    assert len(names) == 2
    assert all(name.startswith("a_b_train-") for name in names)
    assert len(cache_file("\u65e5" * 80).stem.encode()) <= KEPT
