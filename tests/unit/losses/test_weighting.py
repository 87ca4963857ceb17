"""Class weights, from the labels of the training images."""

import numpy as np
import pytest
import torch

from vgg_lit.errors import ConfigError, InputError
from vgg_lit.losses import class_weights, with_class_weights
from vgg_lit.losses.weighting import EFFECTIVE_BETA


def test_inverse_frequency_is_the_balanced_weight_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    found = class_weights("auto", labels, 3)
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert found == pytest.approx(list(balanced), rel=1e-5)


@pytest.mark.parametrize("method", ["auto", "effective"])
def test_class_weights_have_mean_1_over_images_and_0_without_images(method):
    labels = torch.tensor([0] * 7000 + [1] * 200 + [3] * 10)
    found = class_weights(method, labels, 4)
    assert found[2] == 0
    assert torch.tensor(found)[labels].mean().item() == pytest.approx(1, rel=1e-4)


def test_effective_numbers_are_those_of_the_paper():
    counts = torch.tensor([7000.0, 200.0]).double()
    found = class_weights("effective", torch.tensor([0] * 7000 + [1] * 200), 2)
    paper = (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**counts)
    assert found[1] / found[0] == pytest.approx((paper[1] / paper[0]).item(), rel=1e-5)


def test_a_method_is_replaced_by_numbers():
    spec = {"_target_": "mine.Loss", "class_weights": "auto"}
    replaced = with_class_weights(spec, torch.tensor([0, 0, 0, 1]), 2)
    assert replaced["class_weights"] == [0.666667, 2.0]
    assert with_class_weights(replaced, None, 2) == replaced
    with pytest.raises(InputError, match=r"loss\.class_weights=auto: needs a data module"):
        with_class_weights(spec, None, 2)
    with pytest.raises(ConfigError, match="allowed: auto, effective, null"):
        with_class_weights({**spec, "class_weights": "best"}, torch.tensor([0, 1]), 2)
