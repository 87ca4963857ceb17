"""Contents and steps of the event files of a run."""

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from vgg_lit.callbacks import TensorBoard, event_files
from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.errors import ConfigError
from vgg_lit.models import build

ON = ("callbacks=[default,tensorboard]", "callbacks.tensorboard.max_share=1")
EVERY = tuple(
    f"callbacks.tensorboard.{name}=1"
    for name in ("norms", "histograms", "filters", "confusion", "worst", "curves", "embeddings")
)


def read(path):
    events = EventAccumulator(str(path / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """Two epochs of four steps; everything is written after each epoch."""
    path = tmp_path_factory.mktemp("tensorboard") / "run"
    few = "callbacks.tensorboard.embedded=30"
    return train(path, *ON, *EVERY, few, "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def events(run):
    return read(run.path)


def test_all_kinds_of_events_are_written(events):
    tags = events.Tags()
    assert tags["graph"]
    pictures = ("batch", "confusion", "worst", "filters")
    assert {f"visual/{name}" for name in pictures} <= set(tags["images"])
    assert [event.step for event in events.Images("visual/confusion")] == [4, 8]
    assert "weights/block1_conv1" in tags["histograms"]
    assert "weights_gradient/fc6" in tags["histograms"]
    # The tabs sort by name: the curves of the metrics come before everything that the callback adds.
    added = {*tags["images"], *tags["histograms"], *(t for t in tags["scalars"] if "_norm/" in t)}
    assert min(added) > max({*tags["scalars"]} - added)
    assert {"train/loss", "val/acc", "train/lr", "weight_gradient_norm/total"} <= set(
        tags["scalars"]
    )
    assert "pr/Trouser" in tags["tensors"]
    assert any(tag.startswith("custom_scalars") for tag in tags["tensors"])


def test_norms_match_the_weights(run, events):
    """The norms of the first step match the initial weights."""
    from vgg_lit.classifier import Classifier

    hyperparameters = run.load_classifier("last").hparams
    start = Classifier(**hyperparameters)
    weights = list(event_files.named_weights(start.net))
    assert weights
    for name, weight in weights:
        first = events.Scalars(f"weight_norm/{name}")[0]
        assert first.step == 0
        assert first.value == pytest.approx(float(weight.detach().norm()), rel=1e-5)
    steps = [event.step for event in events.Scalars("weight_gradient_norm/total")]
    assert steps == list(range(8))
    parts = [
        events.Scalars(f"weight_gradient_norm/{name}")[3].value
        for name, _ in event_files.named_weights(start.net)
    ]
    assert events.Scalars("weight_gradient_norm/total")[3].value == pytest.approx(
        np.linalg.norm(parts)
    )


def test_histograms_count_every_weight(run, events):
    net = run.load_classifier("last").net
    last = events.Histograms("weights/block2_conv1")[-1].histogram_value
    weight = net.layer("block2_conv1").weight.detach()
    assert last.num == sum(last.bucket) == weight.numel()
    assert last.min == pytest.approx(float(weight.min()))
    assert last.sum == pytest.approx(float(weight.sum()), abs=1e-3)
    edges = np.array(last.bucket_limit[:-1])
    below = [(weight <= edge).sum().item() for edge in edges]
    assert np.abs(np.cumsum(last.bucket)[:-1] - below).max() <= 1


def test_curves_count_the_validation_images(events):
    (first, _) = events.Tensors("pr/Trouser")
    counts = tensor_util.make_ndarray(first.tensor_proto)
    true_positives, _, _, false_negatives = counts[:4, 0]
    assert true_positives + false_negatives == 6  # a tenth of 60


def test_the_projector_has_features_and_sprites(run):
    (folder,) = run.path.glob("tensorboard/00008/validation")
    rows = (folder / "tensors.tsv").read_text().splitlines()
    labels = (folder / "metadata.tsv").read_text().splitlines()
    assert len(rows) == len(labels) == 30
    assert len(set(labels)) == 10, "spread over 60 images sorted by class"
    assert (folder / "sprite.png").stat().st_size > 1000
    assert "validation" in (run.path / "tensorboard/projector_config.pbtxt").read_text()


def test_the_callback_does_not_change_training(run, train, tmp_path):
    plain = train(tmp_path / "run", "trainer.max_epochs=2")
    ours, theirs = run.load_classifier("last"), plain.load_classifier("last")
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_slow_writes_are_postponed_to_the_end(train, tmp_path):
    slow = ("callbacks.tensorboard.max_share=1e-9", "trainer.max_epochs=2")
    run = train(tmp_path / "run", ON[0], *EVERY, *slow)
    events = read(run.path)
    assert [event.step for event in events.Images("visual/confusion")] == [8]
    assert [event.step for event in events.Histograms("weights/fc6")] == [8]


@pytest.mark.parametrize(
    "settings",
    [
        ("data.val_fraction=0",),
        ("augment=mixup",),
        ("freeze=[block1]", "cache_features=true", "augment=none"),
        ("logger=none",),
        ("callbacks=[default,ema,tensorboard]",),
        ("model.checkpoint_blocks=true", "trainer.gradient_clip_val=0.1"),
        tuple(setting.replace("=1", "=0") for setting in EVERY),
    ],
)
def test_it_works_with_other_settings(settings, train, tmp_path, capsys):
    first = settings if "callbacks=" in settings[0] else (ON[0], *settings)
    run = train(tmp_path / "run", *first, *(() if "norms=0" in settings[0] else EVERY[:1]))
    assert run.status["status"] == "done"
    if settings != ("logger=none",):
        tags = read(run.path).Tags()
        assert ("visual/confusion" in tags["images"]) == (
            settings[0] != "data.val_fraction=0" and "norms=0" not in settings[0]
        )
        assert ("visual/batch" in tags["images"]) == ("cache_features=true" not in settings)
    else:
        assert "requires logger=tensorboard" in capsys.readouterr().out


@pytest.mark.parametrize(
    "setting", ["worst=-1", "images=0", "embedded=3", "max_share=0", "max_share=2", "norms=often"]
)
def test_values_out_of_range_are_refused(setting, compose):
    config = to_plain(compose(ON[0], f"callbacks.tensorboard.{setting}"))
    check_train(config)
    from vgg_lit.training.trainer import build_callbacks

    with pytest.raises(ConfigError, match=setting.split("=")[0]):
        build_callbacks(config["callbacks"], has_validation=True)


def test_the_callback_works_without_a_config():
    assert TensorBoard().intervals["confusion"] == 10
    assert [name for name, _ in event_files.named_weights(build([[4]], num_classes=2))]


@pytest.mark.slow
def test_two_processes_count_every_validation_image_once(command, tiny, tmp_path):
    settings = (*tiny, *ON, *EVERY, "data.val_fraction=0.0105", "trainer.devices=2", "name=two")
    done = command("train", *settings, cwd=tmp_path)
    assert done.code == 0, done.err
    (path,) = (tmp_path / "logs/runs/two").iterdir()
    (curve,) = read(path).Tensors("pr/Bag")
    assert tensor_util.make_ndarray(curve.tensor_proto)[:4, 0].sum() == 63
