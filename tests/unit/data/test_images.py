import os
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from operating_systems import posix
from PIL import Image

from vgg_lit.data.images import read_image
from vgg_lit.errors import InputError


def pixels(height=12, width=12, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_png_is_exact(tmp_path):
    array = pixels()
    Image.fromarray(array).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 3, 12)
    assert image.dtype == torch.uint8
    assert np.array_equal(image.permute(1, 2, 0).numpy(), array)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "RGB", "I;16"])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_a_uniform_grey_is_preserved_in_every_mode(tmp_path, mode, in_channels):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    level = 255 if mode == "1" else 102  # the palette has multiples of 51
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), level * 257, np.uint16)).save(path)
    else:
        Image.new("RGB", (8, 8), (level,) * 3).convert(mode).save(path)
    image = read_image(path, in_channels, 8)
    assert image.shape == (in_channels, 8, 8)
    assert (image.int() - level).abs().max() <= (2 if mode == "CMYK" else 0)


def test_transparency_is_composited_over_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png", 3, 4) == 255).all()
    Image.new("RGBA", (4, 4), (0, 0, 0, 51)).save(tmp_path / "veil.png")
    assert (read_image(tmp_path / "veil.png", 1, 4) == 204).all()
    palette = Image.new("P", (4, 4), 0)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (read_image(tmp_path / "palette.png", 3, 4) == 255).all()


