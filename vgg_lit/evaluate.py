"""Evaluates a trained run on its own test set, or on other data with the same classes.

python -m vgg_lit.evaluate run=logs/runs/vgg11_bn/2026-01-31_12-00-00_1f3a
python -m vgg_lit.evaluate run=<run> data=fashion_mnist
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vgg_lit.checkpoints import read_checkpoint
from vgg_lit.command import run_verb
from vgg_lit.config import Data, Evaluate, check, to_plain
from vgg_lit.errors import InputError
from vgg_lit.files import write_text
from vgg_lit.runs import Run
from vgg_lit.tables import print_facts, print_metrics
from vgg_lit.targets import instantiate, trust

if TYPE_CHECKING:
    from vgg_lit.data.sources import Source


def evaluate(config: DictConfig) -> dict[str, float]:
    """Prints and records the metrics of a run's checkpoint; returns them by name.

    Raises:
        InputError: no such run or checkpoint, or data that do not fit it.
    """
    settings = check(to_plain(config, without="data"), Evaluate)
    trust(settings.trusted_targets)
    run = Run(settings.run)
    checkpoint = run.checkpoint(settings.checkpoint)
    hyperparameters = read_checkpoint(checkpoint)["hyper_parameters"]
    spec = _data_spec(config, settings, run, hyperparameters)

    # What can be wrong with the command has been said: now Lightning, which takes seconds.
    import lightning.pytorch as L

    from vgg_lit.classifier import Classifier
    from vgg_lit.hardware import resolve_precision
    from vgg_lit.trainer import quieten_lightning

    quieten_lightning()
    classifier = Classifier.load_from_checkpoint(checkpoint)
    datamodule = instantiate(spec, key="data")
    precision, reason = resolve_precision(
        settings.precision or run.config["trainer"]["precision"], settings.accelerator
    )
    print_facts(
        {
            "checkpoint": str(checkpoint),
            "data": f"{datamodule.source.name}, {settings.split}",
            "precision": f"{precision} ({reason})",
        }
    )
    trainer = L.Trainer(
        accelerator=settings.accelerator,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    verb = trainer.test if settings.split == "test" else trainer.validate
    verb(classifier, datamodule=datamodule, verbose=False)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    print_metrics(metrics, title=f"{run.path.name} on {datamodule.source.name}")
    record = {"checkpoint": str(checkpoint), "precision": precision, "metrics": metrics}
    file = run.path / "evaluations" / f"{datamodule.source.name}_{settings.split}.json"
    write_text(file, json.dumps(record, indent=2) + "\n")
    print_facts({"written": str(file)})
    return metrics


def _data_spec(
    config: DictConfig, settings: Evaluate, run: Run, hyperparameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The `data` group to evaluate on, with its source built and its classes checked.

    The images are brought to the input that the run was trained with.
    """
    from vgg_lit.data.preprocessing import Preprocessing

    preprocessing = Preprocessing.from_dict(hyperparameters["preprocessing"])
    if OmegaConf.select(config, "data") is None:
        spec = run.config["data"]
    else:
        # A folder of images is decoded as the run's images were.
        OmegaConf.update(config, "data.image_size", preprocessing.source_size)
        OmegaConf.update(config, "data.in_channels", preprocessing.in_channels)
        spec = to_plain(config)["data"]
        check(spec, Data, "data")
    if settings.split == "val" and not spec["val_fraction"]:
        raise InputError("split=val: data.val_fraction=0 leaves no validation split; allowed: test")
    source = instantiate(spec["source"], key="data.source")
    _check_classes(tuple(hyperparameters["classes"]), source)
    return {name: value for name, value in spec.items() if name != "root"} | {
        "source": source,
        "batch_size": settings.batch_size or spec["batch_size"],
        "augment": None,
        "preprocessing": preprocessing,
    }


def _check_classes(of_run: tuple[str, ...], source: "Source") -> None:
    of_data = source.classes
    if of_run == of_data:
        return
    only_run = [name for name in of_run if name not in of_data][:3]
    only_data = [name for name in of_data if name not in of_run][:3]
    raise InputError(
        f"data={source.name}: its {len(of_data)} classes are not the run's {len(of_run)}"
        f" (only in the run: {', '.join(only_run) or 'none'};"
        f" only in the data: {', '.join(only_data) or 'none'}); the same in the same order are needed"
    )


def main() -> None:
    """The console script `vgg-evaluate`."""
    run_verb(evaluate, "evaluate")


if __name__ == "__main__":
    main()
