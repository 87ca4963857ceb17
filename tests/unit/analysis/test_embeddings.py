"""Features before the last layer, and their projections by PCA and t-SNE."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vgg_lit.analysis.embeddings import embed, pca, tsne
from vgg_lit.errors import InputError
from vgg_lit.models import build


@pytest.fixture
def x():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def clusters():
    """Two distant clusters of 20 points each in 60 dimensions."""
    draws = np.random.default_rng(0)
    return np.concatenate([draws.normal(centre, 1, (20, 60)) for centre in (0, 30)])


@pytest.mark.parametrize("head", ["cifar", "linear", "gap"])
def test_the_last_layer_maps_the_embedding_to_the_logits(head, x):
    net = build("vgg11_bn", num_classes=7, head=head, width=0.0625).eval()
    torch.testing.assert_close(net.classifier[-1](embed(net, x)), net(x))


def test_a_sequential_network_has_an_embedding(x):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 5))
    torch.testing.assert_close(net[-1](embed(net, x)), net(x))


def test_embed_does_not_change_the_network(x):
    net = build("vgg11_bn", num_classes=7, head="cifar", width=0.0625).train()
    net.features[0].eval()
    before, modes = copy.deepcopy(net.state_dict()), [m.training for m in net.modules()]
    features = embed(net, x)
    assert not features.requires_grad
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_pca_matches_the_singular_value_decomposition(clusters):
    pytest.importorskip("sklearn")
    points, share = pca(clusters)
    centred = clusters - clusters.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(centred @ vectors[:2].T), atol=1e-8)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())


def test_t_sne_keeps_neighbours_together_and_is_reproducible(clusters):
    pytest.importorskip("sklearn")
    points = tsne(clusters)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    groups = np.arange(40) // 20
    assert (groups[distances.argmin(axis=1)] == groups).all()
    np.testing.assert_array_equal(tsne(clusters), points)


def test_t_sne_works_with_four_images(clusters):
    pytest.importorskip("sklearn")
    assert np.isfinite(tsne(clusters[:4])).all()


def test_equal_features_have_equal_positions():
    pytest.importorskip("sklearn")
    features = np.ones((8, 60), np.float32)
    points, share = pca(features)
    assert share == 0
    assert np.array_equal(points, np.zeros((8, 2)))
    assert np.array_equal(tsne(features), np.zeros((8, 2)))


def test_a_network_without_a_fully_connected_layer_has_no_embedding(x):
    with pytest.raises(InputError, match="fully connected"):
        embed(nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), x)
