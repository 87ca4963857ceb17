"""Evaluates trained runs on their test set or on other data.

python -m vgg_lit.evaluate run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.evaluate run=<run> data=fashion_mnist
python -m vgg_lit.evaluate 'run=[<run>,<run>]' flip=true dense=true 'scales=[32,48,64]'
"""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vgg_lit.config.checks import check_metrics, check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.schema import Data, Evaluate
from vgg_lit.data.custom_groups import is_custom
from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import Trained, find_trained, has_validation_split
from vgg_lit.shipped_runs import check_outputs, find_networks
from vgg_lit.targets import trust


def evaluate(config: DictConfig) -> dict[str, float]:
    """Prints and records the requested metrics; returns them by name.

    Raises:
        InputError: there is no such run or checkpoint, a network does not support the views, or the
            networks do not support the data.
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
    data = _data_arguments(config, settings, trained)
    count_devices(settings.accelerator)
    check_metrics(settings.metrics or trained[0].run.config.get("metrics") or {}, None)
    # Lightning takes seconds to import, so it is imported after all checks.
    from vgg_lit.evaluation.job import evaluate_networks

    return evaluate_networks(
        trained,
        views,
        data,
        settings.split,
        settings.accelerator,
        settings.precision,
        settings.metrics,
        is_own_data=OmegaConf.select(config, "data") is None,
    )


def _data_arguments(
    config: DictConfig, settings: Evaluate, trained: Sequence[Trained]
) -> dict[str, Any]:
    """Returns the arguments of the data module; checks its source against every network.

    Images are preprocessed as in the training of the first network.
    """
    from vgg_lit.data.sources import source_of

    preprocessing = trained[0].preprocessing
    if OmegaConf.select(config, "data") is None:
        spec = trained[0].run.config["data"]
        for one in trained[1:] if settings.split == "val" else ():
            one.check_validation(spec)
    else:
        if not is_custom(config.data):
            # Decode a folder of images to the size, channels and fit of the run's images.
            OmegaConf.update(config, "data.image_size", preprocessing.source_size)
            OmegaConf.update(config, "data.in_channels", preprocessing.in_channels)
            OmegaConf.update(config, "data.fit", preprocessing.fit)
        spec = to_plain(config)["data"]
        if not is_custom(spec):
            check_section(spec, Data, "data")
    if settings.split == "val" and not has_validation_split(spec):
        raise InputError("split=val: data.val_fraction=0 leaves no validation split; allowed: test")
    source = source_of(spec)
    for one in trained if source else ():
        one.check_source(source["source"])
    size = settings.batch_size or spec["batch_size"]
    own = {"augment": None, "batch_size": size, "preprocessing": preprocessing}
    return {**spec, **source, **own}


def main() -> None:
    """Runs the console script `vgg-evaluate`."""
    run_verb(evaluate, "evaluate")


if __name__ == "__main__":
    main()
