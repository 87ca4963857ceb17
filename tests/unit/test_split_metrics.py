"""Metrics of a whole split, compared with scikit-learn."""

import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

from vgg_lit.data.orders import PADDING
from vgg_lit.errors import ConfigError
from vgg_lit.losses import Objective
from vgg_lit.split_metrics import SplitMetrics, build_extra_metrics

PACKAGE = "torchmetrics.classification."
SPECS = {
    "f1_macro": {"_target_": PACKAGE + "MulticlassF1Score", "average": "macro"},
    "precision_weighted": {"_target_": PACKAGE + "MulticlassPrecision", "average": "weighted"},
    "recall_macro": {"_target_": PACKAGE + "MulticlassRecall", "average": "macro"},
    "class_acc": {"_target_": PACKAGE + "MulticlassAccuracy", "average": "none"},
    "auroc": {"_target_": PACKAGE + "MulticlassAUROC"},
    "ece": {"_target_": PACKAGE + "MulticlassCalibrationError", "n_bins": 15},
    "confusion": {"_target_": PACKAGE + "MulticlassConfusionMatrix"},
    "removed": None,
}


def batches(sizes=(16, 16, 7), padded=2):
    draws = torch.Generator().manual_seed(1)
    for number, size in enumerate(sizes):
        logits = torch.randn(size, 3, generator=draws)
        labels = torch.randint(0, 3, (size,), generator=draws)
        if padded and number == len(sizes) - 1:
            labels[-padded:] = PADDING
        yield logits, labels


def ece_of(probabilities, labels, bins=15):
    confidences, predicted = probabilities.max(dim=1)
    total = 0.0
    for i in range(bins):
        inside = (confidences > i / bins) & (confidences <= (i + 1) / bins)
        if inside.any():
            gap = (predicted[inside] == labels[inside]).float().mean() - confidences[inside].mean()
            total += inside.float().mean().item() * abs(gap.item())
    return total


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["<5", ">5", "5"], ["_5_0", "_5_1", "5"]),
        (["C+", "C#", "C"], ["C__0", "C__1", "C"]),
        (["a?", "a!", "a__0"], ["a__0", "a__1", "a__0_2"]),
    ],
    ids=str,
)
def test_classes_that_differ_in_symbols_alone_have_their_own_values(classes, names):
    metrics = SplitMetrics.build({"acc_of": SPECS["class_acc"]}, 3, classes)
    for logits, labels in batches():
        metrics.add(logits, labels)
    assert list(metrics.compute()) == [f"acc_of/{name}" for name in names]


@pytest.mark.parametrize("padded", [0, 2])
def test_metrics_equal_scikit_learn_without_padding(padded):
    metrics = SplitMetrics.build(SPECS, 3, ["a/b", "c d", "e"])
    for _ in range(2):  # the second time starts again
        for logits, labels in batches(padded=padded):
            metrics.add(logits, labels)
        found = {name: value.item() for name, value in metrics.compute().items()}
    logits, labels = (torch.cat(parts) for parts in zip(*batches(padded=padded), strict=True))
    is_sample = labels != PADDING
    logits, labels = logits[is_sample], labels[is_sample]
    predicted = logits.argmax(1)
    probabilities = logits.softmax(1)
    assert found["f1_macro"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["precision_weighted"] == pytest.approx(
        precision_score(labels, predicted, average="weighted")
    )
    assert found["recall_macro"] == pytest.approx(recall_score(labels, predicted, average="macro"))
    assert found["auroc"] == pytest.approx(
        roc_auc_score(labels, probabilities, multi_class="ovr"), rel=1e-5
    )
    assert found["ece"] == pytest.approx(ece_of(probabilities, labels), rel=1e-4)
    by_class = recall_score(labels, predicted, average=None)
    names = ["class_acc/a_b", "class_acc/c_d", "class_acc/e"]
    assert [found[name] for name in names] == pytest.approx(list(by_class))
    expected = confusion_matrix(labels, predicted)
    assert metrics.matrices["confusion"].int().tolist() == expected.tolist()
    assert "removed" not in found


def test_the_training_loss_is_a_metric_unless_it_is_cross_entropy():
    objective = Objective({"_target_": "vgg_lit.losses.Focal", "reduction": "sum"}, 3)
    metrics = SplitMetrics.build({}, 3, [], objective)
    for logits, labels in batches():
        metrics.add(logits, labels)
    logits, labels = (torch.cat(parts)[:37] for parts in zip(*batches(), strict=True))
    expected = Objective({"_target_": "vgg_lit.losses.Focal"}, 3)(logits, labels)
    assert metrics.compute()["objective_loss"].item() == pytest.approx(expected.item())
    plain = Objective({"_target_": "vgg_lit.losses.CrossEntropy", "label_smoothing": 0.1}, 3)
    metrics = SplitMetrics.build({}, 3, [], plain)
    metrics.add(logits, labels)
    assert metrics.compute() == {}


@pytest.mark.parametrize(
    ("name", "spec", "named"),
    [
        ("acc", SPECS["auroc"], "not one of"),
        ("a b", SPECS["auroc"], "letters, digits"),
        ("x", {"_target_": "torch.nn.ReLU"}, r"metrics\.x\._target_=torch\.nn\.ReLU"),
        ("x", {"_target_": PACKAGE + "MulticlassAUROC", "avg": "macro"}, r"metrics\.x\.avg"),
        ("x", {}, r"metrics\.x\._target_"),
    ],
)
def test_a_metric_that_cannot_be_used_is_one_line(name, spec, named):
    with pytest.raises(ConfigError, match=named) as caught:
        build_extra_metrics({name: spec}, 3)
    assert "\n" not in str(caught.value)
