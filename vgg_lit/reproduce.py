"""Trains a run again from its config and compares the results.

python -m vgg_lit.reproduce run=logs/runs/vgg13_bn_slim/2026-01-31_12-00-00_1f3a
python -m vgg_lit.reproduce run=downloads/a_run data_root=/datasets
python -m vgg_lit.reproduce run=downloads/a_run 'changes={trainer.devices:2}'
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.command import run_verb
from vgg_lit.config.locations import asked_places, located
from vgg_lit.config.schema import Reproduce
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.reports.training_again import (
    REPRODUCTION,
    changes_of_resumes,
    check_same_data,
    checked_config,
    train_again,
)
from vgg_lit.runs import Run
from vgg_lit.system.files import check_names, check_writable, write_text
from vgg_lit.system.terminal import warn
from vgg_lit.tables import print_facts
from vgg_lit.targets import trust


def reproduce(config: DictConfig) -> None:
    """Trains in a separate process, compares, and writes `reproduction.json` into the new run.

    Raises:
        InputError: there is no such run, it is not finished or damaged, or its config cannot be used here.
        TrainingError: the training failed, or its result differs.
    """
    # imports torch
    from vgg_lit.reports.reproduction import Reproduction, check_original, write_reproduction

    settings = check_section(to_plain(config), Reproduce)
    trust(settings.trusted_targets)  # the data of a custom set are compared here
    original = Run(settings.run)
    status = original.status.get("status")
    if status != "done":
        raise InputError(f"run={settings.run}: is not finished (status: {status or 'none'})")
    output = Path(settings.output)
    if (output / "config.yaml").exists():
        raise InputError(f"output={output}: already holds a run; choose another directory")
    check_writable(output, f"output={output}")
    check_names(output, [REPRODUCTION])
    if changed := changes_of_resumes(original):
        warn(
            f"run={settings.run}: was resumed with {' '.join(changed)}; the repetition uses the "
            "last settings from its start, so that its result may differ"
        )
    with TemporaryDirectory() as folder:
        # The run's own file is not used: Hydra would apply a `defaults` list or a `hydra` section in it.
        placed = located(checked_config(original), asked_places(config))
        check_same_data(original, placed)
        text = OmegaConf.to_yaml(OmegaConf.create(placed))
        write_text(Path(folder) / "config.yaml", text)
        check_original(original)
        train_again(original, Path(folder), output, settings)

    reproduction = Reproduction(original, Run(output))
    write_reproduction(reproduction, output)
    if not reproduction.is_exact:
        metric, move = reproduction.largest_move()
        raise TrainingError(
            f"{output} differs from {original.path}: {metric} changed by {move:.3g}; differing settings and versions: "
            f"{', '.join(reproduction.causes) or 'none recorded'}"
        )
    compared = "weights and metrics" if reproduction.weights else "metrics, without checkpoints,"
    print_facts({"result": f"{compared} are bit-identical to those of {original.path}"})


def main() -> None:
    """Runs the console script `vgg-reproduce`."""
    run_verb(reproduce, "reproduce", needs_output=False)


if __name__ == "__main__":
    main()
