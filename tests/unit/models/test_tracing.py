"""torch.fx and torchvision's feature extraction work on every network."""

import itertools

import pytest
import torch
from torch import fx
from torchvision.models.feature_extraction import create_feature_extractor

from vgg_lit.analysis.features import extract
from vgg_lit.errors import InputError
from vgg_lit.models import HEADS, VARIANTS, build
from vgg_lit.models.gemm_conv import lower_small_maps

NETWORKS = list(itertools.product(VARIANTS, HEADS))


def network(variant: str, head: str):
    torch.manual_seed(0)
    return build(variant, num_classes=10, head=head, width=1 / 16, image_size=32).eval()


@pytest.mark.parametrize(("variant", "head"), NETWORKS)
def test_every_network_can_be_traced(variant, head):
    net, x_BCHW = network(variant, head), torch.randn(2, 3, 32, 32)
    traced = fx.symbolic_trace(net)
    assert torch.equal(traced(x_BCHW), net(x_BCHW))
    # a ReLU works in place, so only layers after which nothing does are compared
    names = [name for name in net.layer_paths if "relu" in name or "pool" in name]
    names.append(list(net.layer_paths)[-1])
    extractor = create_feature_extractor(net, {net.layer_paths[name]: name for name in names})
    found, expected = extractor(x_BCHW), extract(net, x_BCHW, names)
    assert list(found) == names
    assert all(torch.equal(found[name], expected[name]) for name in names)


@pytest.mark.parametrize("head", ["linear", "cifar"])
def test_a_traced_network_refuses_other_sizes(head):
    traced = fx.symbolic_trace(network("vgg11_bn", head))
    with pytest.raises(InputError, match="a 64x64 image does not fit this network"):
        traced(torch.randn(2, 3, 64, 64))
    net = network("vgg11_bn", head)
    extractor = create_feature_extractor(net, [net.layer_paths["block5_pool"]])
    with pytest.raises(InputError, match="a 64x64 image does not fit this network"):
        extractor(torch.randn(2, 3, 64, 64))


def test_a_network_with_small_map_products_can_be_traced():
    net, x_BCHW = network("vgg11_bn", "linear"), torch.randn(2, 3, 32, 32)
    assert lower_small_maps(net, True)
    traced = fx.symbolic_trace(net)
    torch.testing.assert_close(traced(x_BCHW), net(x_BCHW), rtol=1e-4, atol=1e-5)
