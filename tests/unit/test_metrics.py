import pytest
import torch

from vgg_lit.data.orders import PADDING
from vgg_lit.metrics import TopK, build_metrics, count_batch


def counted(logits, labels, stage="test"):
    """Returns the accuracies of a stage after two batches of equal size, by name."""
    metrics = build_metrics(logits.shape[1])
    for part, of in zip(logits.chunk(2), labels.chunk(2), strict=True):
        count_batch(metrics, stage, part, of, torch.zeros(len(of)))
    return {
        name.split("/")[1]: metric.compute().item()
        for name, metric in metrics.items()
        if name.startswith(stage) and isinstance(metric, TopK)
    }


@pytest.mark.parametrize("num_classes", [2, 4, 10, 1000])
def test_top_k_counts_the_labels_among_the_k_largest_logits(num_classes):
    draws = torch.Generator().manual_seed(num_classes)
    logits = torch.randn(400, num_classes, generator=draws)
    labels = torch.randint(num_classes, (400,), generator=draws)
    labels[::7] = logits[::7].argsort(dim=1)[:, -2]  # many labels of rank 1
    labels[3::10] = PADDING
    samples = labels != PADDING
    found = counted(logits, labels)
    assert list(found) == ["acc", "top1", "top2", "top3", "top4", "top5"]
    for k in range(1, 6):
        best = logits.topk(min(k, num_classes), dim=1).indices
        hits = (best == labels[:, None]).any(dim=1)[samples]
        assert found[f"top{k}"] == pytest.approx(hits.float().mean().item(), rel=1e-6)
    assert found["acc"] == found["top1"]


def test_of_equal_logits_the_lower_class_is_first():
    labels = torch.arange(5).repeat(8)
    found = counted(torch.zeros(40, 5), labels)
    assert [found[f"top{k}"] for k in range(1, 6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_logits_that_are_not_a_number_are_never_right():
    assert set(counted(torch.full((4, 5), torch.nan), torch.arange(4)).values()) == {0.0}


def test_metrics_start_again_after_a_reset():
    metrics = build_metrics(10)
    logits, labels = torch.eye(10), torch.arange(10)
    for hits in (labels, labels.flip(0)):
        count_batch(metrics, "val", logits, hits, torch.zeros(10))
        expected = float((hits == labels).float().mean())
        assert metrics["val/acc"].compute() == expected
        assert metrics["val/top5"].compute() >= expected
        for metric in metrics.values():
            metric.reset()
