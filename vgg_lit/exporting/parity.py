"""Comparison of exported programs with the network: outputs, accuracy and latency.

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
"""Tolerance of a float32 program: relative to the largest output, absolute if all outputs are below 1."""

SECONDS = 2.0
"""Minimum time to measure each batch size, for at least `LEAST_ROUNDS` rounds."""

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class RuntimeComparison:
    """One runtime compared with the reference at one batch size.

    Attributes:
        difference: largest absolute difference of an output from the reference.
        magnitude: largest absolute output of the reference.
        milliseconds: median time of a batch.
    """

    difference: float
    magnitude: float
    milliseconds: float

    @property
    def is_equal(self) -> bool:
        """Returns True if the difference is within float32 rounding."""
        return self.difference <= TOLERANCE * max(1.0, self.magnitude)


@dataclass(frozen=True)
class ParityReport:
    """The runtimes compared with the first one, the reference.

    Attributes:
        comparisons: comparisons by batch size and runtime.
        accuracies: accuracy of each runtime on the test images, in 0..1; empty if not measured.
        test_images: number of test images.
        megabytes: size of each program's file.
        threads: number of threads of each runtime.
        processor: name of the CPU.
        packages: versions of packages by name.
    """

    comparisons: Mapping[int, Mapping[str, RuntimeComparison]]
    accuracies: Mapping[str, float]
    test_images: int
    megabytes: Mapping[str, float]
    threads: int
    processor: str
    packages: Mapping[str, str | None]

    def unequal(self) -> list[str]:
        """Returns the runtimes that differ by more than rounding."""
        pairs = [item for found in self.comparisons.values() for item in found.items()]
        return list(dict.fromkeys(name for name, found in pairs if not found.is_equal))

    def rows(self) -> list[dict[str, str]]:
        """Returns a table with one row per runtime."""
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
        """Returns sentences that explain the columns of the table."""
        numbers = " and ".join(map(str, self.comparisons))
        remarks = [
            f"Measured with batches of {numbers} random images. Difference: largest absolute difference of "
            "an output from PyTorch. ms: median time of a batch with "
            f"{self.threads} thread{'s' * (self.threads > 1)} on {self.processor}; the programs take turns."
        ]
        if self.accuracies:
            first, *_, last = self.accuracies.items()
            remarks.append(
                f"Accuracy on {self.test_images:,} test images: {last[0]} differs from {first[0]} by "
                f"{100 * (last[1] - first[1]):+.2f} percentage points."
            )
        return remarks

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        return asdict(self)


def compare_runtimes(
    runtimes: Mapping[str, Runtime], images_BCHW: Tensor
) -> dict[str, RuntimeComparison]:
    """Compares each runtime with the first on one batch; timed in turns, so that the load is the same."""
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
    rounds = 0  # the comparison of outputs has warmed the caches
    while rounds < LEAST_ROUNDS or time.perf_counter() - start < SECONDS:
        for name, run in runtimes.items():
            begin = time.perf_counter()
            run(images_BCHW)
            times[name].append(1000 * (time.perf_counter() - begin))
        rounds += 1
    return {name: statistics.median(values) for name, values in times.items()}


def as_uint8(images_BCHW: Tensor) -> Tensor:
    """Returns pixels in 0..255 as uint8; a custom data module may give float ones."""
    return images_BCHW.round().clamp(0, 255).to(torch.uint8)


def accuracies(
    runtimes: Mapping[str, Runtime], batches: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> dict[str, float]:
    """Returns the accuracy of each runtime, in 0..1."""
    hits, total = dict.fromkeys(runtimes, 0), 0
    with torch.inference_mode():
        for images_BCHW, labels_B, _ in batches:
            images_BCHW = as_uint8(images_BCHW)
            total += len(labels_B)
            for name, run in runtimes.items():
                hits[name] += int((run(images_BCHW).argmax(dim=1) == labels_B).sum())
    return {name: found / total for name, found in hits.items()}
