"""Style transfer: the loss falls, the network and its inputs do not change."""

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from vgg_lit.models import build
from vgg_lit.runs import Run
from vgg_lit.weights.formats import IMAGENET, trained_vgg

SMALL = ("size=48", "steps=60", "accelerator=cpu")


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    """Two colour images: a disc on a gradient, and stripes."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[0:64, 0:80] / 64
    disc = np.where((x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.1, 1.0, 0.4 * y)
    stripes = 0.5 + 0.5 * np.sin(40 * (x + y))
    for name, grey in {"content": disc, "style": stripes}.items():
        colours = np.stack([grey, 0.7 * grey, 1 - grey], axis=-1)
        Image.fromarray((255 * colours).astype(np.uint8)).save(f"{name}.png")
    return "content=content.png", "style=style.png"


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """A trained network for grey images, a little wider than the tiniest. Read only."""
    path = tmp_path_factory.mktemp("trained") / "run"
    return train(path, "model.width=0.125", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def state_dict(tmp_path_factory):
    """A full-width state_dict in torchvision's format; removed afterwards, as it is half a gigabyte."""
    file = tmp_path_factory.mktemp("weights") / "vgg11.pth"
    torch.save(build("vgg11", num_classes=3).state_dict(), file)
    yield file
    file.unlink()


def test_the_same_picture_as_content_and_style_has_no_loss(verb, trained):
    pictures = ("content=content.png", "style=content.png")
    done = verb("stylize", *pictures, f"weights={trained.path}", "size=48", "steps=1")
    assert done.code == 0, done.err
    assert re.search(r"loss +0 to 0$", done.out, re.M)


def test_a_trained_run_reduces_the_loss_to_a_tenth(verb, pictures, trained):
    before = trained.checkpoint().read_bytes()
    done = verb("stylize", *pictures, f"weights={trained.path}", *SMALL)
    assert done.code == 0, done.err
    (times,) = re.findall(r"loss .* ([\d.]+) times lower", done.out)
    assert float(times) >= 10
    assert "written  stylized.png (48 x 48 pixels)" in done.out
    picture = Image.open("stylized.png")
    assert (picture.size, picture.mode) == ((48, 48), "L")
    content = Image.open("content.png").convert("L").crop((8, 0, 72, 64)).resize((48, 48))
    difference = np.abs(np.asarray(picture, float) - np.asarray(content, float)).mean()
    assert 2 < difference < 120
    assert trained.checkpoint().read_bytes() == before


def test_a_torchvision_state_dict_paints_in_colour(verb, pictures, state_dict):
    arguments = (f"weights={state_dict}", "variant=vgg11", "output=deep/picture.jpg", "size=32")
    done = verb("stylize", *pictures, *arguments, "steps=2", "accelerator=cpu")
    assert done.code == 0, done.err
    picture = Image.open("deep/picture.jpg")
    assert (picture.size, picture.mode, picture.format) == ((32, 32), "RGB", "JPEG")


def test_weights_are_loaded_with_their_normalisation(trained, state_dict):
    net, mean, std, fit = trained_vgg(str(trained.path), "vgg19")
    preprocessing = trained.load_classifier().preprocessing
    assert (list(mean), list(std)) == (preprocessing["mean"], preprocessing["std"])
    assert fit == "crop"
    assert net.in_channels == 1
    net, *statistics, fit = trained_vgg(str(state_dict), "vgg11")
    assert tuple(statistics) == IMAGENET
    assert net.in_channels == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("weights=nowhere",), ["weights=nowhere", "allowed: a run directory"]),
        (("content=none.png",), ["none.png", "no such image file"]),
        (("style=notes.txt",), ["notes.txt", "not a PNG, JPEG"]),
        (("output=picture.gif",), ["output=picture.gif", ".png, .jpg"]),
        (("content_layer=block4_con2",), ["'block4_con2'", "Did you mean 'block4_conv2'"]),
        (("style_layers=[block9_conv1]",), ["'block9_conv1'", "block1_conv1"]),
        (("content_layer=fc6",), ["fc6: has no feature map"]),
        (("style_layers=[]",), ["style_layers=[]", "1 or more values"]),
        (("size=16",), ["size=16", "greater than or equal to 32"]),
        (("steps=0",), ["steps=0"]),
        (("style_weigth=1",), ["did you mean style_weight"]),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(
    arguments, words, verb, pictures, trained, tmp_path
):
    (tmp_path / "notes.txt").write_text("no picture")
    before = set(tmp_path.iterdir())
    given = {a.partition("=")[0] for a in arguments}
    others = [
        argument
        for argument in (*pictures, f"weights={trained.path}")
        if argument.partition("=")[0] not in given
    ]
    done = verb("stylize", *others, *arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert set(tmp_path.iterdir()) == before


def test_a_run_without_a_checkpoint_is_one_line(verb, pictures, trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "run", ignore=shutil.ignore_patterns("*.ckpt"))
    done = verb("stylize", *pictures, f"weights={Run('run').path}")
    assert done.code == 2
    assert "weights=run" in done.err
    assert "the run has not written any" in done.err


def test_a_network_other_than_a_vgg_is_refused(verb, pictures, tmp_path):
    from vgg_lit.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / "resnet18.pth")
    done = verb("stylize", *pictures, "weights=resnet18.pth", "variant=resnet18")
    assert done.code == 2
    assert "weights=resnet18.pth: weights of a ResNet; allowed: VGG" in done.err