def test_16_bit_levels_are_scaled_not_clipped(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(levels).save(tmp_path / "a.png")
    expected = (levels * (255 / 65535)).round()
    assert np.array_equal(read_image(tmp_path / "a.png", 1, 256)[0].numpy(), expected)


def test_exif_orientation_is_applied(tmp_path):
    array = np.zeros((16, 16, 3), np.uint8)
    array[:8] = 255  # top half white
    image = Image.fromarray(array)
    exif = image.getexif()
    exif[0x0112] = 3  # rotated by 180 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    read = read_image(tmp_path / "a.jpg", 1, 16)[0].float()
    assert read[:8].mean() < 10
    assert read[8:].mean() > 245


def test_damaged_exif_is_ignored(tmp_path, recwarn):
    image = Image.fromarray(pixels())
    exif = image.getexif()
    exif[0x0112], exif[0x010F] = 6, "a camera's name"
    image.save(tmp_path / "a.png", exif=exif.tobytes()[:30])
    read = read_image(tmp_path / "a.png", 3, 12)
    assert np.array_equal(read.permute(1, 2, 0).numpy(), pixels())
    assert not recwarn.list


def test_the_shorter_side_is_resized_and_the_centre_cropped(tmp_path):
    array = np.zeros((20, 60), np.uint8)
    array[:, 20:40] = 200
    Image.fromarray(array).save(tmp_path / "wide.png")
    assert (read_image(tmp_path / "wide.png", 1, 10)[0, :, 1:-1] == 200).all()


def test_a_large_jpeg_keeps_its_mean(tmp_path):
    Image.fromarray(pixels(900, 700)).resize((1400, 1800)).save(tmp_path / "a.jpg", quality=95)
    image = read_image(tmp_path / "a.jpg", 3, 32)
    assert image.float().mean().item() == pytest.approx(127.5, abs=3)


def damaged(tmp_path, name, change):
    path = tmp_path / name
    Image.fromarray(pixels(64, 64)).save(path)
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cut.jpg", lambda body: body[:-2]),
        ("half.jpg", lambda body: body[: len(body) // 2]),
        ("zeros.jpg", lambda body: body[: len(body) // 2] + bytes(len(body) // 2)),
        ("end.png", lambda body: body[:-12]),
        ("half.png", lambda body: body[: len(body) // 2]),
        ("flip.png", lambda body: body[:5000] + bytes([body[5000] ^ 4]) + body[5001:]),
        ("empty.png", lambda body: b""),
        ("text.png", lambda body: b"this is no image"),
        ("header.png", lambda body: body[:20]),
        ("header.jpg", lambda body: body[:20]),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, name, change):
    path = damaged(tmp_path, name, change)
    with pytest.raises(InputError, match=name) as caught:
        read_image(path, 3, 32)
    assert "\n" not in str(caught.value)


def test_bytes_after_the_end_marker_are_ignored(tmp_path):
    for name in ("a.jpg", "a.png", "a.gif", "a.webp", "a.bmp", "a.tif"):
        expected = read_image(damaged(tmp_path, name, lambda body: body), 3, 32)
        path = damaged(tmp_path, name, lambda body: body + b"appended by a camera")
        assert torch.equal(read_image(path, 3, 32), expected)


@pytest.mark.parametrize("side", [11_000, 40_000])
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, side, recwarn):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(InputError, match="120 megapixels"):
        read_image(path, 3, 32)
    assert not recwarn.list


def test_a_file_above_the_size_limit_is_not_read(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(pixels()).save(path)
    with path.open("ab") as file:
        file.truncate(10**10)  # sparse: uses no disk space
    with pytest.raises(InputError, match="960 MB"):
        read_image(path, 3, 32)


@posix
def test_a_pipe_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match="no such image file"):
        read_image(tmp_path / "a.png", 3, 32)


def test_missing_files_and_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.png: no such image file"):
        read_image(tmp_path / "nowhere.png", 3, 32)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.ico")
    with pytest.raises(InputError, match="not a PNG, JPEG, WebP, BMP, TIFF or GIF image"):
        read_image(tmp_path / "a.ico", 3, 32)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        read_image(tmp_path, 3, 32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.webp", {"lossless": True}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("a.tif", {"compression": "tiff_adobe_deflate"}),
        ("wrong-ending.jpg", {"format": "WEBP", "lossless": True}),
    ],
)
def test_other_lossless_formats_are_exact(tmp_path, name, options):
    Image.fromarray(pixels()).save(tmp_path / name, **options)
    read = read_image(tmp_path / name, 3, 12)
    assert np.array_equal(read.permute(1, 2, 0).numpy(), pixels())


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.png"])
def test_the_first_frame_or_page_is_read(tmp_path, name):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if name == "a.webp" else {}
    first.save(tmp_path / name, save_all=True, append_images=[second], **options)
    assert read_image(tmp_path / name, 3, 8)[:, 4, 4].tolist() == [255, 0, 0]


def test_transparency_of_webp_and_gif_is_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.webp", lossless=True)
    Image.new("P", (4, 4), 0).save(tmp_path / "clear.gif", transparency=0)
    for name in ("clear.webp", "clear.gif"):
        assert (read_image(tmp_path / name, 3, 4) == 255).all()


def test_16_bit_tiff_is_scaled_and_32_bit_is_refused(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(levels).save(tmp_path / "a.tif")
    expected = (levels * (255 / 65535)).round()
    assert np.array_equal(read_image(tmp_path / "a.tif", 1, 256)[0].numpy(), expected)
    for kind in (np.float32, np.int32):
        Image.fromarray(levels.astype(kind)).save(tmp_path / "b.tif")
        with pytest.raises(InputError, match="32 bits per channel; allowed: 8 or 16"):
            read_image(tmp_path / "b.tif", 1, 256)


def test_a_jpeg_is_complete_up_to_its_end_marker_whatever_follows(tmp_path):
    path = tmp_path / "motion.jpg"
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
        Image.fromarray(pixels(64, 64)).save(path, **options)
        body = path.read_bytes()
        expected = read_image(path, 3, 32)
        for seed in range(20):
            film = np.random.default_rng(seed).bytes(20_000) + b"\xff\xda\xff\xd8\xff"
            path.write_bytes(body + film)
            assert torch.equal(read_image(path, 3, 32), expected)


def test_a_jpeg_that_is_cut_off_before_a_film_is_refused(tmp_path):
    path = tmp_path / "motion.jpg"
    Image.fromarray(pixels(64, 64)).save(path)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2] + b"\0\0\0\x18ftypmp42\xff\xc0" + bytes(5000))
    with pytest.raises(InputError, match="damaged"):
        read_image(path, 3, 32)


def test_a_camera_jpeg_with_several_images_is_read(tmp_path):
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image(tmp_path / "a.jpg", 3, 8)[0].min() > 200


def test_the_limit_in_megapixels_is_a_setting(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (2000, 1000)).save(path)
    read_image(path, 1, 8, max_megapixels=2)
    with pytest.raises(InputError, match=r"limit of 1\.9 megapixels.*max_megapixels"):
        read_image(path, 1, 8, max_megapixels=1.9)


def test_a_photo_of_108_megapixels_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("L", (12_000, 9_000), 100).save(path)
    assert abs(int(read_image(path, 1, 8)[0, 4, 4]) - 100) <= 1


@pytest.mark.usefixtures("any_file_name")
def test_a_name_in_another_encoding_is_shown_escaped(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("L", (4, 4)).save(path)
    read_image(path, 1, 4)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"caf\\xe9\.png: not a PNG"):
        read_image(path, 1, 4)


def test_a_damaged_tiff_prints_nothing(tmp_path, capfd):
    path = tmp_path / "a.tif"
    Image.fromarray(pixels(64, 64)).save(path, compression="tiff_adobe_deflate")
    body = bytearray(path.read_bytes())
    body[200:1000] = bytes(800)
    path.write_bytes(body)
    with pytest.raises(InputError, match="damaged"):
        read_image(path, 3, 32)
    assert capfd.readouterr() == ("", "")


def test_a_gif_whose_first_frame_is_smaller_than_its_canvas_is_read(tmp_path):
    path = tmp_path / "a.gif"
    Image.new("L", (4, 4), 200).save(path)
    body = bytearray(path.read_bytes())
    body[6:10] = b"\x08\0\x08\0"
    path.write_bytes(body)
    assert read_image(path, 1, 8)[0, 0, 0] == 200
