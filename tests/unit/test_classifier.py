"""Loss, metrics, dropout and weights of the LightningModule, compared with direct computation."""

import json
import shutil
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
import torch
from torch.nn import functional as F

from vgg_lit.classifier import Classifier
from vgg_lit.data import FashionMNISTSample, ImageDataModule
from vgg_lit.data.orders import PADDING
from vgg_lit.errors import ConfigError
from vgg_lit.losses import training_loss

MODEL = {
    "_target_": "vgg_lit.models.build",
    "variant": [[4], [8]],
    "head": {"hidden": [16], "dropout": 0.5},
    "num_classes": 7,
    "in_channels": 1,
    "image_size": 8,
}


def classifier(**options):
    return Classifier(**{"model": MODEL, "label_smoothing": 0.0, **options})


def quiet(module):
    """Disables logging, which a module outside a Trainer does not support."""
    module.log = lambda *args, **kwargs: None
    return module


def batch(count=9, padded=0, seed=0):
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 7, (count,), generator=draws)
    ids = torch.arange(count)
    if padded:
        labels[-padded:] = ids[-padded:] = PADDING
    return torch.randn(count, 1, 8, 8, generator=draws), labels, ids


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_loss_is_cross_entropy_with_smoothing(smoothing):
    module = quiet(classifier(label_smoothing=smoothing)).eval()
    x, labels, ids = batch()
    loss = module.training_step((x, labels, ids), 0)
    expected = F.cross_entropy(module(x), labels, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.requires_grad


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("count", [1, 9, 128])
def test_the_training_loss_has_the_bits_of_cross_entropy(smoothing, count):
    draws = torch.Generator().manual_seed(count)
    logits = torch.randn(count, 10, generator=draws)
    labels = torch.randint(10, (count,), generator=draws)
    found = []
    for loss_of in (training_loss, F.cross_entropy):
        leaf = logits.clone().requires_grad_()
        loss = loss_of(leaf, labels, label_smoothing=smoothing)
        loss.backward()
        found.append((loss, leaf.grad))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


def test_smoothing_is_used_in_training_only():
    module = quiet(classifier(label_smoothing=0.4)).eval()
    module.validation_step(batch(), 0)
    x, labels, _ = batch()
    expected = F.cross_entropy(module(x), labels)
    assert module.metrics["val/loss"].compute().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_probabilities_may_replace_labels_in_training(smoothing):
    module = quiet(classifier(label_smoothing=smoothing)).eval()
    x, labels, ids = batch()
    others = labels.roll(1)
    targets = 0.7 * F.one_hot(labels, 7) + 0.3 * F.one_hot(others, 7)
    loss = module.training_step((x, targets, ids), 0)
    logits = module(x)
    pure = [F.cross_entropy(logits, part, label_smoothing=smoothing) for part in (labels, others)]
    assert loss.item() == pytest.approx((0.7 * pure[0] + 0.3 * pure[1]).item(), rel=1e-6)
    assert module.metrics["train/loss"].compute().item() == pytest.approx(loss.item(), rel=1e-6)
    hits = (logits.argmax(1) == targets.argmax(1)).float().mean().item()
    assert module.metrics["train/acc"].compute().item() == pytest.approx(hits)


@pytest.mark.parametrize("stage", ["val", "test"])
def test_padded_positions_are_not_counted(stage):
    module = quiet(classifier()).eval()
    step = module.validation_step if stage == "val" else module.test_step
    x, labels, ids = batch(count=9, padded=3)
    with torch.no_grad():
        step((x, labels, ids), 0)
        logits = module(x[:6])
    found = {n: m.compute().item() for n, m in module.metrics.items() if n.startswith(stage)}
    assert found[f"{stage}/loss"] == pytest.approx(
        F.cross_entropy(logits, labels[:6]).item(), rel=1e-5
    )
    assert found[f"{stage}/acc"] == pytest.approx(
        (logits.argmax(1) == labels[:6]).float().mean().item()
    )


def test_a_batch_of_only_padding_does_not_divide_by_zero():
    module = quiet(classifier()).eval()
    module.test_step(batch(count=4, padded=0), 0)
    before = {
        name: metric.compute().item()
        for name, metric in module.metrics.items()
        if name.startswith("test")
    }
    module.test_step(batch(count=2, padded=2), 1)
    after = {
        name: metric.compute().item()
        for name, metric in module.metrics.items()
        if name.startswith("test")
    }
    assert after == before


@pytest.fixture(scope="module")
def evaluated():
    """Metrics, logits and labels of an evaluation in batches of different size, by stage."""
    module = classifier(
        model={**MODEL, "num_classes": 10, "image_size": 28, "head": "linear"}, seed=3
    )
    data = ImageDataModule(
        FashionMNISTSample(), image_size=28, batch_size=48, val_fraction=0.02, test_size=110
    )
    trainer = L.Trainer(
        accelerator="cpu",
        precision="32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    found = {}
    for verb, loader in ((trainer.test, "test"), (trainer.validate, "val")):
        verb(module, datamodule=data, verbose=False)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        batches = list(getattr(data, f"{loader}_dataloader")())
        assert len({len(labels) for _, labels, _ in batches}) == 2  # the last batch is smaller
        images = torch.cat([data.preprocessing(images) for images, _, _ in batches])
        labels = torch.cat([labels for _, labels, _ in batches])
        with torch.no_grad():
            found[loader] = metrics, module.eval()(images), labels
    return found


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_top_k_on_the_test_images_equals_direct_counting(evaluated, k):
    metrics, logits, labels = evaluated["test"]
    assert len(labels) == 110
    best = logits.argsort(dim=1, descending=True)[:, :k]
    hits = sum(label in row for label, row in zip(labels.tolist(), best.tolist(), strict=True))
    assert metrics[f"test/top{k}"] == pytest.approx(hits / 110)


def test_loss_and_accuracy_are_means_over_images_not_batches(evaluated):
    for stage, (metrics, logits, labels) in evaluated.items():
        loss = F.cross_entropy(logits, labels).item()
        assert metrics[f"{stage}/loss"] == pytest.approx(loss, rel=1e-5)
        accuracy = (logits.argmax(1) == labels).float().mean().item()
        assert metrics[f"{stage}/acc"] == pytest.approx(accuracy)
    assert set(evaluated["val"][0]) == {"val/loss", "val/acc", "val/top5"}


def test_top5_counts_all_classes_if_there_are_fewer_than_five():
    module = quiet(classifier(model={**MODEL, "num_classes": 3})).eval()
    x, _, ids = batch()
    module.test_step((x, torch.arange(9) % 3, ids), 0)
    assert module.metrics["test/top5"].compute() == 1
    assert module.metrics["test/top3"].compute() == 1
    assert module.metrics["test/top1"].compute() < 1


def step_loss(epoch=0, index=0, rank=0, seed=0, noise=0):
    torch.manual_seed(noise)
    module = quiet(classifier(seed=seed)).train()
    module.load_state_dict(classifier(seed=0).state_dict())  # the same weights for every seed
    trainer = type("Trainer", (), {"current_epoch": epoch, "global_rank": rank})()
    module._trainer = trainer
    return module.training_step(batch(), index).item()


def test_dropout_is_a_function_of_seed_epoch_step_and_rank(monkeypatch):
    monkeypatch.setattr(
        Classifier, "current_epoch", property(lambda self: self._trainer.current_epoch)
    )
    monkeypatch.setattr(Classifier, "global_rank", property(lambda self: self._trainer.global_rank))
    first = step_loss()
    assert step_loss(noise=99) == first
    others = [step_loss(epoch=1), step_loss(index=1), step_loss(rank=1), step_loss(seed=1)]
    assert len({first, *others}) == 5


def test_strides_of_one_channel_are_those_of_channels_last():
    """PyTorch reads the memory format from the strides, which are ambiguous for one channel.

    cuDNN then returns gradients with the strides of the weights, without a copy, as DDP expects them.
    """
    module, seen = classifier(), []
    first = module.net.features[0]
    first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].stride()))
    images = torch.randn(2, 1, 8, 8)
    assert images.stride() == (64, 64, 8, 1)
    module(images)
    assert seen == [(64, 1, 8, 1)]
    assert first.weight.stride() == (9, 1, 3, 1)


