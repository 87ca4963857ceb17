"""A VGG detector learns to find boxes."""

import pytest
import torch
from torchvision.ops import box_iou

from vgg_lit.errors import InputError
from vgg_lit.models import build, faster_rcnn, resnet18

SIDE = 96
FEW = {
    "rpn_post_nms_top_n_train": 64,
    "rpn_post_nms_top_n_test": 64,
    "box_batch_size_per_image": 32,
}
PLAIN = {"min_size": SIDE, "max_size": SIDE, "image_mean": [0.3] * 3, "image_std": [0.3] * 3}


def scenes(count, seed):
    """Returns noise images with one bright box each, red (1) or blue (2), and the targets."""
    draws = torch.Generator().manual_seed(seed)
    images, targets = [], []
    for number in range(count):
        image = 0.3 * torch.rand(3, SIDE, SIDE, generator=draws)
        width, height = torch.randint(24, 49, (2,), generator=draws).tolist()
        x = int(torch.randint(0, SIDE - width, (1,), generator=draws))
        y = int(torch.randint(0, SIDE - height, (1,), generator=draws))
        label = 1 + number % 2
        image[2 * (label - 1), y : y + height, x : x + width] = 1
        images.append(image)
        box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float)
        targets.append({"boxes": box, "labels": torch.tensor([label])})
    return images, targets


def test_it_trains_on_synthetic_boxes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build("vgg11_bn", width=1 / 16, num_classes=2, head="linear")
        detector = faster_rcnn(net, num_classes=2, anchor_sizes=(32, 48), **PLAIN, **FEW)
        optimizer = torch.optim.Adam(detector.parameters(), lr=1e-3)
        totals = []
        for step in range(60):
            losses = detector(*scenes(4, seed=step))
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            totals.append(total.item())
    assert sum(totals[-10:]) < 0.6 * sum(totals[:10])
    detector.eval()
    images, targets = scenes(8, seed=1000)
    with torch.no_grad():
        found = detector(images)
    hits = 0
    for one, target in zip(found, targets, strict=True):
        if len(one["boxes"]):
            overlap = box_iou(one["boxes"][:1], target["boxes"])
            hits += bool(overlap > 0.5) and bool(one["labels"][0] == target["labels"][0])
    assert hits >= 6


def test_the_network_is_copied_without_its_last_pool():
    net = build("vgg11_bn", width=1 / 8, num_classes=2, head="linear")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    detector = faster_rcnn(net, num_classes=2, **PLAIN)
    maps = detector.backbone(torch.zeros(1, 3, SIDE, SIDE))
    assert maps.shape == (1, 64, SIDE // 16, SIDE // 16)
    assert detector.backbone.out_channels == 64
    torch.nn.init.zeros_(detector.backbone[0].weight)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


def test_grey_images_are_supported():
    net = build("vgg11", width=1 / 16, in_channels=1, num_classes=2, head="linear")
    detector = faster_rcnn(net, 1, **{**PLAIN, "image_mean": [0.5], "image_std": [0.5]}).eval()
    with torch.no_grad():
        (found,) = detector([torch.rand(1, SIDE, SIDE)])
    assert set(found) == {"boxes", "labels", "scores"}


def test_another_network_or_no_class_is_refused():
    with pytest.raises(InputError, match="needs a VGG, not a ResNet"):
        faster_rcnn(resnet18(), 2)
    with pytest.raises(InputError, match="num_classes=0"):
        faster_rcnn(build("vgg11", width=1 / 16, head="linear"), 0)
