"""The picture of an augmentation, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.augmented_images import draw
from vgg_lit.command import config_folder
from vgg_lit.data import Compose, CutMix, FashionMNISTSample, FlipCrop, ImageDataModule

AUGMENTS = sorted(file.stem for file in (config_folder() / "augment").glob("*.yaml"))


def shown(figure, rows):
    """The images of a figure's rows and columns."""
    images = [axes.get_images()[0].get_array() for axes in figure.axes]
    return np.array(images).reshape(rows, -1, *images[0].shape)


def datamodule(augment, **options):
    module = ImageDataModule(FashionMNISTSample(), augment=augment, batch_size=4, **options)
    module.setup("fit")
    return module


def test_it_shows_training_images_as_they_are_and_as_they_are_trained_on():
    module = datamodule(FlipCrop(padding=4))
    images, labels, ids = next(iter(module.train_dataloader()))
    figure = draw(module, epochs=3)
    grid = shown(figure, 4)
    assert grid.shape == (4, 4, 32, 32)
    padded = torch.nn.functional.pad(images, [2] * 4)[:, 0] / 255
    np.testing.assert_allclose(grid[:, 0], padded, atol=1e-6)
    for epoch in range(3):
        x, _, _ = module.to_input((images, labels, ids), epoch)
        expected = module.preprocessing.denormalize(x)[:, 0]
        np.testing.assert_array_equal(grid[:, epoch + 1], expected)
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["original", "epoch 1", "epoch 2", "epoch 3"]
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == [module.classes[k] for k in labels]
    assert not any(axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize("normalize", ["mean_std", "mean", "none"])
def test_it_undoes_the_normalisation_that_there_was(normalize):
    grid = shown(draw(datamodule(None, normalize=normalize), epochs=1), 4)
    plain = shown(draw(datamodule(None), epochs=1), 4)
    np.testing.assert_allclose(grid, plain, atol=1e-6)


def test_mixed_images_have_the_shares_of_their_classes():
    module = datamodule(Compose(mixing=CutMix()))
    figure = draw(module, epochs=2)
    batch = next(iter(module.train_dataloader()))
    _, targets, _ = module.to_input(batch, 0)
    for row in range(4):
        original, first, _ = (axes.get_xlabel() for axes in figure.axes[3 * row : 3 * row + 3])
        assert original == ""
        lines = [line.rpartition(" ") for line in first.splitlines()]
        shares = {name: float(share) for name, _, share in lines}
        expected = {module.classes[k]: targets[row, k].item() for k in targets[row].nonzero()}
        assert shares == pytest.approx(expected, abs=0.005)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_every_augmentation_is_drawn(augment, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("preview", f"augment={augment}", "images=2", "epochs=2")
    assert done.code == 0, done.err
    assert "written  preview.png" in done.out
    picture = np.asarray(Image.open("preview.png").convert("L"))
    assert picture.std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_other_formats(suffix, verb, tmp_path):
    output = tmp_path / f"figures/preview.{suffix}"
    assert verb("preview", "images=1", "epochs=1", f"output={output}").code == 0
    assert {"pdf": b"%PDF", "svg": b"<svg"}[suffix] in output.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("output=preview.txt",), ["output=preview.txt", ".png, .pdf, .svg"]),
        (("images=0",), ["images=0", "greater than or equal to 1"]),
        (("images=6000",), ["images=6000", "5400 training images"]),
        (("epochs=0",), ["epochs=0"]),
        (("augment=mixup", "augment.mixing.alpha=-1"), ["augment.mixing.alpha=-1"]),
        (("augment=blur",), ["augment=blur", "trivial_erasing"]),
        (("imges=3",), ["imges", "did you mean images"]),
        (("data=image_folder", "data.root=nowhere"), ["nowhere", "no such folder"]),
    ],
)
def test_bad_input_is_one_line(arguments, words, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("preview", *arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert not list(tmp_path.iterdir())
