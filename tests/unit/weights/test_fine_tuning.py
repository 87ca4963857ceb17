"""Runs initialised from other weights, frozen layers, and layer-wise learning rates."""

import csv
import json
import math
import shutil

import pytest
import torch

from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.errors import InputError
from vgg_lit.models.layers import weighted_layers
from vgg_lit.runs import Run
from vgg_lit.weights.fine_tuning import copy_weights

QUIET = ("logger=none", "data.test_size=20")


@pytest.fixture(scope="module")
def shallow(train, tmp_path_factory):
    """A finished run of vgg11_bn. Read only."""
    return train(tmp_path_factory.mktemp("shallow") / "run", "model=vgg11_bn", *QUIET)


def net_of(run, name="last"):
    return run.load_classifier(name).net


def layer_state(net, layer):
    return [
        tensor
        for path in weighted_layers(net)[layer]
        for tensor in net.get_submodule(path).state_dict().values()
    ]


def same(net, other, layer):
    pairs = zip(layer_state(net, layer), layer_state(other, layer), strict=True)
    return all(torch.equal(mine, given) for mine, given in pairs)


def test_init_from_prints_and_records_the_copied_layers(shallow, train, tmp_path, capsys):
    run = train(tmp_path / "run", "model=vgg16_bn", f"init.from={shallow.path}", *QUIET)
    record = json.loads((run.path / "init.json").read_text())
    assert record["from"] == str(shallow.path)
    layers = ["block1_conv1", "block2_conv1", "block3_conv1", "block3_conv2", "fc6"]
    assert record["copied"] == {layer: layer for layer in layers}
    assert len(record["fresh"]) == 9
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("init ")]
    assert f"from {shallow.path} (checkpoint of vgg_lit): block1_conv1, block2_conv1" in line
    assert "not copied: block1_conv2" in line


def test_training_starts_from_the_copied_weights(shallow, compose, tiny, tmp_path):
    config = to_plain(compose(*tiny, "model=vgg16_bn", f"init.from={shallow.path}"))
    net = check_free_net(config)
    transfer = copy_weights(config, net)
    source = net_of(shallow, "best")
    assert all(same(net, source, layer) for layer in transfer.copied)
    assert not any(same(net, source, f"block{n}_conv1") for n in (4, 5))


def check_free_net(config):
    from vgg_lit.targets import instantiate

    check_train(config)
    return instantiate(config["model"], key="model")


def test_a_trained_run_does_not_need_its_source(shallow, train, resume, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(shallow.path, source)
    frozen = ("freeze=[block1]", "optimizer.layer_rates={block2: 0.5}")
    run = train(tmp_path / "run", "model=vgg13_bn", f"init.from={source}", *frozen, *QUIET)
    shutil.rmtree(source)
    before = net_of(run)
    assert all(parameter.requires_grad for parameter in before.parameters())
    resume(run, f"resume={run.path}", "trainer.max_epochs=2")
    after = net_of(run)
    assert same(after, before, "block1_conv2")
    assert not same(after, before, "block2_conv1")
    content = torch.load(run.checkpoint("last"), weights_only=True)
    assert content["global_step"] == 8
    assert str(source) not in str(content["hyper_parameters"])


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("callbacks=[default,ema]",),
        ("optimizer=adamw", "optimizer.lr=0.01"),
        ("optimizer.decay_norm_and_bias=false",),
        ("model.checkpoint_blocks=true",),
        ("trainer.precision=bf16-mixed",),
        ("augment=none", "cache_features=true"),
    ],
    ids=lambda options: ",".join(options) or "sgd",
)
def test_frozen_blocks_are_bit_identical_after_training(options, shallow, train, tmp_path):
    run = train(
        tmp_path / "run",
        *("model=vgg11_bn", f"init.from={shallow.path}", "trainer.max_epochs=2"),
        *("freeze=[block1,block2,block3_conv1]", "optimizer.weight_decay=0.1"),
        *QUIET,
        *options,
    )
    before, after = net_of(shallow, "best"), net_of(run)
    frozen = {"block1_conv1", "block2_conv1", "block3_conv1"}
    for layer in weighted_layers(after):
        assert same(after, before, layer) == (layer in frozen), layer


