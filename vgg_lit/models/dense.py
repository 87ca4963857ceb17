"""A VGG as a fully convolutional network: its head slides over the map of an image of any size.

    dense = DenseVGG(net.eval())  # shares the weights of `net`
    logits_BK = dense(x_BCHW)     # images at least as large as those of training

Shape suffixes: B images, C channels, H and W sides of a map, K classes, O and I channels out and in,
P side of the head's pooled map, S side of the window.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgg_lit.errors import InputError
from vgg_lit.models.variants import smallest_image_size
from vgg_lit.models.vgg import VGG


class DenseVGG(nn.Module):
    """The mean of a VGG's class scores over every place of its head on the last map.

    The window of the head is the last map of a training image: 7x7 for the paper's networks at 224
    pixels. The first fully connected layer becomes a convolution of the window's side, with the
    head's average pool folded into its kernel, and the others 1x1 convolutions. On an image of the
    training size there is one place, and the scores are those of the plain network.

    Args:
        net: the network; convolutions, and the weights behind them where no pool is folded, are shared.

    Attributes:
        smallest_image_size: side in pixels of the smallest image whose map holds the window.

    Raises:
        InputError: the network is no VGG of this package.

    Source: Simonyan & Zisserman 2015, section 3.2.
    """

    def __init__(self, net: nn.Module) -> None:
        if not isinstance(net, VGG):
            raise InputError(
                f"dense: a {type(net).__name__} has no fully connected layers that are known to slide"
                " over a map; only the networks of vgg_lit.models.build do"
            )
        super().__init__()
        window = net.map_side(net.image_size)
        self.smallest_image_size = window * smallest_image_size(net.plan) + net.layers.margin
        self.features = net.features
        self.classifier = nn.Sequential(*_convolutions(net, window))
        self.train(net.training)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The logits_BK of a batch of images."""
        return self.score_map(x_BCHW).mean((2, 3))

    def score_map(self, x_BCHW: Tensor) -> Tensor:
        """The scores (B, K, H, W) at every place of the window.

        Raises:
            InputError: the images are too small for one place.
        """
        height, width = x_BCHW.shape[-2:]
        if min(height, width) < self.smallest_image_size:
            raise InputError(
                f"a {height}x{width} image is too small for this network; "
                f"the smallest side is {self.smallest_image_size}"
            )
        return self.classifier(self.features(x_BCHW))


def _convolutions(net: VGG, window: int) -> Iterator[nn.Module]:
    """The layers of the head, each for maps in place of vectors."""
    pooled = net.head.pool or window
    if net.head.pooling == "max":
        yield nn.MaxPool2d(window, stride=1)
        window = 1
    for layer in net.classifier:
        if isinstance(layer, nn.Linear):
            yield _convolution(layer, pooled, window)
            pooled = window = 1
        elif isinstance(layer, nn.BatchNorm1d):
            norm = nn.BatchNorm2d(layer.num_features, layer.eps, device="meta")
            norm.load_state_dict(layer.state_dict(), assign=True)
            yield norm
        else:
            yield layer  # elementwise: ReLU, dropout


def _convolution(linear: nn.Linear, pooled: int, window: int) -> nn.Conv2d:
    """What `linear` computes of a window that is average-pooled to `pooled` a side and flattened."""
    kernel_OIPP = linear.weight.detach().unflatten(1, (-1, pooled, pooled))
    if pooled != window:
        # pooling is linear: pooled place p takes the share share_SP[s, p] of place s, along each axis
        share_SP = F.adaptive_avg_pool1d(torch.eye(window).to(kernel_OIPP), pooled)
        kernel_OISS = torch.einsum("oipq,sp,tq->oist", kernel_OIPP, share_SP, share_SP)
    else:
        kernel_OISS = kernel_OIPP
    # on the meta device nothing is allocated, and no random number drawn
    conv = nn.Conv2d(kernel_OISS.shape[1], linear.out_features, window, device="meta")
    conv.weight = nn.Parameter(kernel_OISS)
    conv.bias = linear.bias  # None for a head without bias
    return conv
