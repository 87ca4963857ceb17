"""Measures the time and the test accuracy of the train command over several seeds.

    python benchmarks/seeds.py                                # the quick start
    python benchmarks/seeds.py experiment=compact_vgg16 data=fashion_mnist --seeds 0,1

Each seed is one `python -m vgg_lit.train <settings> seed=<seed>` in a separate process, one after
another. Test accuracy is that of the epoch with the lowest validation loss, or of the last epoch
without validation. Training time is from the start of the fit to the end of the test. Start-up is
from the command to the end of the first step. The last line is the median of the training seconds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from measurement import print_closing_line, print_header, print_table, resolve_device
from train_command import Finished, train

FIGURES = {
    "test accuracy, %": ".2f",
    "training, s": ".1f",
    "start-up to the first step, s": ".1f",
    "training, images/s": ",.0f",
}
"""The figures shown for each run, with their formats."""


def figures(finished: Finished) -> tuple[float, ...]:
    """Returns the `FIGURES` of one run."""
    metrics = finished.run.metrics
    return (
        100 * metrics["test/acc"],
        metrics["seconds"],
        finished.startup,
        finished.images_per_second,
    )


def main() -> None:
    """Prints a line per seed, a table over the seeds, and the median seconds last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="overrides of the train command")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas (%(default)s)")
    args = parser.parse_args()
    settings = " ".join(args.overrides)
    print_header(f"python -m vgg_lit.train {settings}; seeds {args.seeds}", resolve_device("auto"))

    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in args.seeds.split(","):
            runs.append(figures(train(Path(folder, seed), *args.overrides, f"seed={seed}")))
            shown = (
                f"{name} {value:{digits}}"
                for (name, digits), value in zip(FIGURES.items(), runs[-1], strict=True)
            )
            print(f"seed {seed}: {'; '.join(shown)}", flush=True)
    rows = []
    for (name, digits), values in zip(FIGURES.items(), zip(*runs, strict=True), strict=True):
        statistics_ = (statistics.mean(values), statistics.median(values), min(values), max(values))
        rows.append([name, *(f"{value:{digits}}" for value in statistics_)])
    print_table(f"{len(runs)} seeds", ["", "mean", "median", "min", "max"], rows)
    print_closing_line("seeds", statistics.median(run[1] for run in runs))


if __name__ == "__main__":
    main()
