"""Trains a finished run again from its own config and says whether it comes to the same.

python -m vgg_lit.reproduce run=logs/runs/vgg13_bn_slim/2026-01-31_12-00-00_1f3a
python -m vgg_lit.reproduce run=downloads/a_run data_root=/datasets
python -m vgg_lit.reproduce run=downloads/a_run changes={trainer.devices:2}
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from vgg_lit.command import run_verb
from vgg_lit.config import check, to_plain
from vgg_lit.errors import InputError, TrainingError
from vgg_lit.files import write_text
from vgg_lit.runs import Run
from vgg_lit.schema import Reproduce, Train
from vgg_lit.tables import print_facts, print_rows

if TYPE_CHECKING:
    from vgg_lit.comparing.reproduction import Reproduction

MOST_ROWS = 20
"""Of a table of metrics; the file has all of them."""


def reproduce(config: DictConfig) -> None:
    """Trains in a process of its own, compares, and writes `reproduction.json` into the new run.

    Raises:
        InputError: there is no such run, it is not finished, or its config cannot be used here.
        TrainingError: the training failed, or came to something else.
    """
    settings = check(to_plain(config), Reproduce)
    original = Run(settings.run)
    status = original.status.get("status")
    if status != "done":
        raise InputError(f"run={settings.run}: is not finished, but {status or 'without a status'}")
    output = Path(settings.output)
    if (output / "config.yaml").exists():
        raise InputError(f"output={output}: holds a run already; name another directory")
    with TemporaryDirectory() as folder:
        # Not the run's own file: Hydra runs what a stranger's names in its head or a section of Hydra's.
        text = OmegaConf.to_yaml(OmegaConf.create(_checked_config(original)))
        write_text(Path(folder) / "config.yaml", text)
        _train(original, Path(folder), output, settings)

    from vgg_lit.comparing.reproduction import Reproduction

    reproduction = Reproduction(original, Run(output))
    _report(reproduction, output)
    if not reproduction.is_exact:
        metric, move = reproduction.largest_move()
        raise TrainingError(
            f"{output} is not {original.path} to the bit: {metric} moved by {move:.3g}; what differs: "
            f"{', '.join(reproduction.causes) or 'nothing that is recorded'}"
        )
    print_facts({"same": f"weights and metrics are those of {original.path}, to the bit"})


def _checked_config(run: Run) -> dict[str, Any]:
    """The config of a run, which has the keys of a training's and values alone.

    Raises:
        InputError: it does not.
    """
    config = run.config
    try:
        check(config, Train)
    except InputError as error:
        raise InputError(f"{run.config_file}: {error}") from error
    if "${" in json.dumps(config):
        raise InputError(
            f"{run.config_file}: refers to values by ${{...}}, as no run's config does"
        )
    return config


def _train(original: Run, folder: Path, output: Path, settings: Reproduce) -> None:
    """Runs the train command on the config in `folder`, with as many threads as the run had.

    Raises:
        InputError, TrainingError: as the command ended; it has said why.
    """
    overrides = {
        **(settings.changes or {}),
        "hydra.run.dir": str(output),
        "hydra/job_logging": "stdout",
        "hydra.output_subdir": None,
        "hydra.job.chdir": False,
        "resume": None,
        "data_root": settings.data_root,
        "trusted_targets": settings.trusted_targets,
    }
    if settings.data_root is None:
        del overrides["data_root"]
    elif "root" in original.config["data"]:
        overrides |= {"data.root": settings.data_root, "data.source.root": settings.data_root}
    command = [sys.executable, "-m", "vgg_lit.train"]
    command += ["--config-path", str(folder), "--config-name", "config"]
    command += [f"{key}={_typed(value)}" for key, value in overrides.items()]
    threads = {"OMP_NUM_THREADS": str(_threads(original))} if _threads(original) else {}
    code = subprocess.run(command, env={**threads, **os.environ}, check=False).returncode
    if code == 2:
        raise InputError(f"run={original.path}: its config cannot be used here, as said above")
    if code:
        raise TrainingError(f"{output}: training ended with exit code {code}")


def _typed(value: Any) -> str:
    """A value as Hydra's command line takes it."""
    if isinstance(value, str):
        return str(QuotedString(value, Quote.single).with_quotes())
    return json.dumps(value)


def _threads(run: Run) -> int | None:
    file = run.path / "environment.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    threads = content.get("cpu_threads")
    return threads if isinstance(threads, int) else None


def _report(reproduction: "Reproduction", output: Path) -> None:
    """Prints what differs and writes it down."""
    for title, differences in (
        ("settings", reproduction.settings),
        ("environment", reproduction.environment),
        ("metrics", reproduction.metrics),
    ):
        if differences:
            rows = [
                {title: name, "then": _text(then), "now": _text(now)}
                for name, (then, now) in list(differences.items())[:MOST_ROWS]
            ]
            print_rows(rows, f"{len(differences)} differences in {title}")
    weights: Mapping[str, Any] = {name: vars(found) for name, found in reproduction.weights.items()}
    facts = {
        f"{name}.ckpt": "the same"
        if not found.differing
        else f"{found.differing} of {found.tensors} tensors differ, by {found.distance:.3g} at most"
        for name, found in reproduction.weights.items()
    }
    record = {
        "is_exact": reproduction.is_exact,
        "weights": weights,
        "metrics": reproduction.metrics,
        "settings": reproduction.settings,
        "environment": reproduction.environment,
    }
    file = output / "reproduction.json"
    write_text(file, json.dumps(record, indent=2) + "\n")
    print_facts({**facts, "written": str(file)})


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value)


def main() -> None:
    """The console script `vgg-reproduce`."""
    run_verb(reproduce, "reproduce")


if __name__ == "__main__":
    main()
