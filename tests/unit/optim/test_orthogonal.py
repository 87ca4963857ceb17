"""Orthogonal updates of matrices, and the rule that assigns parameters to them."""

import pytest
import torch
from torch import nn

from vgg_lit.optim import orthogonal
from vgg_lit.optim.muon import Muon, MuonAdamW
from vgg_lit.optim.orthogonal import COEFFICIENTS, check_rate, check_share, orthogonalise


@pytest.mark.parametrize("shape", [(16, 144), (64, 27), (8, 8)])
def test_singular_values_end_near_1_in_the_same_directions(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix, steps=5).float()
    inside = (left.T @ found @ right.T).diagonal()
    large = values > 0.1 * values.max()
    assert inside[large].min() > 0.5
    assert inside[large].max() < 1.4
    torch.testing.assert_close(
        found, orthogonalise(1000 * matrix, steps=5).float(), atol=0.06, rtol=0
    )


@pytest.mark.parametrize(
    ("has_units", "dtype", "error"), [(True, torch.bfloat16, 0.05), (False, torch.float32, 1e-5)]
)
def test_the_iteration_is_its_polynomial_in_the_type_of_the_hardware(
    has_units, dtype, error, monkeypatch
):
    monkeypatch.setattr(orthogonal, "has_bf16_units", lambda device: (has_units, device.type))
    values = torch.tensor([0.6, 0.5, 0.3, 0.1])
    expected = values / values.norm()
    for _ in range(3):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    found = orthogonalise(torch.diag(values), steps=3)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), torch.diag(expected), atol=error, rtol=0)


def reference_step(matrix, gradient, buffer, lr=0.2, momentum=0.6, steps=3, rescale=True):
    """A step of Muon in float64; singular values follow the polynomial of the iteration."""
    buffer = momentum * buffer + gradient
    left, values, right = torch.linalg.svd(gradient + momentum * buffer, full_matrices=False)
    values = values / values.norm()
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    if rescale:
        matrix = matrix * len(matrix) ** 0.5 / matrix.norm()
    return matrix - lr * (left * values) @ right, buffer


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (16, 2, 1, 1), (5, 12), (7, 3)])
def test_three_steps_are_those_of_a_float64_reference(shape, rescale):
    draws = torch.Generator().manual_seed(0)
    parameter = nn.Parameter(torch.randn(shape, generator=draws))
    optimizer = Muon([parameter], lr=0.2, rescale=rescale, hidden_fc=True)
    expected, buffer = parameter.detach().double().flatten(1), torch.zeros(1)
    for _ in range(3):
        parameter.grad = torch.randn(shape, generator=draws)
        expected, buffer = reference_step(
            expected, parameter.grad.double().flatten(1), buffer, rescale=rescale
        )
        optimizer.step()
    found = parameter.detach().double().flatten(1)
    # bf16 has a relative error of 0.004 in each of 15 products, and a step adds values of up to 0.2
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)


def test_it_returns_what_a_closure_returns():
    layer = nn.Linear(2, 1)
    assert Muon(layer.parameters()).step(lambda: layer(torch.ones(1, 2)).sum()).requires_grad


def test_it_needs_no_output_for_filters_alone():
    layer = nn.Conv2d(1, 2, 3)
    assert len(MuonAdamW(layer.parameters(), hidden_fc=True).param_groups) == 2


def test_filters_of_zeros_stay_finite():
    """As a network has them after pruning."""
    filters = nn.Parameter(torch.zeros(3, 2, 3, 3))
    optimizer = Muon([filters], lr=0.1)
    for _ in range(2):
        filters.grad = torch.randn(filters.shape, generator=torch.Generator().manual_seed(0))
        optimizer.step()
        assert filters.isfinite().all()
    filters.data.zero_()
    filters.grad = torch.zeros_like(filters)
    Muon([filters], lr=0.1).step()
    assert not filters.any()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_rates_and_shares_are_checked(value):
    with pytest.raises(ValueError, match=f"^lr={value}: must be above 0$"):
        check_rate("lr", value)
    if value:
        with pytest.raises(ValueError, match=f"^momentum={value}: must be at least 0 and below 1$"):
            check_share("momentum", value)
