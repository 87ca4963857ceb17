"""Options of the layers that are built from a plan: activation, pool, bias, norm, whitening."""

from dataclasses import dataclass

from vgg_lit.errors import InputError, unknown
from vgg_lit.models.numbers import is_number, positive_int


@dataclass(frozen=True)
class Layers:
    """The layers built from a plan; the defaults are the paper's, with PyTorch's batch norm.

    Attributes:
        activation: "relu" or "gelu" (Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415),
            after each convolution.
        pool_first: the pool follows the first convolution of its block, before batch norm and
            activation, which then work on a quarter of the positions.
        conv_bias: convolutions have a bias; batch norm makes it redundant.
        norm_scale: batch norm learns a scale; otherwise the scale stays 1.
        norm_eps: added to the variance in batch norm.
        norm_momentum: share of a batch in the running statistics of batch norm.
        whitening: side in pixels of the fixed filters of a first layer that whitens patches of the
            image (see `vgg_lit.models.whitening`); None: no such layer.

    Source: Keller Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU",
    https://arxiv.org/abs/2404.00498, except the defaults.
    """

    activation: str = "relu"
    pool_first: bool = False
    conv_bias: bool = True
    norm_scale: bool = True
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    whitening: int | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise unknown("activation", str(self.activation), ACTIVATIONS)
        for name in ("pool_first", "conv_bias", "norm_scale"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name}={getattr(self, name)!r} is neither true nor false")
        if not (is_number(self.norm_eps) and self.norm_eps > 0):
            raise InputError(f"norm_eps={self.norm_eps!r} is not a positive number")
        if not (is_number(self.norm_momentum) and 0 < self.norm_momentum <= 1):
            raise InputError(f"norm_momentum={self.norm_momentum!r} is not in (0, 1]")
        if self.whitening is not None and positive_int("whitening", self.whitening) > 7:
            raise InputError(f"whitening={self.whitening}: allowed: 1 to 7 pixels, or null")

    @property
    def margin(self) -> int:
        """Pixels by which the whitening layer, which has no padding, reduces the side of a map."""
        return self.whitening - 1 if self.whitening else 0

    def check_norm(self, batch_norm: bool) -> None:
        """Refuses options of batch norm for a network without it.

        Raises:
            InputError: an option of batch norm is set.
        """
        for name in ("norm_scale", "norm_eps", "norm_momentum"):
            value = getattr(self, name)
            if not batch_norm and value != getattr(Layers, name):
                raise InputError(f"{name}={value}: the network has no batch norm")


ACTIVATIONS = ("relu", "gelu")
"""The activations by name."""
