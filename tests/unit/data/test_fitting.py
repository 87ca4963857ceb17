"""Images that are not square become square as in plain Pillow, alike in every source."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from vgg_lit.data import ImageDataModule, ImageFolder, TorchvisionImages, read_image
from vgg_lit.data.fitting import fit_image
from vgg_lit.data.image_records import decode
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.errors import InputError

BILINEAR = Image.Resampling.BILINEAR
FITS = ("crop", "pad", "stretch")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))


def picture(width, height, seed=0, mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.fixture
def folder(tmp_path):
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(6):
            width, height = ((24, 9), (9, 24), (12, 12))[index % 3]
            picture(width, height, 10 * label + index).save(
                tmp_path / "photos" / name / f"{index}.png"
            )
    return tmp_path / "photos"


def plain(image, side, fit):
    """The reference: Pillow's own functions."""
    if fit == "crop":
        return ImageOps.fit(image, (side, side), BILINEAR)
    if fit == "pad":
        return ImageOps.pad(image, (side, side), BILINEAR, color=0)
    return image.resize((side, side), BILINEAR)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("width", "height"), [(40, 15), (15, 40), (8, 6), (33, 33)])
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_pixels_are_those_of_pillow(fit, width, height, mode, channels):
    image = picture(width, height, mode=mode)
    expected = np.asarray(plain(image, 16, fit)).reshape(16, 16, channels).transpose(2, 0, 1)
    assert np.array_equal(fit_image(image.copy(), channels, 16, fit), expected)


def test_crop_loses_the_ends_and_pad_and_stretch_keep_them():
    image = Image.new("RGB", (40, 20), "white")
    image.paste((255, 0, 0), (0, 0, 4, 20))
    image.paste((0, 0, 255), (36, 0, 40, 20))
    crop, pad, stretch = (fit_image(image.copy(), 3, 20, fit) for fit in FITS)
    assert (crop == 255).all()
    assert (pad[:, :5] == 0).all()
    assert (pad[:, 15:] == 0).all()
    assert (pad[:, 5:15].max(0) > 0).all()
    for kept in (pad[:, 7:13], stretch):
        assert kept[:, 2, 0].tolist() == [255, 0, 0]
        assert kept[:, 2, -1].tolist() == [0, 0, 255]


def test_the_margin_of_a_transparent_image_is_black():
    clear = Image.new("RGBA", (8, 4), (0, 0, 0, 0))
    pixels = fit_image(clear, 3, 8, "pad")
    assert (pixels[:, 2:6] == 255).all()
    assert (pixels[:, :2] == 0).all()
    assert (pixels[:, 6:] == 0).all()


def test_the_orientation_is_applied_before_the_fit(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image = picture(32, 8)
    image.save(tmp_path / "a.png", exif=exif)
    expected = np.asarray(plain(image.rotate(-90, expand=True), 16, "pad"))
    read = read_image(tmp_path / "a.png", 3, 16, fit="pad")
    assert np.array_equal(read.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("fit", FITS)
def test_an_extreme_shape_keeps_a_pixel(fit):
    assert fit_image(picture(4000, 2), 3, 8, fit).shape == (3, 8, 8)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_folder_is_read_as_single_files_are(folder, fit, in_memory):
    source = ImageFolder(folder, size=8, num_workers=0, fit=fit, in_memory=in_memory)
    source.prepare()
    images = source.load("train")
    if in_memory:
        found = images.images_NCHW
    else:
        (found,) = images.loader([range(len(images.paths))])
    expected = [read_image(folder / path, 3, 8, fit=fit) for path in images.paths]
    assert torch.equal(found, torch.stack(expected))


def test_fits_share_no_cache_and_crop_keeps_its_own(folder):
    """A cache that was written before there were other fits is read again."""
    files = {
        fit: ImageFolder(folder, size=8, num_workers=0, fit=fit)._files("train") for fit in FITS
    }
    assert len({file.cache for file in files.values()}) == 3
    assert len({file._fingerprint() for file in files.values()}) == 3
    before = ImageFolder(folder, size=8, num_workers=0)._files("train")
    assert (before.cache, before._fingerprint()) == (
        files["crop"].cache,
        files["crop"]._fingerprint(),
    )


@pytest.mark.parametrize("fit", FITS)
def test_records_of_libraries_are_fitted_alike(fit):
    image = picture(20, 9)
    assert torch.equal(
        decode(image.copy(), 3, 8, fit), torch.from_numpy(fit_image(image, 3, 8, fit))
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: ImageFolder(folder, fit="squash"),
        lambda folder: TorchvisionImages("FakeData", folder, fit="squash"),
        lambda folder: ImageDataModule(ImageFolder(folder), fit="squash"),
    ],
)
def test_an_unknown_fit_is_refused(folder, make):
    with pytest.raises(
        InputError, match=r"fit=squash: .*(crop, pad, stretch|image_folder, which has)"
    ):
        make(folder)


def test_a_data_module_keeps_the_fit_of_its_source(folder):
    data = ImageDataModule(ImageFolder(folder, num_workers=0, fit="pad"), val_fraction=0)
    data.prepare_data()
    data.setup()
    assert data.preprocessing.fit == "pad"
    with pytest.raises(InputError, match="fit=crop: does not match image_folder, which has pad"):
        ImageDataModule(ImageFolder(folder, fit="pad"), fit="crop")
    with pytest.raises(InputError, match="fit=crop: the network was trained with pad"):
        ImageDataModule(ImageFolder(folder), preprocessing=data.preprocessing)


def test_a_checkpoint_without_a_fit_means_crop():
    prepare = Preprocessing(1, 8, 8, (0.5,), (0.25,), "pad")
    assert Preprocessing.from_dict(prepare.to_dict()) == prepare
    values = prepare.to_dict()
    del values["fit"]
    assert Preprocessing.from_dict(values).fit == "crop"
    with pytest.raises(InputError, match="a fit of crop, pad, stretch"):
        Preprocessing.from_dict(values | {"fit": "squash"})
    with pytest.raises(InputError, match="invalid"):
        Preprocessing.from_dict(values | {"fill": "black"})
