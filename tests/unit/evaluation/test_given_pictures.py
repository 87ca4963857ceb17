"""Pictures in memory: each layout of an array has the same classes, and no other exception than InputError."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.errors import InputError
from vgg_lit.interactive_run import InteractiveRun


@pytest.fixture
def run(tiny_run):
    return InteractiveRun(tiny_run.path)


def test_each_layout_of_an_array_is_the_same_picture(run, grey):
    first = np.stack([grey] * 3)
    one = [grey, grey[None], grey[..., None], [first], first[None], torch.from_numpy(first)[None]]
    two = [[grey, grey[..., None]], np.stack([grey[..., None]] * 2), np.stack([first] * 2)]
    expected = [name for name, _ in run.predict(grey)[0].likeliest]
    for images, count in [*((images, 1) for images in one), *((images, 2) for images in two)]:
        found = run.predict(images)
        assert [[name for name, _ in each.likeliest] for each in found] == [expected] * count


def truncated():
    """A picture whose file ends in the middle."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(
        file, "JPEG"
    )
    return Image.open(io.BytesIO(file.getvalue()[:1000]))


def closed():
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    picture = Image.open(file)
    picture.close()
    return picture


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (["text", np.zeros((2, 2), np.uint8)], "has paths and pictures; give only"),
        ([3.5], "image 0: is not a picture"),
        (np.zeros((3, 28, 28), np.uint8), r"images: an array \(3, 28, 28\) .* allowed: \[x\]"),
        ([truncated()], "image 0: the image is damaged"),
        (closed(), "image 0: the image is damaged"),
        (torch.zeros(28, 28, requires_grad=True), "image 0: is an array of float32"),
        ([np.zeros((2, 2, 2, 2), np.uint8)], "image 0: is not a picture"),
        *(
            ([np.zeros((4, 4), kind)], f"image 0: is an array of {kind}; allowed: uint8 arrays")
            for kind in ("float32", "float64", "int32", "uint16")
        ),
        *(([Image.new(mode, (4, 4))], "image 0: has 32 bits per channel") for mode in "FI"),
        ("nowhere.png", "nowhere.png"),
        (3.5, "images: float is not an image or a list"),
    ],
)
def test_what_is_no_picture_is_one_line(run, images, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words) as error:
        run.predict(images)
    assert "\n" not in str(error.value)
