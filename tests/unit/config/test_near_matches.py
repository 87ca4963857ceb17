"""Lines that people type by habit: each error names the right key or option first."""

import re

import pytest

import vgg_lit
from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.group_options import config_folder, options_of
from vgg_lit.config.near_matches import (
    OPTIONS,
    SYNONYMS,
    nearest_key,
    nearest_option,
    normalized,
)
from vgg_lit.config.refusals import check_flags
from vgg_lit.config.schema import COMMANDS, Data, Trainer
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
    ("train", "log_dir=logs", "hydra.run.dir"),
    ("train", "output_dir=logs", "hydra.run.dir"),
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
    ("tune", "study_name=first", "name"),
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
    # Lightning
    ("train", "trainer.gpus=1", "trainer.devices"),
    ("train", "++trainer.gpus=1", "trainer.devices"),
    ("train", "+lr=0.1", "optimizer.lr"),
    ("train", "trainer.max_epoch=3", "trainer.max_epochs"),
    ("train", "trainer.auto_lr_find=true", "find_lr"),
    ("train", "trainer.auto_scale_batch_size=true", "find_batch_size"),
    ("train", "trainer.val_check_interval=0.5", "trainer.check_val_every_n_epoch"),
    ("train", "trainer.resume_from_checkpoint=x", "resume"),
    ("train", "trainer.precision=16", "trainer.precision=16-mixed"),
    ("train", "trainer.precision=fp16", "trainer.precision=16-mixed"),
    ("train", "trainer.precision=bf16", "trainer.precision=bf16-mixed"),
    ("train", "trainer.devices=-1", "trainer.devices=auto"),
    ("train", "accelerator=gpu", "trainer.accelerator"),
    ("train", "data.train_val_test_split=[5,1,1]", "data.val_fraction"),
    # timm and torchvision
    ("train", "model.pretrained=true", "init.from"),
    ("train", "pretrained=true", "init.from"),
    ("train", "model.name=vgg16", "model"),
    ("train", "model=vgg_16 ", "model=vgg16"),
    ("train", "experiment_name=x", "name"),
    ("train", "initial_checkpoint=x", "init.from"),
    ("train", "mean=[0.5]", "data.normalize"),
    ("train", "optimizer.betas=[0.9,0.99]", "optimizer=adamw"),
    ("train", "scheduler.T_max=10", "scheduler=cosine"),
    ("train", "model_ema_decay=0.99", "callbacks=[default,ema]"),
    # data
    ("train", "data.dataset=cifar10", "data"),
    ("train", "data.name=cifar10", "data"),
    ("train", "data.path=/x", "data=image_folder data.root=..."),
    ("train", "data.dir=/x", "data=image_folder data.root=..."),
    ("train", "data.train_dir=/x", "data=image_folder data.root=..."),
    ("train", "data.root=/x", "data=image_folder data.root=..."),
    ("train", "data=cifar10 data.path=/x", "data.root"),
    ("train", "data=image_folder data.root=x data.num_workers=4", "data.source.num_workers"),
    ("train", "data=cifar", "data=cifar10"),
    ("train", "data=vgg16", "model=vgg16"),
    ("train", "data.resize=64", "data.image_size"),
    ("train", "kfold=5", "data.folds"),
    # ultralytics, fastai and Hugging Face
    ("train", "device=cuda", "trainer.accelerator"),
    ("train", "device=0", "trainer.devices"),
    ("train", "ckpt=x", "ckpt_path"),
    ("train", "checkpoint=x", "ckpt_path"),
    ("train", "name=x exp=y", "name"),
    ("train", "save_period=5", "callbacks.checkpointing.every_n_epochs"),
    ("train", "valid_pct=0.2", "data.val_fraction"),
    ("train", "bs=64", "data.batch_size"),
    ("train", "num_train_epochs=3", "trainer.max_epochs"),
    ("train", "per_device_train_batch_size=8", "data.batch_size"),
    ("train", "gradient_accumulation_steps=2", "trainer.accumulate_grad_batches"),
    ("train", "report_to=wandb", "logger"),
    # settings of an option that is not chosen
    ("train", "callbacks.ema.decay=0.99", "callbacks=[default,ema]"),
    ("train", "callbacks.early_stopping.monitor=val/loss", "callbacks=[default,early_stopping]"),
    ("train", "callbacks.monitor=val/acc", "callbacks.checkpointing.monitor"),
    ("train", "callbacks=none callbacks.checkpointing.keep=last", "callbacks=[default]"),
    ("train", "loss.gamma=3", "loss=focal"),
    ("train", "loss.temperature=2", "loss=distillation"),
    ("train", "loss.decay=1e-4", "optimizer.weight_decay"),
    ("train", "teacher=logs/x", "loss=distillation"),
    ("train", "scheduler.patience=5", "scheduler=plateau"),
    ("train", "scheduler.min_lr=1e-4", "scheduler=plateau"),
    ("train", "min_lr=1e-4", "scheduler=plateau"),
    ("train", "scheduler=plateau min_lr=1e-4", "scheduler.min_lr"),
    ("train", "optimizer=adam optimizer.nesterov=true", "optimizer=sgd"),
    ("train", "logger.project=mine", "logger=comet or logger=wandb"),
    ("train", "logger.wandb.project=mine", "logger=wandb"),
    ("train", "data.source.labels=fine", "data=cifar100 or data=image_folder"),
    ("train", "data.stratify=true", "data.splitting"),
    ("train", "data.stratified=true", "data.splitting"),
    # names that mean another key in one command
    ("predict", "folder=photos", "images"),
    ("export", "dir=out", "output"),
    ("export", "folder=out", "output"),
    ("visualize", "plot=confusion", "figures"),
    ("visualize", "plots=confusion", "figures"),
    ("visualize", "img=shoe.png", "image"),
    ("predict", "img=shoe.png", "images"),
    ("evaluate", "folder=logs/x", "run"),
    # options
    ("train", "optimizer=AdamW", "optimizer=adamw"),
    ("train", "optimizer=Adam", "optimizer=adam"),
    ("train", "scheduler=cosineannealing", "scheduler=cosine"),
    ("train", "scheduler=constant", "scheduler=none"),
    ("train", "loss=crossentropy", "loss=cross_entropy"),
    ("train", "augment=randaugment", "augment=trivial_erasing"),
    ("train", "augment=true", "augment=flip_shift"),
    ("train", "logger=false", "logger=none"),
    ("train", "logger=tb", "logger=tensorboard"),
    ("train", "debug=true", "debug=fast_dev_run"),
    ("tune", "sampler=bayes", "sampler=tpe"),
    ("tune", "pruner=asha", "pruner=hyperband"),
    ("tune", "trials=10", "n_trials"),
    # without a key, or as another program writes it
    ("train", "epochs", "trainer.max_epochs=..."),
    ("train", "lr:0.1", "optimizer.lr=0.1"),
    ("train", "vgg16", "model=vgg16"),
    ("predict", "images", "images=..."),
    ("evaluate", "model=vgg16", "run"),
    ("evaluate", "path=logs", "run"),
    ("evaluate", "split=validation", "split=val"),
]


