"""Sizes in headers, and image files without their end."""

import io

import pytest
from PIL import Image

from vgg_lit.data.image_formats import is_complete, is_image_name, webp_size


def encoded(image_format, **options):
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["a.png", "a.JPG", "a.jpeg", "a.Tif", "a.b.webp", "a.bmp", "a.gif"]
)
def test_images_are_recognised_by_their_ending(name):
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["png", "a.heic", "a.jpg.txt", "a."])
def test_other_names_are_not_images(name):
    assert not is_image_name(name)


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"exif": b"Exif", "icc_profile": b"x"}]
)
def test_the_size_of_a_webp_image_is_read_from_its_header(options):
    assert webp_size(encoded("WEBP", **options)[:30]) == (40, 30)
    assert webp_size(encoded("PNG")[:30]) is None
    assert webp_size(b"RIFF") is None


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_is_complete_with_its_end_and_bytes_behind_it(image_format):
    body = encoded(image_format)
    assert is_complete(image_format, body)
    assert is_complete(image_format, body + b"\xff\xda\xff\xd9;" * 5)
    assert not any(is_complete(image_format, body[:-cut]) for cut in (1, 2, 10, len(body) // 2))
