"""Invalid settings are reported in one line with the key and the allowed values."""

from types import SimpleNamespace

import pytest
import torch

from vgg_lit.config.checks import check_devices, check_section, check_train, to_plain
from vgg_lit.config.schema import Data, Trainer
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.runs import Run
from vgg_lit.system import hardware

# overrides, and the parts of the error line: the key, and the value or the allowed ones
BAD = [
    # names
    ("sead=1", ["sead", "did you mean seed", "allowed"]),
    ("+new=1", ["unknown key new", "allowed"]),
    ("trainer.max_epoch=1", ["trainer.max_epoch", "did you mean trainer.max_epochs"]),
    ("+trainer.max_epoch=1", ["trainer.max_epoch", "did you mean trainer.max_epochs"]),
    ("+data.batchsize=1", ["data.batchsize", "did you mean data.batch_size"]),
    ("optimizer.learning_rate=1", ["optimizer.learning_rate", "lr"]),
    ("+optimizer.learning_rate=1", ["optimizer.learning_rate", "lr"]),
    ("+scheduler.warmup=0.1", ["scheduler.warmup", "warmup_fraction"]),
    ("+model.widht=1", ["model.widht", "did you mean model.width"]),
    ("+augment.pad=1", ["augment.pad", "padding"]),
    ("+callbacks.checkpointing.monitr=1", ["callbacks.checkpointing.monitr", "monitor"]),
    ("model=vgg12", ["model=vgg12", "vgg11", "vgg19_bn"]),
    ("data=cifar", ["data=cifar", "cifar10"]),
    ("optimizer=lion", ["optimizer=lion", "sgd"]),
    ("modle=vgg11", ["modle"]),
    # types
    ("seed=1e3", ["seed=1000.0", "integer"]),
    ("seed=true", ["seed=true", "integer"]),
    ("seed=-1", ["seed=-1", "greater than or equal to 0"]),
    ("seed=4294967296", ["seed=4294967296", "less than 4294967296"]),
    ("seed=null", ["seed=null", "integer"]),
    ("compile=1", ["compile=1", "boolean"]),
    ("compile='true'", ["compile=true", "boolean"]),
    ("name=1", ["name=1", "string"]),
    ("label_smoothing=high", ["label_smoothing=high", "number"]),
    ("trusted_targets=mine", ["trusted_targets=mine", "list"]),
    ("trusted_targets=['my package!']", ["trusted_targets", "my package!"]),
    ("data.batch_size=16.0", ["data.batch_size=16.0", "integer"]),
    ("data.batch_size='16'", ["data.batch_size=16", "integer"]),
    ("optimizer.lr=fast", ["optimizer.lr=fast", "number"]),
    ("optimizer.nesterov=1", ["optimizer.nesterov=1", "boolean"]),
    ("optimizer.decay_norm_and_bias=1", ["optimizer.decay_norm_and_bias=1", "true or false"]),
    ("trainer.devices=two", ["trainer.devices=two", "integer"]),
    ("trainer.deterministic=maybe", ["trainer.deterministic=maybe", "warn"]),
    ("trainer=3", ["trainer=3"]),
    ("model.width=wide", ["width", "wide"]),
    ("model.width=true", ["width", "True"]),
    # ranges
    ("label_smoothing=1", ["label_smoothing=1", "less than 1"]),
    ("label_smoothing=-0.1", ["label_smoothing=-0.1", "greater than or equal to 0"]),
    ("data.batch_size=0", ["data.batch_size=0", "greater than or equal to 1"]),
    ("data.val_fraction=1", ["data.val_fraction=1", "less than 1"]),
    ("data.val_fraction=-0.1", ["data.val_fraction=-0.1"]),
    ("data.folds=1 data.fold=0", ["data.folds=1", "greater than or equal to 2"]),
    ("data.folds=5", ["data.folds=5", "needs data.fold", "-m data.fold=0,1,2,3,4"]),
    ("data.fold=0", ["data.fold=0", "needs data.folds"]),
    ("data.folds=5 data.fold=5", ["data.fold=5", "data.folds=5: 0 to 4"]),
    (
        "data.folds=5 data.fold=0 data.val_fraction=0.2",
        ["data.val_fraction=0.2", "no effect with data.folds=5"],
    ),
    ("data.train_size=0", ["data.train_size=0"]),
    ("data.num_classes=1", ["data.num_classes=1", "greater than or equal to 2"]),
    ("data.image_size=0", ["data.image_size=0"]),
    ("data.image_size=16", ["image_size=16", "32"]),
    ("trainer.max_epochs=0", ["trainer.max_epochs=0", "greater than or equal to 1"]),
    ("trainer.max_epochs=-1", ["trainer.max_epochs=-1"]),
    ("trainer.max_epochs=1.5", ["trainer.max_epochs=1.5", "integer"]),
    ("trainer.accumulate_grad_batches=0", ["trainer.accumulate_grad_batches=0"]),
    ("trainer.gradient_clip_val=0", ["trainer.gradient_clip_val=0", "greater than 0"]),
    ("trainer.gradient_clip_val=-1", ["trainer.gradient_clip_val=-1"]),
    ("trainer.check_val_every_n_epoch=0", ["trainer.check_val_every_n_epoch=0"]),
    ("trainer.log_every_n_steps=0", ["trainer.log_every_n_steps=0"]),
    ("trainer.limit_train_batches=-1", ["trainer.limit_train_batches=-1"]),
    ("trainer.limit_val_batches=1.5", ["trainer.limit_val_batches=1.5"]),
    ("trainer.overfit_batches=2.5", ["trainer.overfit_batches=2.5"]),
    ("optimizer.lr=0", ["optimizer.lr=0"]),
    ("optimizer.lr=-0.1", ["optimizer.lr=-0.1"]),
    ("optimizer.lr=nan", ["optimizer.lr=nan"]),
    ("optimizer.momentum=1", ["optimizer.momentum=1"]),
    ("optimizer.momentum=-1", ["optimizer.momentum"]),
    ("optimizer.weight_decay=-1", ["optimizer.weight_decay=-1"]),
    ("scheduler.warmup_fraction=1", ["scheduler.warmup_fraction=1"]),
    ("scheduler.start_factor=0", ["scheduler.start_factor=0"]),
    ("scheduler.end_factor=0", ["scheduler.end_factor=0"]),
    ("scheduler=multistep scheduler.milestones=[3,2]", ["scheduler.milestones", "rising"]),
    ("scheduler=plateau scheduler.factor=1", ["scheduler.factor=1", "below 1"]),
    ("scheduler=plateau scheduler.patience=-1", ["scheduler.patience=-1"]),
    ("scheduler=step scheduler.every_epochs=0", ["scheduler.every_epochs=0"]),
    ("scheduler=cosine scheduler.end_factor=2", ["scheduler.end_factor=2"]),
    ("model.dropout=1", ["dropout=1"]),
    ("model.head=cifar model.dropout=-0.5", ["dropout=-0.5"]),
    ("model.width=0", ["width=0"]),
    ("augment.padding=-1", ["padding=-1"]),
    ("init=torchvision", ["did you mean model.init=torchvision? init is a section of settings"]),
    ("data.augment=mixup", ["did you mean augment=mixup? data.augment is a section of settings"]),
    ("augment=flip_crop augment.flip=sometimes", ["augment.flip=sometimes", "alternating"]),
    ("augment=erasing augment.probability=2", ["augment.probability=2", "0 to 1"]),
    ("augment=erasing augment.scale=[0.4,0.02]", ["augment.scale=[0.4, 0.02]", "smaller first"]),
    ("augment=mixup augment.mixing.alpha=0", ["augment.mixing.alpha=0", "above 0"]),
    ("augment=paper augment.colour.std=-1", ["augment.colour.std=-1", "0 or more"]),
    ("augment=paper augment.jitter.min_scale=20", ["min_scale=20", "at least image_size=32"]),
    (
        "augment=paper augment.jitter.min_scale=50 augment.jitter.max_scale=40",
        ["augment.jitter", "max_scale=40 must be at least min_scale=50"],
    ),
    (
        "augment=paper augment.jitter.min_scale=40 augment.jitter.max_scale=50",
        ["min_scale=40", "images of 32 pixels", "at most 32"],
    ),
    ("augment=autoaugment_cutout augment.cutout.size=0", ["augment.cutout.size=0", "at least 1"]),
    ("data.normalize=std", ["data.normalize=std", "'mean_std', 'mean' or 'none'"]),
    ("callbacks.checkpointing.every_n_epochs=0", ["callbacks.checkpointing.every_n_epochs=0"]),
    # choices
    ("trainer.accelerator=tpu", ["trainer.accelerator=tpu", "cpu"]),
    ("trainer.precision=bf16", ["trainer.precision=bf16", "bf16-mixed"]),
    ("trainer.precision=16", ["trainer.precision=16", "16-mixed"]),
    ("trainer.profiler=deep", ["trainer.profiler=deep", "simple"]),
    ("trainer.gradient_clip_algorithm=l2", ["trainer.gradient_clip_algorithm=l2", "norm"]),
    ("model.variant=vgg12", ["variant", "vgg12", "vgg11"]),
    ("model.head=big", ["head", "big", "imagenet, cifar, linear, gap"]),
    ("model.head={hiden: [8]}", ["head", "hiden", "hidden"]),
    ("model.init=zeros", ["init", "zeros", "kaiming, xavier, paper, pytorch"]),
    ("model.variant=[[64],[]]", ["block 2"]),
    ("model.batch_norm=true", ["batch_norm", "plan"]),
    ("callbacks.checkpointing.mode=up", ["callbacks.checkpointing.mode=up", "max"]),
    # devices
    ("trainer.devices=0", ["trainer.devices=0"]),
    ("trainer.devices=99", ["trainer.devices=99", "allowed: 1 to"]),
    ("trainer.devices=[0]", ["trainer.devices=[0]", "number of processes"]),
    ("trainer.devices=2 data.batch_size=33", ["data.batch_size=33", "32 and 34"]),
    ("trainer.num_nodes=5 data.batch_size=128", ["data.batch_size=128", "125 and 130"]),
    # missing
    ("data=image_folder", ["data.root", "is needed"]),
    ("model=vgg", ["model.variant", "is needed"]),
    ("~optimizer.lr", ["optimizer.lr"]),
    ("~seed", ["data.seed", "seed' not found"]),
    ("resume=nowhere", ["resume=nowhere", "no run"]),
    # not an override
    ("seed", ["seed"]),
    ("=3", ["=3"]),
    ("logger=null", ["logger=null", "none"]),
    ("model.head={a", ["model.head={a"]),
    # must not be executed
    ("model._target_=os.system", ["model._target_=os.system", "trusted_targets"]),
    ("optimizer._target_=builtins.eval", ["optimizer._target_=builtins.eval"]),
    ("+callbacks.mine._target_=my.Callback", ["callbacks.mine._target_=my.Callback"]),
    ("data._target_=subprocess.run", ["data._target_=subprocess.run"]),
    ("trainer._target_=torch.hub.load", ["trainer._target_=torch.hub.load"]),
]
# Hydra accepts `~optimizer.lr`, since torch.optim.SGD has a default learning rate.
ALLOWED = {"~optimizer.lr"}


