"""Predicts the scaling of VGG to 1,024 GPUs, and checks the prediction on two processes.

    python benchmarks/capacity.py
    python benchmarks/capacity.py --nets vgg16 --batch 2 --side 64

- network: parameters, gradient bytes and multiply-adds, and the share of the fully connected layers.
- measured: a training step on this machine's CPU, in one process with one thread.
- GPUs: efficiency by `all_reduce_model.py`, from given arithmetic rates and link speeds.
- two processes: the all-reduce of this machine (gloo over the loopback) gives a link. From it, the
  model predicts a step of two processes with and without overlap, and the step is measured.

Tables are in Markdown. The last line is the measured step of two processes over the predicted one,
for the first network with the first head.
"""

import argparse
import functools
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from all_reduce_model import (
    Cluster,
    Gradients,
    Link,
    arithmetic_seconds,
    fit_link,
    gradients_of,
    ring_seconds,
    step_seconds,
)
from measurement import argument_parser, by_turns, print_closing_line, print_header
from two_processes import built, measure_two, seconds_of, training_step

from vgg_lit.system.files import write_text

HEADS = ("imagenet", "gap")
BEGIN, END = "<!-- printed by benchmarks/capacity.py -->", "<!-- end -->"
GPUS = tuple(2**power for power in range(11))
PAPER_SIDE = 224
BATCH_PER_GPU = 64

REACHED = 0.4
"""The assumed share of a GPU's peak arithmetic rate that training reaches."""

CLUSTERS = {
    "H100, 8 per node, NVLink 450 GB/s, 8 cards of 400 Gb/s": (
        989e12,
        Cluster(
            "InfiniBand", 8, within=Link(450e9, 3e-6), between=Link(50e9, 10e-6), cards_per_node=8
        ),
    ),
    "A100, 8 per node, NVLink 300 GB/s, 1 card of 100 Gb/s": (
        312e12,
        Cluster(
            "Ethernet", 8, within=Link(300e9, 3e-6), between=Link(12.5e9, 30e-6), cards_per_node=1
        ),
    ),
}
"""Vendor figures: bf16 operations per second without sparsity, and one direction of each link."""


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    head = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    return "\n".join([f"{title}\n", *(f"| {' | '.join(row)} |" for row in (*head, *rows)), ""])


def put_into(document: Path, tables: Sequence[str]) -> None:
    """Replaces the text between the two marks of a document.

    Raises:
        ValueError: the marks are missing.
    """
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{document}: has no {BEGIN} followed by {END}")
    write_text(document, f"{before}{BEGIN}\n\n" + "\n".join(tables) + f"\n{end}{after}")


def network_rows(gradients: dict[tuple[str, str], Gradients]) -> list[list[str]]:
    """Returns a row per network: its bytes and arithmetic, and the share of the head."""
    return [
        [
            f"{net}, {head}",
            f"{g.parameters:,}",
            f"{g.size / 1e6:,.1f}",
            f"{g.in_bf16.size / 1e6:,.1f}",
            f"{100 * g.head_parameters / g.parameters:.1f} %",
            f"{g.macs / 1e9:.2f}",
            f"{100 * g.head_macs / g.macs:.2f} %",
        ]
        for (net, head), g in gradients.items()
    ]


def efficiency_rows(
    gradients: dict[tuple[str, str], Gradients], rate: float, cluster: Cluster, batch: int
) -> list[list[str]]:
    """Returns a row per number of GPUs, with three efficiencies per network."""
    rows = []
    for gpus in GPUS:
        cells = []
        for found in gradients.values():
            alone = arithmetic_seconds(found.macs, batch, rate)
            sides = ((found, "ring"), (found, "hierarchical"), (found.in_bf16, "hierarchical"))
            steps = [step_seconds(sent, alone, gpus, cluster, how) for sent, how in sides]
            cells.append(" / ".join(f"{100 * alone / step:.1f}" for step in steps))
        rows.append([f"{gpus:,}", *cells])
    return rows


CHECK_COLUMNS = (
    *("network, head", "gradients MB", "link GB/s", "all-reduce predicted", "measured"),
    *("step without it", "step predicted, overlapped", "one after another", "measured"),
)


