"""Whole images of different shapes: decoded, cropped in training and viewed in evaluation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vgg_lit.data import (
    Compose,
    Draws,
    FlipCrop,
    ImageDataModule,
    ImageFolder,
    Preprocessing,
    ScaleJitter,
    read_image,
)
from vgg_lit.data.rectangles import LONGEST, Rectangles, collate
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.evaluation.views import Views

BILINEAR = Image.Resampling.BILINEAR
ANY = ChannelStatistics((0.5,) * 3, (0.5,) * 3, ((0.25,) * 3,) * 3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))


def picture(width, height, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def pixels(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


@pytest.fixture
def folder(tmp_path):
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(6):
            width, height = ((40, 24), (24, 40), (24, 24))[index % 3]
            image = picture(width, height, 10 * label + index)
            image.save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(40, 20, (20, 10)), (20, 40, (10, 20)), (33, 20, (16, 10)), (20, 20, (10, 10))],
)
def test_the_shorter_side_is_resized_and_nothing_is_cropped(tmp_path, width, height, expected):
    image = picture(width, height)
    image.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", 3, 10, fit="whole")
    assert torch.equal(found, pixels(image.resize(expected, BILINEAR)))
    if width == height:
        assert torch.equal(found, read_image(tmp_path / "a.png", 3, 10))


def test_the_ends_of_a_panorama_are_cropped(tmp_path):
    image = picture(100, 20)
    image.save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", 3, 10, fit="whole")
    assert found.shape == (3, 10, 10 * LONGEST)
    middle = image.resize((30, 10), BILINEAR, box=(20, 0, 80, 20))
    assert torch.equal(found, pixels(middle))


def test_a_batch_holds_images_of_different_shapes():
    images = [torch.randint(0, 256, (3, *shape)) for shape in ((4, 6), (5, 4), (4, 6))]
    images = [image.to(torch.uint8) for image in images]
    batch = collate(images)
    assert batch.canvas_BCHW.shape == (3, 3, 5, 6)
    assert batch.sides_B2.tolist() == [[4, 6], [5, 4], [4, 6]]
    assert (batch.canvas_BCHW[0, :, 4:] == 0).all()
    found = dict(zip((0, 2, 1), [i for _, part in batch.of_one_shape() for i in part], strict=True))
    assert all(torch.equal(found[i], images[i]) for i in range(3))


@pytest.mark.parametrize(("image_size", "scales"), [(8, (8, 20)), (12, (14, 24)), (10, (12, 12))])
def test_jitter_crops_anywhere_in_torchs_antialiased_resizing(image_size, scales):
    shapes = [(16, 29), (29, 16), (16, 16), (16, 48), (17, 16)] * 8
    images = [torch.randint(0, 256, (3, *shape), dtype=torch.uint8) for shape in shapes]
    draws = Draws(0, 1, torch.arange(len(images)))
    augment = ScaleJitter(image_size, *scales, whole=True)
    augment.prepare(16, ANY)
    found = augment(collate(images), draws)
    assert found.shape == (len(images), 3, image_size, image_size)
    side_B = augment.min_scale + draws.integers("scale", augment.max_scale - augment.min_scale + 1)
    at_B = [draws.uniform(f"crop {axis}") for axis in ("row", "column")]
    for i, image in enumerate(images):
        size = [int(length * side_B[i].item() / 16 + 0.5) for length in image.shape[1:]]
        top, left = (
            int(at[i] * (length - image_size + 1)) for at, length in zip(at_B, size, strict=True)
        )
        whole = F.interpolate(image[None].double(), size, mode="bilinear", antialias=True)[0]
        expected = whole[:, top : top + image_size, left : left + image_size]
        assert (found[i].double() - expected).abs().max() <= 0.501


def test_squares_get_the_same_crops_as_before():
    images = torch.randint(0, 256, (9, 3, 20, 20), dtype=torch.uint8)
    draws = Draws(0, 3, torch.arange(9))
    augment = ScaleJitter(12, 12, 24, whole=True)
    augment.prepare(20, ANY)
    whole, square = augment(collate(list(images)), draws), augment(images, draws)
    assert (whole.int() - square.int()).abs().max() <= 1  # rounded
    assert (whole != square).float().mean() < 0.01


def test_training_reaches_the_ends_of_an_image_and_validation_sees_the_square(folder):
    augment = Compose(jitter=ScaleJitter(16, 24, 24, whole=True), flip=FlipCrop(0))
    source = ImageFolder(folder, size=24, num_workers=0, in_memory=False)
    data = ImageDataModule(source, image_size=16, batch_size=4, val_fraction=0.3, augment=augment)
    data.prepare_data()
    data.setup()
    images, labels, ids = next(iter(data.train_dataloader()))
    assert isinstance(images, Rectangles)
    assert max(images.sides_B2.flatten().tolist()) == 40
    x_BCHW, _, _ = data.to_input((images, labels, ids), epoch=0)
    assert x_BCHW.shape == (4, 3, 16, 16)
    x_BCHW, _, _ = data.to_input((images, labels, ids))  # not augmented: the central square
    (top, left), (height, width) = (images.sides_B2[0] - 24) // 2, images.sides_B2[0]
    assert 24 in (height, width)
    middle = images.canvas_BCHW[:1, :, top : top + 24, left : left + 24]
    assert torch.equal(x_BCHW[:1], data.preprocessing(middle))
    squares, _, _ = next(iter(data.val_dataloader()))
    assert squares.shape[1:] == (3, 24, 24)
    old = Compose(jitter=ScaleJitter(16, 24, 24), flip=FlipCrop(0))
    data = ImageDataModule(source, image_size=16, batch_size=4, val_fraction=0.3, augment=old)
    data.setup()
    squares, _, other_ids = next(iter(data.train_dataloader()))
    assert squares.shape == (4, 3, 24, 24)
    assert torch.equal(ids, other_ids)


def test_images_that_were_made_square_stay_so(folder):
    augment = Compose(jitter=ScaleJitter(16, 24, 24, whole=True))
    source = ImageFolder(folder, size=24, num_workers=0, fit="pad")
    data = ImageDataModule(source, image_size=16, batch_size=4, augment=augment)
    data.prepare_data()
    data.setup()
    images, _, _ = next(iter(data.train_dataloader()))
    assert images.shape == (4, 3, 24, 24)
    assert data.whole_dataloader("test") is None


def test_dense_views_and_crops_span_the_whole_image():
    prepare = Preprocessing(3, 16, 16, (0.5,) * 3, (0.25,) * 3)
    image = torch.randint(0, 256, (1, 3, 16, 32), dtype=torch.uint8)
    (dense,) = Views(grid=None, scales=(24,)).of(image, prepare)
    whole = F.interpolate(image.float(), (24, 48), mode="bilinear", antialias=True)
    assert torch.equal(dense, prepare.normalize(whole))
    crops = list(Views(grid=3, scales=(24,)).of(image, prepare))
    corners = [(top, left) for top in (0, 4, 8) for left in (0, 16, 32)]
    for crop, (top, left) in zip(crops, corners, strict=True):
        assert torch.equal(crop, dense[..., top : top + 16, left : left + 16])
