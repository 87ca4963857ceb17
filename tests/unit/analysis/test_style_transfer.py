"""The loss of a picture, and its descent."""

import pytest
import torch

from vgg_lit.analysis.style_transfer import descend, transfer_loss
from vgg_lit.errors import InputError
from vgg_lit.models import build


def test_pixels_stay_in_range_and_the_input_is_unchanged():
    start = torch.full((1, 1, 4, 4), 0.5)
    picture, first, last = descend(start, lambda x: (x - 2).square().sum(), steps=80, lr=0.1)
    assert (start == 0.5).all()
    assert (picture == 1).all()
    assert (first, last) == (16 * 1.5**2, 16.0)
    assert not picture.requires_grad


def network():
    torch.manual_seed(0)
    return build([[4], [6]], num_classes=2, in_channels=1, image_size=8, head="linear").eval()


CONTENT, STYLES = "block2_conv1", ("block1_conv1", "block2_conv1")


def loss_of(content, style, **weights):
    options = {"mean": [0.3], "std": [0.2], "content_layer": CONTENT, "style_layers": STYLES}
    return transfer_loss(network(), content, style, **options, **weights)


def picture(seed):
    return torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_a_layer_without_a_map_is_one_line():
    look = {"mean": [0.3], "std": [0.2], "content_layer": CONTENT}
    with pytest.raises(InputError, match="fc3: its output is not a map"):
        transfer_loss(network(), picture(0), picture(1), **look, style_layers=["fc3"])


def test_the_loss_of_the_images_themselves_is_zero():
    content, style = picture(0), picture(1)
    assert loss_of(content, style, style_weight=0.0)(content) == 0
    assert loss_of(content, style, content_weight=0.0)(style) == 0
    assert loss_of(content, style)(content) > 0


def test_the_weights_scale_the_two_parts():
    content, style, other = picture(0), picture(1), picture(2)
    of_content = loss_of(content, style, style_weight=0.0)(other)
    of_style = loss_of(content, style, content_weight=0.0)(other)
    both = loss_of(content, style, content_weight=2.0, style_weight=3.0)(other)
    torch.testing.assert_close(both, 2 * of_content + 3 * of_style)


def test_style_does_not_depend_on_the_place():
    content, style = picture(0), picture(1)
    of_style = loss_of(content, style, content_weight=0.0)
    turned = loss_of(content, style.flip(2).flip(3), content_weight=0.0)
    assert of_style(style.roll(4, 3)) < 0.5 * of_style(content)
    assert turned(style.flip(2).flip(3)) == 0


def test_the_loss_has_a_gradient_for_the_picture_alone():
    content, style = picture(0), picture(1)
    start = picture(2).requires_grad_()
    loss_of(content, style)(start).backward()
    assert start.grad.abs().sum() > 0
    assert not content.requires_grad
    assert not style.requires_grad


def test_no_steps_leave_the_picture():
    start = picture(0)
    found, first, last = descend(start, lambda x: x.sum(), steps=0, lr=0.1)
    assert torch.equal(found, start)
    assert first == last
