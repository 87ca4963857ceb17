"""Features before the last layer, and images in the plane."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vgg_lit.analysis.embeddings import embed, pca, tsne
from vgg_lit.models import build


@pytest.fixture
def x():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def clusters():
    """Two groups of 20 places each in 60 dimensions, far from each other."""
    draws = np.random.default_rng(0)
    return np.concatenate([draws.normal(centre, 1, (20, 60)) for centre in (0, 30)])


@pytest.mark.parametrize("head", ["cifar", "linear", "gap"])
def test_the_last_layer_makes_the_logits_of_the_embedding(head, x):
    net = build("vgg11_bn", num_classes=7, head=head, width=0.0625).eval()
    torch.testing.assert_close(net.classifier[-1](embed(net, x)), net(x))


def test_another_network_has_an_embedding_too(x):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 5))
    torch.testing.assert_close(net[-1](embed(net, x)), net(x))


def test_the_network_is_left_as_it_was(x):
    net = build("vgg11_bn", num_classes=7, head="cifar", width=0.0625).train()
    net.features[0].eval()
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    features = embed(net, x)
    assert not features.requires_grad
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_principal_components_are_those_of_the_singular_values(clusters):
    pytest.importorskip("sklearn")
    points, share = pca(clusters)
    centred = clusters - clusters.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(centred @ vectors[:2].T), atol=1e-8)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())


def test_t_sne_keeps_neighbours_together_and_is_the_same_every_time(clusters):
    pytest.importorskip("sklearn")
    points = tsne(clusters)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    groups = np.arange(40) // 20
    assert (groups[distances.argmin(axis=1)] == groups).all()
    np.testing.assert_array_equal(tsne(clusters), points)


def test_t_sne_takes_as_few_as_four_images(clusters):
    pytest.importorskip("sklearn")
    assert np.isfinite(tsne(clusters[:4])).all()
