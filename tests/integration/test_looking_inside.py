"""The commands `summarize`, `compare` and `stylize`, each started in a new process."""

import csv
import json

import pytest
from PIL import Image

from vgg_lit.data import FashionMNISTSample


@pytest.fixture
def home(tmp_path):
    """An empty working directory."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_summarize_does_not_allocate_the_network(command, home):
    """VGG-19 at 224 pixels in batches of 4,096 would need more than 100 GB."""
    network = ("model=vgg19", "model.head=imagenet")
    images = ("data.in_channels=3", "data.image_size=224", "data.num_classes=1000")
    settings = ("batch_size=4096", "precision=32-true", "output=cost.json")
    done = command("summarize", *network, *images, *settings, cwd=home)
    assert done.code == 0, done.err
    assert not done.err
    assert [path.name for path in home.iterdir()] == ["cost.json"]
    record = json.loads((home / "cost.json").read_text())
    assert sum(layer["macs"] for layer in record["layers"]) == 19_632_062_464
    assert sum(layer["parameters"] for layer in record["layers"]) == 143_667_240
    assert record["memory"]["training"] > 100e9
    # a pipe gets whole lines, even if the terminal is narrow
    assert any("block5_conv4" in line and "462,422,016" in line for line in done.out.splitlines())


@pytest.mark.slow
def test_compare_shows_the_jobs_of_a_sweep(command, tiny, home):
    done = command("train", "-m", "optimizer.lr=0.1,0.01", *tiny, cwd=home)
    assert done.code == 0, done.err
    (sweep,) = home.glob("logs/sweeps/*/*")
    done = command("compare", f"runs={sweep}", cwd=home)
    assert done.code == 0, done.err
    assert not done.err
    with (home / "comparison/comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"]: row["optimizer.lr"] for row in rows} == {"0": "0.1", "1": "0.01"}
    assert {row["status"] for row in rows} == {"done"}
    assert {path.name for path in home.iterdir()} == {"logs", "comparison"}


def test_stylize_writes_a_picture(command, tiny_run, home):
    images = FashionMNISTSample().load("test").images_NCHW[:2, 0].numpy()
    for name, image in zip(("content", "style"), images, strict=True):
        Image.fromarray(image).resize((64, 64)).save(home / f"{name}.png")
    pictures = ("content=content.png", "style=style.png", f"weights={tiny_run.path}")
    done = command("stylize", *pictures, "size=32", "steps=5", "accelerator=cpu", cwd=home)
    assert done.code == 0, done.err
    assert not done.err
    assert Image.open(home / "stylized.png").size == (32, 32)


@pytest.mark.parametrize(
    ("verb", "argument"),
    [("summarize", "model=vgg12"), ("compare", "runs=nowhere"), ("stylize", "content=none.png")],
)
def test_bad_input_is_one_line_and_exit_code_2(verb, argument, command, home):
    others = ("style=none.png", "weights=nowhere") if verb == "stylize" else ()
    done = command(verb, argument, *others, cwd=home)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert not list(home.iterdir())
