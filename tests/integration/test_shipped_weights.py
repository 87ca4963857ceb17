"""The commands with the weights in the package."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_predict_takes_a_name_and_writes_into_logs(verb, folder):
    Image.new("RGB", (40, 32), (90, 140, 220)).save("sky.png")
    done = verb("predict", "weights=cifar10", "images=sky.png")
    assert done.code == 0, done.err
    written = (folder / "logs/weights/cifar10/predictions.csv").read_text()
    assert "sky.png" in written
    assert "airplane" in written


@pytest.mark.parametrize("arguments", [(), ("run=x", "weights=cifar10")])
def test_exactly_one_of_run_and_weights_is_needed(arguments, verb, folder):
    done = verb("evaluate", *arguments)
    assert done.code == 2
    assert "run: set exactly one of run=<run directory> and weights=<name>" in done.err


def test_training_starts_from_a_name(verb, folder):
    for number in range(24):
        file = folder / "photos" / ("day", "night")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number, 90, 10 * number)).save(file)
    data = ("data=image_folder", "data.root=photos", "data.batch_size=4", "data.val_fraction=0.2")
    done = verb("train", "model=fast_vgg", "init.from=cifar10", "debug=fast_dev_run", *data)
    assert done.code == 0, done.err
    assert "block3_conv2" in done.out


def test_torch_hub_loads_a_network():
    net = torch.hub.load(str(ROOT), "fast_vgg", source="local", weights="cifar10")
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_the_fashion_mnist_weights_classify_the_test_images_of_the_sample(verb, folder):
    done = verb("evaluate", "weights=fashion_mnist", "data=fashion_mnist_sample")
    assert done.code == 0, done.err
    (file,) = (folder / "logs/weights/fashion_mnist/evaluations").glob("*.json")
    # in bf16 or float32; 94.8 % of all 10,000 test images, 94.0 % of these 1,000
    assert json.loads(file.read_text())["metrics"]["test/acc"] == pytest.approx(0.94, abs=3e-3)


def test_the_cifar10_weights_have_the_stated_accuracy(verb, folder, data_folder):
    if not (data_folder / "cifar-10-batches-py").is_dir():
        pytest.skip(f"{data_folder}: holds no unpacked CIFAR-10 (cifar-10-batches-py)")
    done = verb("evaluate", "weights=cifar10", f"data_root={data_folder}")
    assert done.code == 0, done.err
    (file,) = (folder / "logs/weights/cifar10/evaluations").glob("*.json")
    assert json.loads(file.read_text())["metrics"]["test/acc"] == pytest.approx(0.9357, abs=5e-4)
