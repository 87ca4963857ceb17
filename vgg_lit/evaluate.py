"""Evaluates trained runs on their test set or on other data.

python -m vgg_lit.evaluate run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.evaluate run=<run> data=fashion_mnist
python -m vgg_lit.evaluate run=<run> data=image_folder data.root=labelled_photos
python -m vgg_lit.evaluate 'run=[<run>,<run>]' flip=true dense=true 'scales=[32,48,64]'
"""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from vgg_lit.config.checks import check_metrics, check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.locations import Places, asked_places, located
from vgg_lit.config.schema import Data, Evaluate
from vgg_lit.data.custom_groups import is_custom
from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import Trained, find_trained
from vgg_lit.runs import Run
from vgg_lit.shipped_runs import check_outputs, find_networks
from vgg_lit.targets import trust


def evaluate(config: DictConfig, typed: Sequence[str] | None = None) -> dict[str, float]:
    """Prints and records the requested metrics; returns them by name.

    Args:
        config: composed config.
        typed: overrides that composed it; None: those of Hydra.

    Raises:
        InputError: there is no such run or checkpoint, or a network does not support views or data.
    """
    settings = check_section(to_plain(config, without="data"), Evaluate)
    trust(settings.trusted_targets)
    trained = find_trained(find_networks(settings.run, settings.weights), settings.checkpoint)
    check_outputs(trained[0].run)
    from vgg_lit.evaluation.views import asked_views
    from vgg_lit.system.hardware import count_devices

    s = settings
    views = asked_views(s.flip, s.scales, s.dense, s.crops, s.shifts)
    for one in trained:
        one.check_views(views)
    is_own_data = "_target_" not in (config.get("data") or {})
    places = asked_places(config, typed)
    split, data = _data_arguments(config, settings, trained, places, is_own_data)
    count_devices(settings.accelerator)
    check_metrics(settings.metrics or {}, None)
    if not settings.metrics:
        _check_recorded_metrics(trained[0].run)
    # Lightning takes seconds to import, so it is imported after all checks.
    from vgg_lit.evaluation.job import evaluate_networks
    from vgg_lit.evaluation.measured_data import load_measured

    measured = load_measured(trained, data, split, is_own_data)
    return evaluate_networks(
        trained, views, measured, s.accelerator, s.precision, s.metrics, is_own_data
    )


def _check_recorded_metrics(run: Run) -> None:
    """Raises InputError with the path of the file if a metric of the run's config cannot be built."""
    try:
        check_metrics(run.config.get("metrics") or {}, None)
    except InputError as error:
        raise InputError(f"{run.config_file}: {error}") from None


def _data_arguments(
    config: DictConfig,
    settings: Evaluate,
    trained: Sequence[Trained],
    places: Places,
    is_own_data: bool,
) -> tuple[str, dict[str, Any]]:
    """Returns the split and the arguments of the data module; checks its source against every network.

    Images are preprocessed as in the training of the first network.
    """
    from vgg_lit.data.sources import source_of
    from vgg_lit.evaluation.data_choice import checked_split, set_shape

    preprocessing = trained[0].preprocessing
    if is_own_data:
        spec = located(trained[0].run.config, places)["data"]
    else:
        if not is_custom(config.data):
            set_shape(config.data, preprocessing, places.typed)
        spec = to_plain(config)["data"]
        if not is_custom(spec):
            check_section(spec, Data, "data")
    source = source_of(spec)
    split = checked_split(trained, spec, source.get("source"), settings.split, is_own_data)
    size = settings.batch_size or spec["batch_size"]
    own = {"augment": None, "batch_size": size, "preprocessing": preprocessing}
    return split, {**spec, **source, **own}


def main() -> None:
    """Runs the console script `vgg-evaluate`."""
    run_verb(evaluate, "evaluate")


if __name__ == "__main__":
    main()
