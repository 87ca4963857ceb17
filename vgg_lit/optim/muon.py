"""Muon for convolution filters, SGD with Nesterov momentum for everything else, in one optimiser.

    Muon(net.parameters(), lr=0.24, sgd_lr=100.0)

The filters of a convolution are a matrix with one row per output channel. Each step adds the orthogonal
matrix nearest to their momentum, so that all directions move at the same speed. The norm of the matrix is
reset to a constant before each step: batch norm after the layer makes the norm irrelevant, and the learning
rate becomes relative to it.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/. Bernstein & Newhouse 2024, https://arxiv.org/abs/2409.20325,
for the iteration.

Shape suffixes: O output channels, I values of a filter, S the shorter and L the longer of the two.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5 in the Newton-Schulz iteration: steepest rise at 0, limit near 1.

Source: Jordan et al. 2024, section "Coefficients".
"""


class Muon(Optimizer):
    """Muon for parameters with four dimensions; SGD with Nesterov momentum for the others.

    Each given group is split into up to three: convolutions, fully connected layers, and biases with norms.
    `lr` is the learning rate of a group of any kind, and a schedule multiplies all of them. The state is one
    momentum buffer per parameter.

    Args:
        params: parameters or groups.
        lr: learning rate of filters, relative to their norm if `rescale` is set.
        momentum: momentum of filters.
        steps: Newton-Schulz iterations.
        rescale: True sets each convolution to the norm sqrt(output channels) before its step; for
            layers followed by batch norm.
        sgd_lr: learning rate of all other parameters.
        fc_lr: learning rate of the weights of FC layers; None: `sgd_lr`.
        sgd_momentum: momentum of all other parameters.
        weight_decay: share of all other parameters that a step at the first learning rate removes,
            independent of that rate; filters have no weight decay.

    Raises:
        ValueError: a value is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.24,
        momentum: float = 0.6,
        steps: int = 3,
        rescale: bool = True,
        sgd_lr: float = 0.1,
        fc_lr: float | None = None,
        sgd_momentum: float = 0.85,
        weight_decay: float = 0.0,
    ) -> None:
        for name, rate in (("lr", lr), ("sgd_lr", sgd_lr), ("fc_lr", fc_lr)):
            if rate is not None and not rate > 0:
                raise ValueError(f"{name}={rate}: must be above 0")
        for name, share in (("momentum", momentum), ("sgd_momentum", sgd_momentum)):
            if not 0 <= share < 1:
                raise ValueError(f"{name}={share}: must be at least 0 and below 1")
        if steps < 1:
            raise ValueError(f"steps={steps}: must be at least 1")
        if weight_decay < 0:
            raise ValueError(f"weight_decay={weight_decay}: must be at least 0")
        self._sgd = {"lr": sgd_lr, "momentum": sgd_momentum, "is_muon": False}
        self._fc = self._sgd if fc_lr is None else {**self._sgd, "lr": fc_lr}
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "steps": steps,
            "rescale": rescale,
            "weight_decay": weight_decay,
            "is_muon": True,
            # Like the fused optimisers of torch, it skips a step if `found_inf` is set.
            "fused": True,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds the parameters of a group as one group of each kind, without empty ones."""
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        kinds: dict[int, dict[str, Any]] = {4: {}, 2: self._fc, 0: self._sgd}
        for ndim, options in kinds.items():
            found = [p for p in params if (p.ndim if p.ndim in kinds else 0) == ndim]
            if found:
                super().add_param_group({**param_group, **options, "params": found})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Moves every parameter that has a gradient, unless `found_inf` is set."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            move = _muon_step if group["is_muon"] else _sgd_step
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"]
                if found_inf is None:
                    move(parameter, parameter.grad, buffer, group)
                    continue
                # Both values are computed, because a choice on the host would wait for the device.
                before = parameter.clone(), buffer.clone()
                move(parameter, parameter.grad, buffer, group)
                for tensor, kept in zip((parameter, buffer), before, strict=True):
                    tensor.copy_(torch.where(found_inf > 0, kept, tensor))
        return loss


def _muon_step(filters: Tensor, gradient: Tensor, buffer: Tensor, group: dict[str, Any]) -> None:
    buffer.mul_(group["momentum"]).add_(gradient)
    ahead_OI = gradient.add(buffer, alpha=group["momentum"]).flatten(1)
    if group["rescale"]:
        filters.mul_(len(filters) ** 0.5 / torch.linalg.vector_norm(filters))
    update_OI = orthogonalise(ahead_OI, group["steps"]).to(filters.dtype)
    filters.add_(update_OI.view(filters.shape), alpha=-group["lr"])


def _sgd_step(parameter: Tensor, gradient: Tensor, buffer: Tensor, group: dict[str, Any]) -> None:
    if group["weight_decay"]:
        first_lr = group.get("initial_lr", group["lr"])  # a schedule sets it
        gradient = gradient.add(parameter, alpha=group["weight_decay"] / first_lr)
    buffer.mul_(group["momentum"]).add_(gradient)
    parameter.add_(gradient.add(buffer, alpha=group["momentum"]), alpha=-group["lr"])


def orthogonalise(matrix_OI: Tensor, steps: int) -> Tensor:
    """Returns the matrix with all singular values near 1, by a quintic iteration in bf16.

    With X = U S V^T each iteration makes a X + b (X X^T) X + c (X X^T)^2 X = U (a S + b S^3 + c S^5) V^T,
    which needs only matrix products. The singular values end within about 0.3 of 1, which suffices.

    Args:
        matrix_OI: a matrix of any scale.
        steps: iterations.
    """
    a, b, c = COEFFICIENTS
    x_SL = matrix_OI.bfloat16()
    is_tall = x_SL.shape[0] > x_SL.shape[1]
    if is_tall:
        x_SL = x_SL.T
    x_SL = x_SL / (torch.linalg.vector_norm(x_SL) + 1e-7)  # no singular value is above 1
    for _ in range(steps):
        gram_SS = x_SL @ x_SL.T
        x_SL = a * x_SL + (b * gram_SS + c * gram_SS @ gram_SS) @ x_SL
    return x_SL.T if is_tall else x_SL