def check(net: str, head: str, args: argparse.Namespace) -> tuple[list[str], float]:
    """Returns a row of the check, and the ratio of the measured to the predicted step."""
    found = measure_two(net, head, args)
    gradients = gradients_of(net, head, args.side, args.width)
    link = fit_link(found.sizes, found.single)
    predicted_buckets = sum(ring_seconds(bucket.size, 2, link) for bucket in gradients.buckets)
    loopback = Cluster("loopback", 2, within=link, between=link, cards_per_node=1)
    overlapped = step_seconds(gradients, found.compute, 2, loopback, "ring")
    serial = found.compute + predicted_buckets
    row = [
        f"{net}, {head}",
        f"{gradients.size / 1e6:,.1f}",
        f"{link.bandwidth / 1e9:.2f}",
        f"{1e3 * predicted_buckets:,.0f}",
        f"{1e3 * found.buckets:,.0f}",
        f"{1e3 * found.compute:,.0f}",
        f"{1e3 * overlapped:,.0f}",
        f"{1e3 * serial:,.0f}",
        f"{1e3 * found.step:,.0f}",
    ]
    return row, found.step / serial


def predictions(gradients: dict[tuple[str, str], Gradients]) -> list[str]:
    """Returns the tables that need no measurement."""
    names = [f"{net}, {head}" for net, head in gradients]
    tables = [
        markdown(
            f"Networks at {PAPER_SIDE} pixels, 1,000 classes",
            [
                *("network, head", "parameters", "gradients MB", "in bf16 MB", "of them FC"),
                *("GMAC per image", "of them FC"),
            ],
            network_rows(gradients),
        )
    ]
    for title, (rate, cluster) in CLUSTERS.items():
        tables.append(
            markdown(
                f"Efficiency in %, ring / hierarchical / hierarchical in bf16: {title}; {BATCH_PER_GPU} images per GPU, "
                f"{100 * REACHED:.0f} % of {rate / 1e12:.0f} TFLOP/s",
                ["GPUs", *names],
                efficiency_rows(gradients, REACHED * rate, cluster, BATCH_PER_GPU),
            )
        )
    return tables


def _setting(args: argparse.Namespace) -> str:
    images = f"{args.batch} image{'s' * (args.batch > 1)} of {args.side} pixels in fp32"
    return images if args.width == 1 else f"{images}, {args.width:g} of the channels"


def measure_alone(settings: Sequence[tuple[str, str]], args: argparse.Namespace) -> str:
    """Measures training steps in this process; returns a table."""
    steps = {key: training_step(built(*key, args), args.batch, args.side) for key in settings}
    sides = {key: functools.partial(seconds_of, step) for key, step in steps.items()}
    seconds = {key: statistics.median(t) for key, t in by_turns(sides, args.repeats).items()}
    return markdown(
        f"A training step on this CPU, {_setting(args)}, one thread",
        ["network, head", "seconds", "images/s"],
        [
            [f"{net}, {head}", f"{took:.3f}", f"{args.batch / took:.2f}"]
            for (net, head), took in seconds.items()
        ],
    )


def main() -> None:
    """Prints the tables, and last the ratio of the measured to the predicted step."""
    parser = argument_parser(__doc__, repeats=5)
    parser.add_argument(
        "--nets", nargs="+", default=["vgg16", "vgg19"], help="VGG variants (%(default)s)"
    )
    parser.add_argument("--batch", type=int, default=4, help="images per CPU process (%(default)s)")
    parser.add_argument(
        "--side", type=int, default=PAPER_SIDE, help="side of the images, pixels (%(default)s)"
    )
    parser.add_argument(
        "--width", type=float, default=1.0, help="factor on the channels (%(default)s)"
    )
    parser.add_argument("--document", type=Path, help="file to write the tables into")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print_header(f"{args.side} pixels, {args.batch} images per process, {args.repeats} repeats")

    settings = [(net, head) for net in args.nets for head in HEADS]
    tables = predictions({key: gradients_of(*key, PAPER_SIDE) for key in settings})
    print("\n".join(tables), flush=True)
    rows, ratios = zip(*[check(net, head, args) for net, head in settings], strict=True)
    title = f"Two processes of one thread on this CPU, {_setting(args)} each; times in ms"
    measured = [measure_alone(settings, args), markdown(title, CHECK_COLUMNS, rows)]
    print("\n".join(["", *measured]), flush=True)
    if args.document:
        put_into(args.document, [*tables, *measured])
    print_closing_line("capacity", ratios[0])


if __name__ == "__main__":
    main()
