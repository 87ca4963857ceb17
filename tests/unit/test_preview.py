"""The `preview` command and its checks."""

import numpy as np
import pytest
from PIL import Image

from vgg_lit.config.group_options import config_folder

AUGMENTS = sorted(file.stem for file in (config_folder() / "augment").glob("*.yaml"))


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
def test_other_image_formats(suffix, verb, tmp_path):
    output = tmp_path / f"figures/preview.{suffix}"
    assert verb("preview", "images=1", "epochs=1", f"output={output}").code == 0
    assert {"pdf": b"%PDF", "svg": b"<svg"}[suffix] in output.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("output=preview.txt",), ["output=preview.txt", ".png, .pdf, .svg"]),
        (("images=0",), ["images=0", "greater than or equal to 1"]),
        (("images=6000",), ["images=6000", "5700 training images"]),
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
