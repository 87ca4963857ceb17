"""A VGG as a fully convolutional network: its head slides over the map of an image of any size.

    dense = DenseVGG(net.eval())  # shares the weights of `net`
    logits_BK = dense(x_BCHW)     # images at least as large as those of training

Shape suffixes: B images, C channels, H and W sides of a map, K classes, O output channels, I input
channels, P side of the head's pooled map, S side of the window.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgg_lit.errors import InputError
from vgg_lit.models.variants import smallest_image_size
from vgg_lit.models.vgg import VGG


class DenseVGG(nn.Module):
    """The mean of a VGG's class scores over all positions of its head on the last map.

    The head's window is the last map of a training image: 7x7 for the paper's networks at 224
    pixels. The first fully connected layer becomes a convolution with a kernel of that size, into
    which the head's average pool is folded; the others become 1x1 convolutions. An image of the
    training size has one position, so its scores equal those of the plain network.

    Args:
        net: the network. Its convolutions are shared, and so are the weights of its head unless a
            pool is folded into them.

    Attributes:
        smallest_image_size: side in pixels of the smallest image whose map holds the window.

    Raises:
        InputError: the network is not a VGG of this package.

    Source: Simonyan & Zisserman 2015, section 3.2.
    """

    def __init__(self, net: nn.Module) -> None:
        if not isinstance(net, VGG):
            raise InputError(
                f"dense: a {type(net).__name__} has no fully connected layers that can be applied to"
                " maps; allowed: the networks of vgg_lit.models.build"
            )
        super().__init__()
        window = net.map_side(net.image_size)
        self.smallest_image_size = window * smallest_image_size(net.plan) + net.layers.margin
        self.features = net.features
        self.classifier = nn.Sequential(*_convolutions(net, window))
        self.train(net.training)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the logits_BK of a batch of images."""
        return self.score_map(x_BCHW).mean((2, 3))

    def score_map(self, x_BCHW: Tensor) -> Tensor:
        """Returns the scores (B, K, H, W) at every position of the window.

        Raises:
            InputError: the images are smaller than the window needs.
        """
        height, width = x_BCHW.shape[-2:]
        if min(height, width) < self.smallest_image_size:
            raise InputError(
                f"a {height}x{width} image is too small for this network; "
                f"the smallest side is {self.smallest_image_size}"
            )
        return self.classifier(self.features(x_BCHW))


def _convolutions(net: VGG, window: int) -> Iterator[nn.Module]:
    """Yields the head's layers, converted to layers that take maps instead of vectors."""
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
    """Converts `linear`, which takes the flattened average pool of a window, to a convolution.

    Args:
        linear: fully connected layer.
        pooled: side of the pooled map.
        window: side of the window before pooling.
    """
    kernel_OIPP = linear.weight.detach().unflatten(1, (-1, pooled, pooled))
    if pooled != window:
        # pooling is linear: along each axis, pooled position p takes share_SP[s, p] of position s
        share_SP = F.adaptive_avg_pool1d(torch.eye(window).to(kernel_OIPP), pooled)
        kernel_OISS = torch.einsum("oipq,sp,tq->oist", kernel_OIPP, share_SP, share_SP)
    else:
        kernel_OISS = kernel_OIPP
    # on the meta device nothing is allocated and no random number is drawn
    conv = nn.Conv2d(kernel_OISS.shape[1], linear.out_features, window, device="meta")
    conv.weight = nn.Parameter(kernel_OISS)
    conv.bias = linear.bias  # None for a head without bias
    return conv