def test_the_number_of_frozen_parameters_is_printed(shallow, train, tmp_path, capsys):
    train(tmp_path / "run", "model=vgg11_bn", "freeze=[block1,fc6]", "model.width=0.0625", *QUIET)
    # 4 x 9 + 4 and 2 x 4 of batch norm, 10 x 32 + 10
    assert "frozen   block1, fc6: 378 parameters" in capsys.readouterr().out


def test_comparison_networks_support_freezing_and_layer_rates(train, tmp_path, tiny):
    base = [setting for setting in tiny if not setting.startswith("model.")]
    options = ("model=resnet18", "freeze=[conv1,bn1,layer1]", "optimizer.layer_rates={layer2: 0.1}")
    run = train(tmp_path / "run", *options, "data.train_size=16", *QUIET, base=tuple(base))
    assert run.metrics["lr/layer2"] == pytest.approx(run.metrics["lr"] / 10)


@pytest.mark.parametrize("scheduler", ["one_cycle", "plateau", "none"])
def test_every_learning_rate_is_in_metrics_csv(scheduler, train, tmp_path):
    rates = "optimizer.layer_rates={block1: 0.1, block2: 0.5}"
    run = train(tmp_path / "run", "model=vgg11", rates, f"scheduler={scheduler}", *QUIET)
    with run.metrics_file.open() as lines:
        (row,) = csv.DictReader(lines)
    assert float(row["lr/block1"]) == pytest.approx(0.1 * float(row["lr"]), rel=1e-5)
    assert float(row["lr/block2"]) == pytest.approx(0.5 * float(row["lr"]), rel=1e-5)


@pytest.mark.parametrize("frozen", ["[block1]", "[block1,block2_conv1]", "[block1,block2,block3,block4,block5]"])  # fmt: skip
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_cached_features_train_the_same_weights(frozen, precision, shallow, train, tmp_path):
    options = (
        *("model=vgg13_bn", f"freeze={frozen}", "augment=none", "trainer.max_epochs=2"),
        *("model.head={hidden: [32], dropout: 0.5}", f"trainer.precision={precision}"),
        *("callbacks=[default,ema]", "optimizer.lr=0.01"),
        *QUIET,
    )
    plain = train(tmp_path / "plain", *options)
    cached = train(tmp_path / "cached", *options, "cache_features=true")
    found, expected = net_of(cached).state_dict(), net_of(plain).state_dict()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4)
    for name in ("train/loss", "val/loss", "val/acc", "test/loss", "test/acc"):
        assert cached.metrics[name] == pytest.approx(plain.metrics[name], rel=1e-3), name


def test_cached_frozen_layers_are_computed_once(train, tmp_path, monkeypatch):
    seen = []
    forward = torch.nn.Conv2d.forward

    def count(self, x):
        if self.in_channels == 1 and x.shape[-1] == 32 and not x.is_meta:
            seen.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", count)
    options = ("freeze=[block1]", "augment=none", "small_map_gemm=false", "trainer.max_epochs=3")
    train(tmp_path / "run", *options, "cache_features=true", *QUIET)
    assert sum(seen) == 64 + 60 + 20  # training, validation, test