def split(overrides):
    """Splits a command line as a shell would; a mapping or list stays one word."""
    return [overrides] if "{" in overrides or "'" in overrides else overrides.split()


class LetThroughError(Exception):
    """Raised in place of starting a run."""


@pytest.fixture
def let_through(monkeypatch):
    """The configs of the runs that would have started; nothing is trained."""
    passed = []

    def start(path, config, overrides):
        passed.append(config)
        raise LetThroughError

    monkeypatch.setattr(Run, "start", start)
    return passed


@pytest.mark.parametrize(
    ("overrides", "words"), [case for case in BAD if case[0] not in ALLOWED], ids=lambda x: str(x)
)
def test_bad_override_is_one_line_with_the_allowed_values(
    overrides, words, verb, let_through, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = verb("train", "trainer.accelerator=cpu", *split(overrides))
    assert not let_through, "was accepted"
    assert done.code == 2, done
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert len(lines[0]) < 600
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(tmp_path.glob("logs/runs/*/*")), "an empty run directory was left behind"


GOOD = [
    "seed=0",
    "seed=4294967295",
    "label_smoothing=0",
    "label_smoothing=0.0",
    "data.val_fraction=0",
    "data.folds=5 data.fold=4",
    "experiment=fast_fashion_mnist data=fashion_mnist_sample data.folds=2 data.fold=0",
    "optimizer.lr=1",
    "optimizer=adam",
    "optimizer=adamw",
    "optimizer.momentum=0 optimizer.nesterov=false",
    "model.dropout=0",
    "model.head=gap data.image_size=64",
    "model.head={hidden: [8, 8], batch_norm: true}",
    "trainer.devices=2",
    "trainer.devices=auto",
    "trainer.max_time=00:01:00:00",
    "trainer.limit_train_batches=0.5",
    "trainer.limit_train_batches=3",
    "trainer.gradient_clip_val=1",
    "trainer.gradient_clip_val=0.5 trainer.gradient_clip_algorithm=value",
    "trainer.fast_dev_run=2",
    "callbacks.progress=null",
    "callbacks=[default,ema,early_stopping]",
    "logger.tensorboard=null",
    "logger=none",
    "callbacks=none",
    "~logger",
    "scheduler=none",
    "name=mine",
    "objective=val/loss",
]


@pytest.mark.parametrize("overrides", GOOD)
def test_good_override_reaches_training(overrides, verb, let_through, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LetThroughError):
        verb("train", "trainer.accelerator=cpu", *split(overrides))
    assert len(let_through) == 1


def test_seed_0_is_not_treated_as_unset(verb, let_through, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 3):
        with pytest.raises(LetThroughError):
            verb("train", f"seed={seed}")
    assert [config["seed"] for config in let_through] == [0, 3]
    assert [config["data"]["seed"] for config in let_through] == [0, 3]


def test_to_plain_resolves_references_to_plain_values(compose):
    plain = to_plain(compose("model.width=0.5"))
    assert plain["model"]["in_channels"] == plain["data"]["in_channels"] == 1
    assert plain["data"]["augment"] == plain["augment"]
    assert type(plain["trainer"]) is dict
    assert type(plain["optimizer"]["lr"]) is float
    assert check_train(plain).seed == 0


def test_an_unresolvable_reference_is_one_line(compose):
    with pytest.raises(ConfigError, match="nowhere") as refused:
        to_plain(compose("model.num_classes=${nowhere.at_all}"))
    assert "\n" not in str(refused.value)


def test_checks_do_not_modify_the_config(compose):
    plain = to_plain(compose())
    before = str(plain)
    check_train(plain)
    assert str(plain) == before


def test_a_single_section_can_be_checked(compose):
    plain = to_plain(compose("trainer.devices=1", "data.batch_size=24"))
    assert check_section(plain["trainer"], Trainer, "trainer").devices == 1
    assert check_section(plain["data"], Data, "data").batch_size == 24
    del plain["data"]["seed"]
    with pytest.raises(ConfigError, match=r"data\.seed: is needed and not set"):
        check_section(plain["data"], Data, "data")


def test_the_batch_size_must_divide_over_all_nodes(compose, monkeypatch):
    plain = to_plain(compose("trainer.accelerator=cpu", "trainer.devices=2", "trainer.num_nodes=3"))
    plain["data"]["batch_size"] = 126
    check_train(plain)
    plain["data"]["batch_size"] = 5
    with pytest.raises(ConfigError, match=r"data\.batch_size=5: .* 6 processes; .*: 6$"):
        check_train(plain)


def test_gpus_are_checked_by_number(compose, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_train(to_plain(compose("trainer.accelerator=gpu", "trainer.devices=[0,1]")))
    for devices in ("[0,2]", "[]", "3"):
        plain = to_plain(compose("trainer.accelerator=gpu", f"trainer.devices={devices}"))
        with pytest.raises(InputError, match=r"trainer\.devices="):
            check_train(plain)
    assert hardware.count_devices("auto") == ("gpu", 2)


def test_no_single_rate_is_found_for_an_optimiser_with_two(compose):
    plain = to_plain(compose("optimizer=muon", "find_lr=true"))
    with pytest.raises(
        ConfigError,
        match=r"find_lr=true: finds one rate; cannot be combined with vgg_lit\.optim\.Muon",
    ):
        check_train(plain)


def test_synchronised_batch_norm_needs_gpus(compose):
    config = to_plain(compose("trainer.sync_batchnorm=true", "trainer.accelerator=cpu"))
    with pytest.raises(
        ConfigError, match=r"sync_batchnorm=true: torch has it for GPUs, not for cpu;"
    ):
        check_train(config)


def test_more_processes_than_visible_devices_are_allowed_to_tasks_of_srun(monkeypatch):
    monkeypatch.setattr("vgg_lit.system.hardware.count_devices", lambda accelerator: ("gpu", 1))
    trainer = SimpleNamespace(devices=4, accelerator="gpu", num_nodes=1)
    with pytest.raises(ConfigError, match=r"trainer\.devices=4: this machine has 1"):
        check_devices(trainer, 32)
    monkeypatch.setattr("vgg_lit.system.launch.sees_own_device", lambda available: available == 1)
    check_devices(trainer, 32)
