import io
import tarfile
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.data import statistics
from vgg_lit.data.fashion_mnist import FashionMNIST
from vgg_lit.data.statistics import channel_statistics, pixel_sums, principal_components


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_equal_a_float64_reference(monkeypatch, channels):
    monkeypatch.setattr(statistics, "_CHUNK", 7 * 64)  # forces several chunks
    images = torch.randint(0, 256, (50, channels, 8, 8), dtype=torch.uint8)
    mean, std, covariance = channel_statistics(pixel_sums(images))
    pixels = images.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-14)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-14)
    expected = np.cov(pixels.transpose(0, 1).flatten(1).numpy(), bias=True)
    np.testing.assert_allclose(covariance, expected.reshape(channels, channels), atol=1e-14)


def test_the_std_of_a_constant_channel_is_one():
    constant = torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)
    mean, std, covariance = channel_statistics(pixel_sums(constant))
    assert mean == (0.2,)
    assert std == (1.0,)
    assert covariance == ((0.0,),)


def test_sums_are_exact_integers():
    images = torch.full((300, 2, 32, 32), 255, dtype=torch.uint8)
    pixels = 300 * 32 * 32
    assert pixel_sums(images).tolist() == [
        [pixels, 255 * pixels, 255 * pixels],
        [255 * pixels, 255**2 * pixels, 255**2 * pixels],
        [255 * pixels, 255**2 * pixels, 255**2 * pixels],
    ]


def test_sums_beyond_the_integers_of_float64_are_exact():
    many = pixel_sums(torch.tensor([3, 200]).byte().view(2, 1, 1, 1)) * 10**12
    mean, std, ((variance,),) = channel_statistics(many)
    assert mean == (203 / 2 / 255,)
    assert std == (197 / 2 / 255,)
    assert variance == pytest.approx((197 / 2 / 255) ** 2, abs=1e-15)


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 224, 224), (1, 28, 28)])
def test_memory_does_not_grow_with_the_number_of_images(shape):
    def peak(pixels):
        images = torch.zeros(1, *shape, dtype=torch.uint8).expand(pixels // shape[1] ** 2, *shape)
        tracemalloc.start()
        pixel_sums(images)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(1_000_000), peak(10_000_000)
    assert many < 1.1 * few
    assert many < 20e6


def components_at_once(images):
    """Returns the eigenvalues of the covariance, computed directly from all pixels in float64."""
    pixels = images.transpose(0, 1).flatten(1).double() / 255
    centred = pixels - pixels.mean(1, keepdim=True)
    return torch.linalg.eigvalsh(centred @ centred.T / centred.shape[1]).flip(0).numpy()


def test_principal_components():
    shared = torch.randint(0, 150, (50, 1, 8, 8))
    images = (shared + torch.randint(0, 90, (50, 3, 8, 8))).to(torch.uint8)
    covariance = channel_statistics(pixel_sums(images)).covariance
    values, vectors = principal_components(covariance)
    np.testing.assert_allclose(values, components_at_once(images), rtol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(vectors * values @ vectors.T, covariance, atol=1e-12)
    assert (np.diff(values) < 0).all()
    assert (vectors.max(0) == np.abs(vectors).max(0)).all()  # the largest component is positive


def test_grey_images_have_one_component():
    values, vectors = principal_components(((0.25,),))
    assert values.tolist() == [0.25]
    assert vectors.tolist() == [[1.0]]


def test_fashion_mnist_has_the_published_statistics(data_folder):
    images = FashionMNIST(data_folder).load("train").images_NCHW
    mean, std, _ = channel_statistics(pixel_sums(images))
    assert [round(value, 4) for value in (*mean, *std)] == [0.2860, 0.3530]
    colours = images.expand(-1, 3, -1, -1)
    values, vectors = principal_components(channel_statistics(pixel_sums(colours)).covariance)
    np.testing.assert_allclose(values, components_at_once(colours), atol=1e-6)
    assert values[0] == pytest.approx(3 * std[0] ** 2)
    assert np.abs(vectors[:, 0]) == pytest.approx([3**-0.5] * 3)


@pytest.mark.slow
def test_cifar10_has_the_published_statistics(data_folder):
    """The tolerance allows for JPEG compression."""
    archive = data_folder / "cifar10-jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip(f"needs {archive.name} in VGG_LIT_DATA")
    with tarfile.open(archive) as files:
        decoded = [
            np.asarray(Image.open(io.BytesIO(files.extractfile(member).read())))
            for member in files
            if member.isfile() and "/train/" in member.name
        ]
    images = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2)
    assert images.shape == (50_000, 3, 32, 32)
    mean, std, covariance = channel_statistics(pixel_sums(images))
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-3)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=3e-3)
    values, _ = principal_components(covariance)
    np.testing.assert_allclose(values, components_at_once(images), atol=1e-6)
