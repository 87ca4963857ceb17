"""Whether exported programs compute what the network does, and how long they take.

    runtimes = {"PyTorch": reference, "model.onnx": ExportedModel("model.onnx")}
    rows = compare_runtimes(runtimes, images_BCHW)

Each runtime is a function of uint8 images (B, C, H, W). Shape suffixes: B images, K classes.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

Runtime = Callable[[Tensor], Tensor]

TOLERANCE = 1e-5
"""Of a float32 program, as a share of the largest output, or absolute where all are below 1."""

SECONDS = 2.0
"""How long each batch size is timed, in `LEAST_ROUNDS` at least."""

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class RuntimeComparison:
    """One runtime beside the reference, at one batch size.

    Attributes:
        difference: largest absolute difference of an output from the reference's.
        magnitude: largest absolute output of the reference.
        milliseconds: median time of a batch.
    """

    difference: float
    magnitude: float
    milliseconds: float

    @property
    def is_equal(self) -> bool:
        """Whether the difference is what rounding in float32 makes."""
        return self.difference <= TOLERANCE * max(1.0, self.magnitude)


@dataclass(frozen=True)
class ParityReport:
    """The runtimes beside the first of them, the reference.

    Attributes:
        comparisons: by batch size and runtime.
        accuracies: of each runtime on the test images, in 0..1; empty if they were not looked at.
        test_images: how many there are.
        megabytes: of each program's file.
        threads: each runtime had.
        processor: of this machine.
        packages: versions.
    """

    comparisons: Mapping[int, Mapping[str, RuntimeComparison]]
    accuracies: Mapping[str, float]
    test_images: int
    megabytes: Mapping[str, float]
    threads: int
    processor: str
    packages: Mapping[str, str | None]

    def unequal(self) -> list[str]:
        """The runtimes that differ by more than rounding."""
        pairs = [item for found in self.comparisons.values() for item in found.items()]
        return list(dict.fromkeys(name for name, found in pairs if not found.is_equal))

    def rows(self) -> list[dict[str, str]]:
        """A table with a row a runtime."""
        rows = []
        for name in next(iter(self.comparisons.values())):
            row = {
                "runtime": name,
                "MB": f"{self.megabytes[name]:.2f}" if name in self.megabytes else "",
            }
            for batch, found in self.comparisons.items():
                row[f"difference, batch {batch}"] = f"{found[name].difference:.1e}"
            for batch, found in self.comparisons.items():
                row[f"ms, batch {batch}"] = f"{found[name].milliseconds:.2f}"
            if self.accuracies:
                row["test accuracy"] = f"{100 * self.accuracies[name]:.2f} %"
            rows.append(row)
        return rows

    def remarks(self) -> list[str]:
        """What the columns of the table are."""
        numbers = " and ".join(map(str, self.comparisons))
        remarks = [
            f"Batches of {numbers} random images; difference: the largest of any output; ms: median, "
            f"measured in turns, {self.threads} thread(s) of {self.processor}."
        ]
        if self.accuracies:
            first, *_, last = self.accuracies.items()
            remarks.append(
                f"Accuracy on {self.test_images:,} test images: {last[0]} {100 * (last[1] - first[1]):+.2f} "
                f"points against {first[0]}."
            )
        return remarks

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


def compare_runtimes(
    runtimes: Mapping[str, Runtime], images_BCHW: Tensor
) -> dict[str, RuntimeComparison]:
    """Each runtime against the first, on one batch; timed in turns, so that all see the same machine."""
    with torch.inference_mode():
        outputs = {name: run(images_BCHW) for name, run in runtimes.items()}
        milliseconds = _median_milliseconds(runtimes, images_BCHW)
    reference_BK = next(iter(outputs.values()))
    magnitude = float(reference_BK.abs().max())
    return {
        name: RuntimeComparison(
            difference=float((output_BK - reference_BK).abs().max()),
            magnitude=magnitude,
            milliseconds=milliseconds[name],
        )
        for name, output_BK in outputs.items()
    }


def _median_milliseconds(runtimes: Mapping[str, Runtime], images_BCHW: Tensor) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runtimes}
    start = time.perf_counter()
    rounds = 0  # the caches were warmed by whoever compared the outputs
    while rounds < LEAST_ROUNDS or time.perf_counter() - start < SECONDS:
        for name, run in runtimes.items():
            begin = time.perf_counter()
            run(images_BCHW)
            times[name].append(1000 * (time.perf_counter() - begin))
        rounds += 1
    return {name: statistics.median(values) for name, values in times.items()}


def accuracies(
    runtimes: Mapping[str, Runtime], batches: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> dict[str, float]:
    """The share of images that each runtime names rightly, in 0..1."""
    hits, total = dict.fromkeys(runtimes, 0), 0
    with torch.inference_mode():
        for images_BCHW, labels_B, _ in batches:
            total += len(labels_B)
            for name, run in runtimes.items():
                hits[name] += int((run(images_BCHW).argmax(dim=1) == labels_B).sum())
    return {name: found / total for name, found in hits.items()}
