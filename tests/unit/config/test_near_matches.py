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
    # lightning-hydra-template
    ("train", "task_name=first", "name"),
    ("train", "seed_everything=1", "seed"),
    ("train", "model.scheduler.gamma=0.1", "scheduler=step"),
    ("train", "debug=default", "debug=fast_dev_run"),
    ("train", "callbacks=model_checkpoint", "callbacks=default"),
    ("evaluate", "ckpt_path=logs/x", "run"),
    # ultralytics
    ("train", "imgsz=64", "data.image_size"),
    ("train", "batch=16", "data.batch_size"),
    ("train", "lr0=0.01", "optimizer.lr"),
    ("train", "patience=5", "callbacks=[default,early_stopping]"),
    ("train", "project=mine", "name"),
    ("train", "cos_lr=true", "scheduler=cosine"),
    ("predict", "source=img.jpg", "images"),
    ("predict", "model=logs/x", "run"),
    ("export", "format=onnx", "formats"),
    # timm
    ("train", "model=vgg16.tv_in1k", "model=vgg16"),
    ("train", "reprob=0.25", "augment=erasing"),
    ("train", "mixup=0.2", "augment=mixup"),
    ("train", "aa=rand-m9", "augment=autoaugment_cutout"),
    ("train", "model_ema=true", "callbacks=[default,ema]"),
    ("train", "model.drop_rate=0.2", "model.dropout"),
    ("train", "warmup_epochs=3", "scheduler.warmup_fraction"),
    # torchvision
    ("train", "scheduler=ReduceLROnPlateau", "scheduler=plateau"),
    ("train", "lr_step_size=30", "scheduler=step"),
    ("train", "print_freq=10", "trainer.log_every_n_steps"),
    ("train", "val_split=0.1", "data.val_fraction"),
    ("compare", "metric=[val/acc]", "columns"),
    ("compare", "group_by=model", "by"),
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
