import pytest
import torch
from PIL import Image
from real_images import RealImages

from vgg_lit.data import FashionMNISTSample
from vgg_lit.errors import InputError


def test_the_sample_is_converted_to_colour_at_32_pixels_and_repeated():
    images = RealImages(count=6_010).load("train")
    sample = FashionMNISTSample().load("train")
    assert images.images_NCHW.shape == (6_010, 3, 32, 32)
    for channel in range(3):
        inner = images.images_NCHW[:6_000, channel : channel + 1, 2:-2, 2:-2]
        assert torch.equal(inner, sample.images_NCHW)
    assert torch.equal(images.images_NCHW[6_000:], images.images_NCHW[:10])
    assert torch.equal(images.labels_N[6_000:], sample.labels_N[:10])


def test_there_are_a_fifth_as_many_test_images():
    assert len(RealImages(count=50).load("test").labels_N) == 10


def test_a_folder_of_images_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, level in (("cat", 40), ("dog", 200)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(5):
            Image.new("RGB", (40, 36), (level, 0, 0)).save(
                tmp_path / "images" / name / f"{index}.png"
            )
    source = RealImages(count=12, folder=str(tmp_path / "images"))
    source.prepare()
    images = source.load("train")
    assert source.classes == ("cat", "dog")
    assert images.images_NCHW.shape == (12, 3, 32, 32)
    assert images.images_NCHW[:, 0, 0, 0].tolist() == [40 + 160 * n for n in images.labels_N]


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="no class folders"):
        RealImages(folder=str(tmp_path))