def checked(command, line):
    """Composes and checks the settings of a command."""
    plain = to_plain(vgg_lit.compose(*re.split(" (?=[a-z])", line), command=command))
    check_section(plain, COMMANDS[command])
    check_section(plain["trainer"], Trainer, "trainer")


@pytest.mark.parametrize(("command", "line", "right"), WRONG, ids=[line for _, line, _ in WRONG])
def test_the_right_key_or_option_comes_first(command, line, right):
    with pytest.raises(InputError) as error:
        checked(command, line)
    hint = re.search(r"did you mean ([^?]+)\?", str(error.value))
    assert hint, error.value
    assert hint.group(1) == right
    assert "base" not in str(error.value).replace("based", "").split("allowed")[-1].split(", ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("data.num_workers=4", "the images of this data set are in memory and need no workers"),
        ("num_workers=4", "the images of this data set are in memory and need no workers"),
        ("data.pin_memory=true", "is always automatic"),
        ("data.shuffle=true", "training images are always shuffled"),
        ("++data.shuffle=true", "training images are always shuffled"),
    ],
)
def test_a_setting_that_is_not_needed_has_the_reason(line, reason):
    with pytest.raises(InputError) as error:
        check_section(to_plain(vgg_lit.compose(line)).get("data"), Data, "data")
    key = line.partition("=")[0].lstrip("+")
    assert str(error.value).startswith(f"unknown key {key}; {reason}; allowed")


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        (["--epochs", "10"], "trainer.max_epochs=..."),
        (["--lr", "0.1"], "optimizer.lr=..."),
        (["--model=vgg16"], "model=vgg16"),
        (["--gpu=0"], "trainer.devices=0"),
        (["--device=cpu"], "trainer.accelerator=cpu"),
        (["--debug"], "debug=fast_dev_run"),
        (["--world-size=2"], "trainer.devices=2"),
        (["--config=x.yaml"], "--config-dir or --config-name or --config-path"),
    ],
)
def test_a_flag_of_another_program_names_the_setting(flags, meant):
    with pytest.raises(InputError) as error:
        check_flags(flags, "train")
    assert f"is not a flag; did you mean {meant}?" in str(error.value)


def test_workers_as_a_flag_are_not_needed():
    with pytest.raises(InputError, match="-j: is not a flag; the images of this data set are in"):
        check_flags(["-j", "4"], "train")


def test_an_existing_image_is_not_taken_for_a_run(tmp_path):
    (tmp_path / "shoe.png").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    for name, key in (("shoe.png", "images"), ("run", "run")):
        with pytest.raises(InputError, match=re.escape(f"did you mean {key}={tmp_path / name}")):
            vgg_lit.compose(str(tmp_path / name), command="predict")


def test_an_empty_option_lists_the_options():
    with pytest.raises(InputError, match=r"^model=: there is no such config; allowed: efficient"):
        vgg_lit.compose("model=")


def test_a_range_is_a_sweep():
    with pytest.raises(InputError, match=r"python -m vgg_lit.train -m (['\"])seed=range\(3\)\1$"):
        vgg_lit.compose("seed=range(3)")


def test_every_suggestion_exists():
    """The options that other names lead to are files, and the settings are in the config."""
    for group, options in OPTIONS.items():
        names = {option.name for option in options_of(group, None, config_folder())}
        assert set(options.values()) <= names, group
        assert not {n for n in options if n in map(normalized, names)}, group
    meant = {one for names in SYNONYMS.values() for one in names}
    for override in [one for one in meant if "=" in one and "..." not in one]:
        vgg_lit.compose(override)


def test_options_are_named_only_where_they_can_be_chosen():
    keys = ["loss.reduction", "loss", "data", "data.root"]
    assert nearest_key("loss.gamma", keys, command="train") == "loss=focal"
    assert nearest_key("loss.gamma", keys, command="export") is None
    assert nearest_key("loss.gamma", keys) is None
    assert nearest_key("image", keys, command="export") is None
    assert nearest_key("data.source.labels", keys, command="export") is None


def test_an_unlike_name_has_no_suggestion():
    assert nearest_key("zzz", ["seed", "optimizer.lr"]) is None
    assert nearest_option("model", "zzz", ["vgg11"]) is None
