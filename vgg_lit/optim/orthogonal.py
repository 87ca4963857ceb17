"""The step of Muon for matrices, the base of the optimisers that combine it with another one.

The filters of a convolution are a matrix with one row per output channel. Each step adds the orthogonal
matrix nearest to their momentum, so that all directions move at the same speed. The norm of the matrix is
reset to a constant before each step: batch norm after the layer makes the norm irrelevant, and the learning
rate becomes relative to it.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
https://kellerjordan.github.io/posts/muon/. Bernstein & Newhouse 2024, https://arxiv.org/abs/2409.20325,
for the iteration.

Shape suffixes: O output channels, I values of a filter, S the shorter and L the longer of the two.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from vgg_lit.system.hardware import has_bf16_units

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5 in the Newton-Schulz iteration: steepest rise at 0, limit near 1.

Source: Jordan et al. 2024, section "Coefficients".
"""


class OrthogonalOptimizer(Optimizer, ABC):
    """Muon for matrices; a subclass moves the other parameters.

    One rule assigns each parameter. Muon moves those with four dimensions, the filters, and with
    `hidden_fc` those with two dimensions except `output`. The weights of the other FC layers have the
    rate `fc_lr`, and all that is left, biases and norms, the rate of the rest. So each given group
    is split into up to three. `lr` is the learning rate of a group of any kind, and a schedule multiplies
    all of them.

    Args:
        params: parameters or groups.
        matrices: lr, momentum, steps and rescale of the matrices.
        rest: options of the groups of all other parameters, with their lr.
        fc_lr: learning rate of the weights of the other FC layers; None: that of the rest.
        weight_decay: weight decay of all other parameters; matrices have none.
        hidden_fc: True moves the weights of hidden FC layers by Muon too.
        output: weight of the last layer, which Muon never moves.

    Raises:
        ValueError: a value is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        matrices: dict[str, Any],
        rest: dict[str, Any],
        fc_lr: float | None,
        weight_decay: float,
        hidden_fc: bool,
        output: Tensor | None,
    ) -> None:
        for name, rate in (("lr", matrices["lr"]), ("fc_lr", fc_lr)):
            if rate is not None:
                check_rate(name, rate)
        check_share("momentum", matrices["momentum"])
        if matrices["steps"] < 1:
            raise ValueError(f"steps={matrices['steps']}: must be at least 1")
        if weight_decay < 0:
            raise ValueError(f"weight_decay={weight_decay}: must be at least 0")
        self._rest = {**rest, "is_muon": False}
        self._fc = self._rest if fc_lr is None else {**self._rest, "lr": fc_lr}
        self._hidden_fc = hidden_fc
        self._output = output
        defaults = {
            **matrices,
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
        for kind, options in (("matrix", {}), ("fc", self._fc), ("rest", self._rest)):
            found = [p for p in params if self._kind(p) == kind]
            if found:
                super().add_param_group({**param_group, **options, "params": found})

    def _kind(self, parameter: Tensor) -> str:
        """Returns the kind of a parameter by the rule: matrix, fc or rest."""
        is_hidden = self._hidden_fc and parameter.ndim == 2 and parameter is not self._output
        if parameter.ndim == 4 or is_hidden:
            return "matrix"
        return "fc" if parameter.ndim == 2 else "rest"

    @abstractmethod
    def _move_rest(
        self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        """Moves a parameter that is not a matrix."""

    @abstractmethod
    def _new_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Returns the first state of a parameter that is not a matrix."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Moves every parameter that has a gradient, unless `found_inf` is set."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            move = _move_matrix if group["is_muon"] else self._move_rest
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    is_matrix = group["is_muon"]
                    state |= momentum_of(parameter) if is_matrix else self._new_state(parameter)
                if found_inf is None:
                    move(parameter, state, group)
                    continue
                # Both values are computed, because a choice on the host would wait for the device.
                before = [tensor.clone() for tensor in (parameter, *state.values())]
                move(parameter, state, group)
                for tensor, kept in zip((parameter, *state.values()), before, strict=True):
                    tensor.copy_(torch.where(found_inf > 0, kept, tensor))
        return loss


def check_rate(name: str, value: float) -> None:
    """Raises ValueError if a learning rate is not above 0."""
    if not value > 0:
        raise ValueError(f"{name}={value}: must be above 0")


def check_share(name: str, value: float) -> None:
    """Raises ValueError if a momentum is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name}={value}: must be at least 0 and below 1")


def momentum_of(parameter: Tensor) -> dict[str, Tensor]:
    """Returns the first state of a parameter that is moved with a momentum."""
    return {"momentum_buffer": torch.zeros_like(parameter)}


def _move_matrix(matrix: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    gradient, buffer = matrix.grad, state["momentum_buffer"]
    assert gradient is not None
    buffer.mul_(group["momentum"]).add_(gradient)
    ahead_OI = gradient.add(buffer, alpha=group["momentum"]).flatten(1)
    if group["rescale"]:
        # a matrix of zeros stays one
        norm = torch.linalg.vector_norm(matrix).clamp(min=torch.finfo(matrix.dtype).tiny)
        matrix.mul_(len(matrix) ** 0.5 / norm)
    update_OI = orthogonalise(ahead_OI, group["steps"]).to(matrix.dtype)
    matrix.add_(update_OI.view(matrix.shape), alpha=-group["lr"])


def orthogonalise(matrix_OI: Tensor, steps: int) -> Tensor:
    """Returns the matrix with all singular values near 1, by a quintic iteration.

    With X = U S V^T each iteration makes a X + b (X X^T) X + c (X X^T)^2 X = U (a S + b S^3 + c S^5) V^T,
    which needs only matrix products. The singular values end within about 0.3 of 1, which suffices; so does
    the precision of bf16, used where the device has units for it. Elsewhere the products are in float32.

    Args:
        matrix_OI: a matrix of any scale.
        steps: iterations.
    """
    a, b, c = COEFFICIENTS
    x_SL = matrix_OI.to(torch.bfloat16 if has_bf16_units(matrix_OI.device)[0] else torch.float32)
    is_tall = x_SL.shape[0] > x_SL.shape[1]
    if is_tall:
        x_SL = x_SL.T
    x_SL = x_SL / (torch.linalg.vector_norm(x_SL) + 1e-7)  # no singular value is above 1
    for _ in range(steps):
        gram_SS = x_SL @ x_SL.T
        x_SL = a * x_SL + (b * gram_SS + c * gram_SS @ gram_SS) @ x_SL
    return x_SL.T if is_tall else x_SL