BAD = [
    (["init.from=nowhere"], "init.from=nowhere: no such file or directory: nowhere; allowed: a run"),
    (["init.layers=[block1]"], "init.layers: needs init.from"),
    (["init.from={run}", "ckpt_path=x.ckpt"], "init.from and ckpt_path"),
    (["init.from={run}", "init.layers=[blok1]"], "init.layers: unknown layer 'blok1'. Did you mean"),
    (["init.from={run}", "model.width=0.0625"], "block1_conv1 is 4x1x3x3 here"),
    (["init.from={run}", "model=vgg11"], "init.from={run}: block1_conv1 and .* batch norm"),
    (["init.from={run}", "init.layers=[fc6]", "model.head=cifar"], "init.layers: fc6"),
    (["init.from=torchvision", "model=vgg11_lrn"], "init.from=torchvision: torchvision publishes no"),
    (["init.from=torchvision"], "init.from=torchvision: block1_conv1 is 2x1x3x3 here"),
    (["freeze=[blok1]"], "freeze: unknown layer 'blok1'. Did you mean 'block1'"),
    (["freeze=[block1,block2,block3,block4,block5,fc6]"], "freezes all layers"),
    (["optimizer.layer_rates={blok1: 0.1}"], "optimizer.layer_rates.blok1: unknown layer"),
    (["optimizer.layer_rates={block1: 0}"], "optimizer.layer_rates.block1: factor=0.*above 0"),
    (["optimizer.layer_rates={block1: x}"], "optimizer.layer_rates.*number"),
    (["optimizer.layer_rates=0.1"], "optimizer.layer_rates=0.1"),
    (["optimizer.layer_rates={block3: 1, block3_conv2: 2}"], "block3_conv2: overlaps with block3"),
    (["optimizer.layer_rates={block1: 2}", "freeze=[block1]"], "layer_rates.block1: is frozen"),
    (["optimizer.layer_epochs={block1: 2}", "freeze=[block1]"], "layer_epochs.block1: is frozen"),
    (["cache_features=true", "augment=none"], "cache_features: freeze=.. does not include the first layer"),
    (["cache_features=true", "augment=none", "freeze=[block2]"], "does not include the first layer"),
    (["cache_features=true", "freeze=[block1]"], "cache_features: with augment=.*augment=none"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "complaint"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_invalid_settings_are_one_line_before_a_run_starts(
    overrides, complaint, shallow, compose, tiny
):
    run = str(shallow.path)
    overrides = [override.replace("{run}", run) for override in overrides]
    plain = to_plain(compose(*tiny, "model=vgg11_bn", *overrides))
    with pytest.raises(InputError, match=complaint.replace("{run}", run)) as refused:
        check_train(plain)
    assert "\n" not in str(refused.value)


def test_a_comparison_network_cannot_cache_features(compose):
    plain = to_plain(
        compose("model=resnet18", "freeze=[conv1]", "augment=none", "cache_features=true")
    )
    with pytest.raises(InputError, match="cache_features: not supported for ResNet; allowed: VGG"):
        check_train(plain)


def test_a_resumed_run_does_not_need_its_source(compose):
    check_train(to_plain(compose("resume=somewhere", "init.from=nowhere")))


def test_an_image_folder_sets_the_size_of_the_last_layer(compose, shallow, tmp_path):
    from PIL import Image

    for name in "abc":
        (tmp_path / name).mkdir()
        for index in range(2):
            Image.new("RGB", (32, 32)).save(tmp_path / name / f"{index}.png")
    overrides = ("data=image_folder", f"data.root={tmp_path}", "data.in_channels=1")
    size = ("model=vgg11_bn", "model.width=0.03125", f"init.from={shallow.path}")
    check_train(to_plain(compose(*overrides, *size)))
    with pytest.raises(InputError, match="fc6 is 3x16 here, but the source's fc6 is 10x16"):
        check_train(to_plain(compose(*overrides, *size, "init.layers=[fc6]")))


@pytest.mark.slow
@pytest.mark.parametrize("deep", ["vgg16", "vgg19"])
def test_deep_networks_without_batch_norm_train_from_a_shallow_one(deep, train, tmp_path):
    """With PyTorch's default the loss stays at ln 10; the paper copies A's layers and draws N(0, 0.01)."""
    common = (
        *("model.width=0.125", "data.train_size=3000", "data.val_fraction=0.1", "data.batch_size=64"),
        *("optimizer.lr=0.05", "trainer.accelerator=cpu", "trainer.precision=32-true", "logger=none"),
        "data.test_size=500",
    )  # fmt: skip
    shallow = train(tmp_path / "a", "model=vgg11", "trainer.max_epochs=3", *common, base=())
    default = ("model.init=pytorch", "trainer.max_epochs=2")
    stuck = train(tmp_path / "stuck", f"model={deep}", *default, *common, base=())
    assert stuck.metrics["val/loss"] == pytest.approx(math.log(10), abs=0.01)
    assert stuck.metrics["test/acc"] < 0.15
    start = (f"init.from={shallow.path}", "model.init=paper", "trainer.max_epochs=3")
    learns = train(tmp_path / "learns", f"model={deep}", *start, *common, base=())
    assert learns.metrics["test/acc"] > 0.5
    assert Run(learns.path).metrics["val/loss"] < 1.5
