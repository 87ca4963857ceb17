"""Layers of a head."""

import pytest
import torch
import torch.nn.functional as F

from vgg_lit.models.head_layers import AveragePool, GlobalMaxPool, LogitScale, averaging_matrix


@pytest.mark.parametrize("size", [1, 2, 6, 7, 8, 14, 15])
@pytest.mark.parametrize("bins", [1, 2, 7])
def test_products_with_averaging_matrices_are_the_adaptive_pool(size, bins):
    x_BCHW = torch.randn(2, 3, size, size + 1, generator=torch.manual_seed(0), dtype=torch.float64)
    rows, columns = averaging_matrix(size, bins).double(), averaging_matrix(size + 1, bins).double()
    found = rows @ x_BCHW @ columns.T
    torch.testing.assert_close(found, F.adaptive_avg_pool2d(x_BCHW, bins), rtol=0, atol=1e-6)
    torch.testing.assert_close(AveragePool(bins)(x_BCHW), F.adaptive_avg_pool2d(x_BCHW, bins))


def test_a_map_of_the_pooled_size_is_not_copied():
    x_BCHW = torch.randn(2, 3, 7, 7)
    assert AveragePool(7)(x_BCHW) is x_BCHW


def test_the_maximum_and_the_scale():
    x_BCHW = torch.arange(8.0).view(1, 2, 2, 2)
    assert GlobalMaxPool()(x_BCHW).flatten().tolist() == [3, 7]
    assert LogitScale(0.5)(torch.tensor([[2.0, 4.0]])).tolist() == [[1, 2]]
