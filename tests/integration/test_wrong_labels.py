"""The report finds wrong labels that were planted in the embedded sample."""

from dataclasses import replace

import pytest
import torch

from vgg_lit.data.fashion_mnist import FashionMNISTSample
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.reports.inspection import Inspection

SHARE = 0.05
LOAD = FashionMNISTSample.load


def planted(count: int) -> torch.Tensor:
    """The images with wrong labels: a fixed 5 % of the split."""
    draws = torch.Generator().manual_seed(count)
    return torch.randperm(count, generator=draws)[: round(SHARE * count)]


def load_with_wrong_labels(source, split):
    """Loads the sample; 5 % of the images of each split have the label of another class."""
    images = LOAD(source, split)
    labels = images.labels_N.clone()
    wrong = planted(len(labels))
    draws = torch.Generator().manual_seed(1)
    shifts = torch.randint(1, len(source.classes), (len(wrong),), generator=draws)
    labels[wrong] = (labels[wrong] + shifts) % len(source.classes)
    return replace(images, labels_N=labels)


@pytest.mark.slow  # trains for half a minute
def test_most_of_the_first_50_suspicious_labels_are_planted(train, tmp_path, monkeypatch):
    monkeypatch.setattr(FashionMNISTSample, "load", load_with_wrong_labels)
    run = train(
        tmp_path / "run",
        *("model.width=0.125", "trainer.max_epochs=3"),
        *("trainer.accelerator=cpu", "trainer.precision=32-true"),
        base=(),
    )
    (trained,) = find_trained([run], "best")
    inspection = Inspection(trained, accelerator="cpu")
    first = set(inspection.predictions.suspicious_labels(50).tolist())
    found = len(first & set(planted(1000).tolist()))
    print(f"{found} of the first 50 have planted labels; 50 of 1,000 images have them")
    assert found >= 40
