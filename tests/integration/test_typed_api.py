"""Programs of users pass mypy --strict: the names that they import have complete types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vgg_lit
import vgg_lit.data
import vgg_lit.models

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
from pathlib import Path
from typing import assert_type

import numpy as np
import torch
from torch import Tensor, nn

import vgg_lit
from vgg_lit import Classifier, ImageDataModule, Run, Sweep, compose
from vgg_lit.analysis.complexity import measure
from vgg_lit.data import FashionMNISTSample, FlipCrop
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.models import VGG, build, fast_vgg, freeze, vgg16_bn

config = compose("model=vgg16_bn", seed=1)
width: float = config.model.width


def train() -> Run:
    try:
        return vgg_lit.train("model=vgg16_bn", "data=cifar10", seed=1, **{"optimizer.lr": 0.05})
    except (InputError, TrainingError) as error:
        raise SystemExit(str(error)) from error


run = train()
assert_type(run.path, Path)
assert_type(run.metrics["test/acc"], float)
assert_type(run.evaluate(flip=True), dict[str, float])
predicted = run.predict([np.zeros((28, 28), np.uint8)])
name, probability = predicted[0].likeliest[0]
assert_type(name, str)
assert_type(probability, float)
classifier = run.load_classifier()
assert_type(classifier, Classifier)
again = Classifier.load_from_checkpoint("last.ckpt")
print([job.status for job in Sweep("logs/sweeps/first").jobs])

net = vgg16_bn(num_classes=10, in_channels=3, head="cifar")
assert_type(net, VGG)
logits: Tensor = net(torch.zeros(4, 3, 32, 32))
layer: nn.Module = net.layer("block4_conv2")
small = build([[16], [32, [32, 1]]], num_classes=2, head="gap", batch_norm=True)
freeze(small, ["block1"])
fast: nn.Module = fast_vgg(weights="cifar10")
assert_type(sum(layer.macs for layer in measure(net, (3, 32, 32)).layers), int)

data = ImageDataModule(FashionMNISTSample(), batch_size=64, augment=FlipCrop(padding=4))
data.setup("fit")
for images, labels, ids in data.train_dataloader():
    assert_type(labels, Tensor)
"""


EVERY_NAME = "".join(
    f"from {package.__name__} import {name} as public_{name}\n"
    for package in (vgg_lit, vgg_lit.data, vgg_lit.models)
    for name in package.__all__
)
WRONG = """build(3.5)
run.metric
vgg_lit.trian
from vgg_lit import Clasifier
from vgg_lit.models import vgg17
from vgg_lit.data import CIFAR11
"""


def check(program, tmp_path):
    """The exit code and the errors of mypy --strict for a program of a user."""
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    options = ("--strict", "--config-file=", "--python-version=3.11", "--follow-imports=silent")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_program_of_a_user_passes_mypy_strict(tmp_path):
    pytest.importorskip("mypy")
    code, found = check(PROGRAM + EVERY_NAME, tmp_path)
    assert code == 0, found
    code, found = check(PROGRAM + WRONG, tmp_path)
    assert code == 1
    assert found.count("error:") == len(WRONG.splitlines()), found
