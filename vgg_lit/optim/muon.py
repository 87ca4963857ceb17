"""Muon for filters and the matrices of hidden layers; SGD or AdamW for everything else, in one optimiser.

    Muon(net.parameters(), lr=0.24, sgd_lr=100.0)
    MuonAdamW(net.parameters(), lr=0.24, adamw_lr=3e-3, hidden_fc=True, output=net.classifier[-1].weight)

`OrthogonalOptimizer` has the rule that assigns the parameters, and the step of the matrices.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from vgg_lit.optim.orthogonal import OrthogonalOptimizer, check_rate, check_share, momentum_of


class Muon(OrthogonalOptimizer):
    """Muon for filters and matrices of hidden layers; SGD with Nesterov momentum for the others.

    The state is one momentum buffer per parameter.

    Args:
        params: parameters or groups.
        lr: learning rate of matrices, relative to their norm if `rescale` is set.
        momentum: momentum of matrices.
        steps: Newton-Schulz iterations.
        rescale: True sets each matrix to the norm sqrt(rows) before its step; for layers followed by
            batch norm.
        sgd_lr: learning rate of all other parameters.
        fc_lr: learning rate of the weights of FC layers that are not matrices; None: `sgd_lr`.
        sgd_momentum: momentum of all other parameters.
        weight_decay: share of all other parameters that a step at the first learning rate removes,
            independent of that rate; matrices have no weight decay.
        hidden_fc: True counts the weights of hidden FC layers as matrices.
        output: weight of the last layer, which is no matrix.

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
        hidden_fc: bool = False,
        output: Tensor | None = None,
    ) -> None:
        check_rate("sgd_lr", sgd_lr)
        check_share("sgd_momentum", sgd_momentum)
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "steps": steps, "rescale": rescale},
            {"lr": sgd_lr, "momentum": sgd_momentum},
            fc_lr,
            weight_decay,
            hidden_fc,
            output,
        )

    def _new_state(self, parameter: Tensor) -> dict[str, Tensor]:
        return momentum_of(parameter)

    def _move_rest(
        self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        gradient, buffer = parameter.grad, state["momentum_buffer"]
        assert gradient is not None
        if group["weight_decay"]:
            first_lr = group.get("initial_lr", group["lr"])  # a schedule sets it
            gradient = gradient.add(parameter, alpha=group["weight_decay"] / first_lr)
        buffer.mul_(group["momentum"]).add_(gradient)
        parameter.add_(gradient.add(buffer, alpha=group["momentum"]), alpha=-group["lr"])


class MuonAdamW(OrthogonalOptimizer):
    """Muon for filters and matrices of hidden layers; AdamW for the others.

    Args:
        params: parameters or groups.
        lr: as for `Muon`.
        momentum: as for `Muon`.
        steps: as for `Muon`.
        rescale: as for `Muon`.
        adamw_lr: learning rate of all other parameters.
        fc_lr: learning rate of the weights of FC layers that are not matrices; None: `adamw_lr`.
        betas: decay rates of the two moving averages of AdamW.
        eps: added to the divisor of a step of AdamW.
        weight_decay: weight decay of all other parameters, times their rate, as in `torch.optim.AdamW`.
        hidden_fc: as for `Muon`.
        output: as for `Muon`.

    Raises:
        ValueError: a value is out of its range.

    Source: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101, for AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.24,
        momentum: float = 0.6,
        steps: int = 3,
        rescale: bool = True,
        adamw_lr: float = 3e-3,
        fc_lr: float | None = None,
        betas: Sequence[float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        hidden_fc: bool = False,
        output: Tensor | None = None,
    ) -> None:
        check_rate("adamw_lr", adamw_lr)
        check_rate("eps", eps)
        for beta in betas:
            check_share("betas", beta)
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "steps": steps, "rescale": rescale},
            {"lr": adamw_lr, "betas": tuple(betas), "eps": eps},
            fc_lr,
            weight_decay,
            hidden_fc,
            output,
        )

    def _new_state(self, parameter: Tensor) -> dict[str, Tensor]:
        return {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }

    def _move_rest(
        self, parameter: Tensor, state: dict[str, Tensor], group: dict[str, Any]
    ) -> None:
        gradient, (first, second) = parameter.grad, group["betas"]
        assert gradient is not None
        state["step"].add_(1)
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - second)
        mean = state["exp_avg"] / (1 - first ** state["step"])
        variance = state["exp_avg_sq"] / (1 - second ** state["step"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(mean / (variance.sqrt() + group["eps"]), alpha=-group["lr"])