def test_weights_depend_only_on_the_seed():
    torch.manual_seed(1)
    first = classifier(seed=5).state_dict()
    torch.rand(100)
    before = torch.random.get_rng_state()
    second = classifier(seed=5).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)  # the global random state is unchanged
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = classifier(seed=6).state_dict()
    assert not torch.equal(first["net.features.0.weight"], other["net.features.0.weight"])


def test_hyperparameters_are_plain_values(tiny_run):
    content = torch.load(tiny_run.checkpoint(), weights_only=True)
    plain = content["hyper_parameters"]
    assert json.loads(json.dumps(plain)) == plain
    assert type(plain) is dict
    assert plain["classes"][0] == "T-shirt/top"
    assert plain["model"]["_target_"].startswith("vgg_lit.")


@pytest.mark.parametrize("value", [torch.zeros(1), {1, 2}, object()])
def test_a_hyperparameter_that_is_not_plain_is_refused(value):
    with pytest.raises(ConfigError, match="preprocessing: only plain Python values are allowed"):
        classifier(preprocessing={"mean": value})


def test_a_checkpoint_loads_from_its_path_alone(tiny_run, tmp_path, monkeypatch):
    """The file can be loaded without config, run directory and data."""
    shutil.copy(tiny_run.checkpoint(), tmp_path / "moved.ckpt")
    monkeypatch.chdir(tmp_path)
    calls = []
    load = torch.load

    def spy(*args, **kwargs):
        calls.append(kwargs)
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, "load", spy)
    loaded = Classifier.load_from_checkpoint("moved.ckpt")
    assert [call["weights_only"] for call in calls] == [True]
    assert not loaded.training
    assert len(loaded.classes) == 10
    assert loaded.preprocessing["image_size"] == 32
    with torch.no_grad():
        assert loaded(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_a_bad_network_is_a_config_error():
    with pytest.raises(ConfigError, match="variant"):
        classifier(model={**MODEL, "variant": "vgg12"})


def test_probabilities_are_float32():
    module = quiet(classifier()).eval()
    probabilities = module.predict_step(batch(), 0)
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(9))


