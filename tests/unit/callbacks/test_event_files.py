"""Events of each writer, read back from the event file."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from vgg_lit.analysis.errors import Predictions
from vgg_lit.callbacks import event_files
from vgg_lit.callbacks.validation_outcome import Mistakes
from vgg_lit.models import build


@pytest.fixture
def written(tmp_path):
    """`written(function, ...)`: the events written by a function."""

    def written(function, *arguments):
        with SummaryWriter(tmp_path) as writer:
            function(writer, *arguments)
        return EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()

    return written


@pytest.fixture
def net():
    return build([[4], [6, 8]], num_classes=3, head="linear", image_size=16, in_channels=1)


def pixels(events, tag):
    (image,) = events.Images(tag)
    return np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))


def test_frozen_layers_are_not_in_named_weights(net):
    net.layer("block1_conv1").requires_grad_(False)
    names = [name for name, _ in event_files.named_weights(net)]
    assert names == ["block2_conv1", "block2_conv2", "fc3"]


def test_a_histogram_counts_each_value_once(written):
    values = torch.cat([torch.full((5,), -2.0), torch.full((3,), 2.0), torch.zeros(4)])
    events = written(event_files.write_histograms, "weights", {"fc3": values}, 7)
    (event,) = events.Histograms("weights/fc3")
    found = event.histogram_value
    assert event.step == 7
    assert (found.num, found.min, found.max, found.sum) == (12, -2, 2, -4)
    assert found.sum_squares == 32
    assert [count for count in found.bucket if count] == [5, 4, 3]


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_constant_values_have_a_histogram(value, written):
    events = written(event_files.write_histograms, "weights", {"fc": torch.full((9,), value)}, 0)
    (event,) = events.Histograms("weights/fc")
    assert sum(event.histogram_value.bucket) == 9


def test_tensors_with_nan_have_no_histogram(written):
    broken = torch.tensor([1.0, float("nan")])
    events = written(
        event_files.write_histograms, "gradients", {"a": broken, "b": torch.ones(2)}, 0
    )
    assert events.Tags()["histograms"] == ["gradients/b"]


def test_the_total_norm_is_the_norm_of_the_layer_norms(written):
    events = written(event_files.write_norms, "weight_norm", {"a": 3.0, "b": 4.0}, 2)
    assert events.Scalars("weight_norm/total")[0].value == 5
    assert events.Scalars("weight_norm/b")[0].value == 4


def test_the_graph_is_traced_on_a_copy(written, net):
    net.train()
    events = written(event_files.write_graph, net, torch.zeros(1, 1, 16, 16))
    names = {node.name for node in events.Graph().node}
    assert any("features" in name for name in names)
    assert net.training
    assert net.layer("block1_conv1").weight.dtype == torch.float32


def test_batch_captions_show_labels_or_class_shares(written, monkeypatch):
    found = []
    monkeypatch.setattr(
        "vgg_lit.analysis.figures.gallery",
        lambda images, captions, title: found.extend(captions) or _figure(),
    )
    images = torch.rand(2, 1, 8, 8)
    shares = torch.tensor([[0.3, 0.7, 0.0], [1.0, 0.0, 0.0]])
    written(event_files.write_batch, images, shares, ("cat", "dog", "eel"))
    assert found == [["dog 0.70", "cat 0.30"], ["cat 1.00"]]
    found.clear()
    written(event_files.write_batch, images, torch.tensor([2, 0]), ("cat", "dog", "eel"))
    assert found == [["eel"], ["cat"]]


def _figure():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


def test_figures_are_written_in_full_size(written, net):
    for tag, arguments in {
        "visual/filters": (event_files.write_filters, net, 1),
        "visual/confusion": (event_files.write_confusion, predictions(3), ("a", "b", "c"), 1),
        "visual/worst": (event_files.write_mistakes, mistakes(), torch.rand(2, 1, 8, 8), "abc", 1),
    }.items():
        drawn = pixels(written(*arguments), tag)
        assert min(drawn.shape[:2]) > 50
        assert drawn.std() > 5


def predictions(classes):
    draws = torch.Generator().manual_seed(0)
    probabilities = torch.randn(40, classes, generator=draws).softmax(dim=1)
    return Predictions(probabilities, torch.arange(40) % classes)


def mistakes():
    return Mistakes(
        torch.tensor([0.9, 0.5]),
        torch.rand(2, 1, 8, 8),
        torch.tensor([0, 1]),
        torch.tensor([2, 0]),
    )


def test_precision_recall_curves_match_scikit_learn(written):
    metrics = pytest.importorskip("sklearn.metrics")
    from tensorboard.util import tensor_util

    found = predictions(3)
    events = written(event_files.write_curves, found, ("a", "b", "c"), 1)
    for label, name in enumerate("abc"):
        (event,) = events.Tensors(f"pr/{name}")
        *_, precision, recall = tensor_util.make_ndarray(event.tensor_proto)
        scores = found.probabilities_NK[:, label].numpy()
        for number, threshold in enumerate(np.linspace(0, 1, len(recall))):
            taken = np.floor(scores * (len(recall) - 1)) >= number  # thresholds as in TensorBoard
            of_class = (found.labels_N == label).numpy()
            assert recall[number] == pytest.approx(metrics.recall_score(of_class, taken)), threshold
            if taken.any():
                expected = metrics.precision_score(of_class, taken, zero_division=0)
                assert precision[number] == pytest.approx(expected, abs=1e-4)


def test_only_the_first_classes_have_curves(written):
    classes = [f"class {number}" for number in range(30)]
    events = written(event_files.write_curves, predictions(30), classes, 1)
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("pr/")]
    assert len(tags) == event_files.MOST_CURVES


@pytest.mark.parametrize("channels", [1, 3])
def test_each_embedding_has_a_label_and_a_sprite(channels, tmp_path):
    net = build([[4]], num_classes=3, head="linear", image_size=64, in_channels=channels).eval()
    x = torch.rand(5, channels, 64, 64)
    with SummaryWriter(tmp_path) as writer:
        event_files.write_embeddings(writer, net, x, x, list("abcab"), 3)
    (folder,) = tmp_path.glob("00003/validation")
    assert (folder / "metadata.tsv").read_text().split() == list("abcab")
    features = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    weight, bias = net.classifier[-1].weight.detach(), net.classifier[-1].bias.detach()
    logits = torch.from_numpy(features).float() @ weight.T + bias
    torch.testing.assert_close(logits, net(x).detach(), rtol=1e-3, atol=1e-3)
    sprite = Image.open(folder / "sprite.png")
    side = event_files.LARGEST_SPRITE
    assert sprite.size == (3 * side, 3 * side)  # 5 images in a square of 3 x 3
