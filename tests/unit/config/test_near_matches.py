"""Lines that people type by habit: each error names the right key or option first."""

import re

import pytest

import vgg_lit
from vgg_lit.config.near_matches import nearest_key, nearest_option
from vgg_lit.errors import InputError

WRONG = [
    ("train", "lr=0.1", "optimizer.lr"),
    ("train", "learning_rate=0.1", "optimizer.lr"),
    ("train", "optimizer.learning_rate=0.1", "optimizer.lr"),
    ("train", "epochs=5", "trainer.max_epochs"),
    ("train", "max_epochs=5", "trainer.max_epochs"),
    ("train", "trainer.epochs=5", "trainer.max_epochs"),
    ("train", "batch_size=64", "data.batch_size"),
    ("train", "data.batchsize=64", "data.batch_size"),
    ("train", "weight_decay=1e-4", "optimizer.weight_decay"),
    ("train", "momentum=0.8", "optimizer.momentum"),
    ("train", "dropout=0.3", "model.dropout"),
    ("train", "image_size=64", "data.image_size"),
    ("train", "gpus=2", "trainer.devices"),
    ("train", "devices=2", "trainer.devices"),
    ("train", "trainer.gpus=2", "trainer.devices"),
    ("train", "precision=16-mixed", "trainer.precision"),
    ("train", "dataset=cifar10", "data"),
    ("train", "data_dir=/data", "data_root"),
    ("train", "arch=vgg16", "model"),
    ("train", "optim=adam", "optimizer"),
    ("train", "augmentation=none", "augment"),
    ("train", "model=VGG16", "model=vgg16"),
    ("train", "model=vgg-16", "model=vgg16"),
    ("train", "model=vgg16bn", "model=vgg16_bn"),
    ("train", "data=cifar-10", "data=cifar10"),
    ("train", "data=FashionMNIST", "data=fashion_mnist"),
    ("train", "data=imagenet", "data=image_folder"),
    ("train", "optimizer=SGD", "optimizer=sgd"),
    ("train", "scheduler=CosineAnnealingLR", "scheduler=cosine"),
    ("train", "loss=ce", "loss=cross_entropy"),
    ("train", "callbacks=[default,earlystopping]", "callbacks=early_stopping"),
    ("train", "experiment=fast-cifar10", "experiment=fast_cifar10"),
    ("evaluate", "ckpt=best", "checkpoint"),
    ("predict", "image=shoe.png", "images"),
    ("compare", "run=logs", "runs"),
]


@pytest.mark.parametrize(("command", "line", "right"), WRONG, ids=[line for _, line, _ in WRONG])
def test_the_right_key_or_option_comes_first(command, line, right):
    with pytest.raises(InputError) as error:
        vgg_lit.compose(line, command=command)
    hint = re.search(r"did you mean ([^?]+)\?", str(error.value))
    assert hint, error.value
    assert hint.group(1) == right
    assert "base" not in str(error.value).replace("based", "").split("allowed")[-1].split(", ")


def test_an_unlike_name_has_no_suggestion():
    assert nearest_key("zzz", ["seed", "optimizer.lr"]) is None
    assert nearest_option("model", "zzz", ["vgg11"]) is None
