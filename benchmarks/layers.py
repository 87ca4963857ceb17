"""Compares the library with one matrix product for each convolution of VGG-16 at 32 pixels.

    python benchmarks/layers.py              # about a minute on two cores
    python benchmarks/layers.py --batch 64 --repeats 21

Measures forward and backward of one layer in training (fp32 weights, channels-last; under autocast
in bf16). Library and product alternate; times are medians. GFLOP/s count 2 * 9 * I * O operations per
position and pass, including padding, for every implementation, so they compare like times. The last
line is the library's time over ours for all 13 layers in bf16. Ours is the product if `auto` selects
it, else the library.
"""

import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial

import torch
from measurement import argument_parser, by_turns, print_closing_line, print_header, print_table
from torch import nn

from vgg_lit.models.gemm_conv import Form, auto_form, lower_small_maps
from vgg_lit.models.variants import VARIANTS

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Layer:
    """A 3x3 convolution on maps of side x side."""

    side: int
    in_channels: int
    out_channels: int

    def gflop(self, batch: int) -> tuple[float, float]:
        """Returns 10^9 operations of the forward and the backward; images need no gradient."""
        forward = 2e-9 * 9 * self.in_channels * self.out_channels * self.side**2 * batch
        return forward, forward * (2 if self.in_channels > 3 else 1)


@dataclass(frozen=True)
class Seconds:
    """Median time of one layer's forward and backward."""

    forward: float
    backward: float

    @property
    def total(self) -> float:
        """The layer's time in a training step."""
        return self.forward + self.backward


def vgg16_layers(image_size: int = 32) -> Counter[Layer]:
    """Returns the distinct convolutions of VGG-16, in order, and the number of each."""
    layers: Counter[Layer] = Counter()
    side, channels = image_size, 3
    for block in VARIANTS["vgg16"].plan:
        for conv in block:
            layers[Layer(side, channels, conv.channels)] += 1
            channels = conv.channels
        side //= 2
    return layers


def measure(
    layer: Layer, dtype: torch.dtype, batch: int, repeats: int
) -> tuple[Form, Seconds, Seconds]:
    """Returns the form that `auto` selects, and the times of the library and of the product."""
    torch.manual_seed(0)
    convs = []
    for mode in (False, True):
        conv = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
        lower_small_maps(conv, mode)
        convs.append(conv.to(memory_format=torch.channels_last))
    x_BCHW = torch.randn(batch, layer.in_channels, layer.side, layer.side, dtype=dtype)
    x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
    x_BCHW.requires_grad_(layer.in_channels > 3)
    form = auto_form(x_BCHW, convs[0].weight, dtype)

    def seconds(conv: nn.Conv2d) -> tuple[float, float]:
        x_BCHW.grad = None
        conv.zero_grad()
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            out_BCHW = conv(x_BCHW)
        forward = time.perf_counter() - start
        grad_BCHW = torch.ones_like(out_BCHW)
        start = time.perf_counter()
        out_BCHW.backward(grad_BCHW)
        return forward, time.perf_counter() - start

    names = ("library", "product")
    sides = {name: partial(seconds, conv) for name, conv in zip(names, convs, strict=True)}
    measured = by_turns(sides, repeats)
    library, product = (
        Seconds(*map(statistics.median, zip(*measured[name], strict=True))) for name in names
    )
    return form, library, product


def compare(name: str, batch: int, repeats: int) -> float:
    """Prints the table of one precision; returns the library's time over ours for all layers."""
    columns = ["layers", *("library ms", "GFLOP/s", "product ms", "GFLOP/s"), "library / product"]
    rows = []
    totals: defaultdict[str, float] = defaultdict(float)
    for layer, count in vgg16_layers().items():
        form, library, product = measure(layer, DTYPES[name], batch, repeats)
        cells = []
        for seconds in (library, product):
            forward, backward = layer.gflop(batch)
            cells += [
                f"{1e3 * seconds.forward:.1f} | {1e3 * seconds.backward:.1f}",
                f"{forward / seconds.forward:.0f} | {backward / seconds.backward:.0f}",
            ]
        shape = f"{layer.side}x{layer.side}, {layer.in_channels} -> {layer.out_channels}"
        ratio = library.total / product.total
        rows.append([f"{count} of {shape}", *cells, f"{ratio:.2f}", form])
        ours = library if form == "library" else product
        totals["library"] += count * library.total
        totals["ours"] += count * ours.total
        if form != "library":
            totals["library, lowered"] += count * library.total
            totals["ours, lowered"] += count * ours.total
    print_table(f"{name}, forward | backward", [*columns, "auto takes"], rows)
    if totals["ours, lowered"]:
        lowered = totals["library, lowered"] / totals["ours, lowered"]
        print(f"{name}, the layers where auto takes a product: {lowered:.2f}")
    print(f"{name}, all layers: {totals['library'] / totals['ours']:.2f}\n", flush=True)
    return totals["library"] / totals["ours"]


def main() -> None:
    """Measures both precisions, and prints the ratio in bf16 last."""
    parser = argument_parser(__doc__, repeats=11)
    parser.add_argument("--batch", type=int, default=128, help="images per batch (%(default)s)")
    args = parser.parse_args()
    print_header(f"batches of {args.batch}, {args.repeats} repeats")
    ratios = {name: compare(name, args.batch, args.repeats) for name in DTYPES}
    print_closing_line("layers", ratios["bf16"])


if __name__ == "__main__":
    main()