@pytest.mark.parametrize(
    ("setting", "device", "expected"),
    [
        (False, "cuda", None),
        (True, "cuda", {}),
        (True, "cpu", {}),
        ("reduce-overhead", "cuda", {"mode": "reduce-overhead"}),
        ("max-autotune", "cuda", {"mode": "max-autotune"}),
        ("reduce-overhead", "cpu", {}),
        ("max-autotune", "mps", {}),
    ],
)
def test_the_mode_of_compile_is_passed_to_torch_on_cuda(monkeypatch, setting, device, expected):
    passed = []
    monkeypatch.setattr(torch, "compile", lambda call, **options: passed.append(options) or call)
    module = classifier(compile=setting)
    module.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    module.setup("validate")
    assert passed == []
    module.setup("fit")
    assert passed == ([] if expected is None else [expected])


@pytest.mark.parametrize("has_graphs", [False, True])
def test_steps_are_marked_for_cuda_graphs(monkeypatch, has_graphs):
    marks = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marks.append(1))
    module = quiet(classifier()).eval()
    module._has_cuda_graphs = has_graphs
    module.training_step(batch(), 0)
    module.validation_step(batch(), 0)
    assert len(marks) == 2 * has_graphs


@pytest.mark.parametrize(("every", "is_copied"), [(1, False), (4, True)])
def test_accumulated_gradients_are_copied_out_of_cuda_graphs(every, is_copied):
    module = classifier()
    module._has_cuda_graphs = True
    module.trainer = SimpleNamespace(accumulate_grad_batches=every)
    F.cross_entropy(module.net.eval()(batch()[0]), batch()[1]).backward()
    before = [p.grad for p in module.net.parameters()]
    module.on_after_backward()
    after = [p.grad for p in module.net.parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert all((old is not new) == is_copied for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("has_graphs", [False, True])
def test_logits_of_validation_are_copied_out_of_cuda_graphs(monkeypatch, has_graphs):
    module = quiet(classifier()).eval()
    module._has_cuda_graphs = has_graphs
    logits = torch.zeros(len(batch()[1]), module.num_classes)  # float32: `.float()` is no copy
    monkeypatch.setattr(module, "forward", lambda x: logits)
    found = module.validation_step(batch(), 0)
    assert torch.equal(found, logits)
    assert (found.data_ptr() != logits.data_ptr()) == has_graphs


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_keeps_plain_keys_and_its_checkpoint_loads(train, tmp_path):
    run = train(tmp_path / "compiled", "compile=true", "logger=none")
    plain = train(tmp_path / "plain", "logger=none")
    keys = [list(torch.load(r.checkpoint(), weights_only=True)["state_dict"]) for r in (run, plain)]
    assert keys[0] == keys[1]
    with torch.no_grad():
        assert run.load_classifier()(torch.zeros(1, 1, 32, 32)).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "is_cast"),
    [
        ({}, True),
        ({"precision": "32-true"}, False),
        ({"precision": "16-mixed"}, False),  # another dtype
        ({"world_size": 2}, False),
        ({"device": "cpu"}, False),
        ({"compile": True}, False),
        ({"checkpoint_blocks": True}, False),
    ],
    ids=str,
)
def test_parameters_are_cast_together_in_plain_steps_of_one_gpu(changes, is_cast, monkeypatch):
    facts = {"precision": "bf16-mixed", "world_size": 1, "device": "cuda", "compile": False}
    facts |= {"checkpoint_blocks": False} | changes
    device = torch.device(facts["device"])
    monkeypatch.setattr(Classifier, "device", property(lambda self: device))
    model = {**MODEL, "checkpoint_blocks": facts["checkpoint_blocks"]}
    classifier = Classifier(model, compile=facts["compile"])
    trainer = SimpleNamespace(precision=facts["precision"], world_size=facts["world_size"])
    monkeypatch.setattr(Classifier, "trainer", trainer)
    assert classifier._casts_together() is is_cast
