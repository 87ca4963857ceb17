"""The loggers of a run: TensorBoard, CSV files, and services such as W&B and MLflow.

    loggers = build_loggers(config["logger"], path, tags=config["tags"])
    record_start(loggers, config, path)              # config, name and tags of the run
    record_end(loggers, config, metrics, path)       # hyperparameters with final metrics, figures

`loggers.json` in the run directory holds the run's identity at each service; a resumed run continues there.
Without an account, a service that can write offline does so.
"""

import inspect
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf

from vgg_lit.callbacks.event_logger import chart_name
from vgg_lit.config.differences import flattened
from vgg_lit.errors import ConfigError, InputError, one_line
from vgg_lit.run_selection import run_label
from vgg_lit.system.files import write_json
from vgg_lit.system.markdown import markdown_block
from vgg_lit.system.recorded_overrides import RecordedOverrides
from vgg_lit.system.small_files import read_json
from vgg_lit.system.terminal import visible
from vgg_lit.tables import read_csv
from vgg_lit.targets import instantiate, locate
from vgg_lit.training.services import SERVICES, Service, arguments_of, online_or_offline

FINAL = ("val/acc", "val/loss", "test/acc", "test/loss", "seconds")
"""Metrics that are logged together with the hyperparameters."""

MAIN = ("seed", "model.variant", "optimizer.lr", "data.batch_size", "trainer.max_epochs")
"""Settings that are hyperparameters of every run in TensorBoard."""

NOT_COMPARED = ("callbacks", "logger", "name", "tags", "data_root", "trusted_targets", "test")
"""Sections and settings that do not change a result."""

KEY = re.compile(r"[\w./@~-]+")
"""The key of an override; other lines of a damaged `overrides.txt` are passed over."""

RECORD = "loggers.json"
"""File of the run directory with the identity of the run at each service."""


def build_loggers(
    specs: Mapping[str, Mapping[str, Any] | None],
    path: Path,
    first_step: int = 0,
    tags: Sequence[str] = (),
) -> list[Logger]:
    """Builds the loggers of a config, which write into the run directory.

    TensorBoard and the CSV logger discard earlier values from `first_step` on.

    Raises:
        ConfigError: a package is missing, or a logger rejects a value.
    """
    identities = read_json(path / RECORD, dict[str, dict[str, str]])
    loggers = []
    for name, spec in specs.items():
        if spec is None:
            continue
        key = f"logger.{name}"
        options: dict[str, Any] = {}
        if service := SERVICES.get(str(spec.get("_target_"))):
            if find_spec(service.module) is None:
                raise ConfigError(f"{key}: needs {service.module}: {service.install}")
            spec = online_or_offline(spec)
            options |= arguments_of(service, spec, path, tags, identities.get(name))
        kind = locate(str(spec.get("_target_")), key=key)
        if "save_dir" in inspect.signature(kind).parameters and "save_dir" not in spec:
            options["save_dir"] = str(path)
        if first_step and isinstance(kind, type) and issubclass(kind, TensorBoardLogger):
            options["purge_step"] = first_step
        earlier = _earlier_rows(spec, path, first_step) if kind is CSVLogger else []
        logger = build_part(spec, key, Logger, **options)
        if earlier:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*log files in this directory will be")
                rows = logger.experiment.metrics
            if isinstance(rows, list):  # only the main process has a file
                rows.extend(earlier)
        loggers.append(logger)
    return loggers


def _earlier_rows(spec: Mapping[str, Any], path: Path, first_step: int) -> list[dict[str, str]]:
    """Returns the rows of a CSV logger before a step; Lightning removes its file when it starts."""
    version = spec.get("version")
    version = f"version_{version}" if isinstance(version, int) else str(version)
    folder = Path(spec.get("save_dir") or path) / str(spec.get("name") or "") / version
    rows = read_csv(folder / "metrics.csv") if first_step else []
    if not all(row.get("step", "").isdecimal() for row in rows):
        raise InputError(f"{folder / 'metrics.csv'}: cannot be read: a row has no step")
    earlier = [row for row in rows if int(row["step"]) < first_step]
    return [{name: value for name, value in row.items() if value} for row in earlier]


def build_part(spec: Mapping[str, Any], key: str, kind: type, **runtime: Any) -> Any:
    """Instantiates a spec; reports Lightning's errors in one line.

    Raises:
        ConfigError: Lightning rejects a value, a package is missing, or the object has another type.
    """
    try:
        made = instantiate(spec, key=key, **runtime)
    except (MisconfigurationException, ImportError) as error:
        raise ConfigError(f"{key}: {one_line(error)}") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{key}._target_={spec['_target_']}: not a {kind.__name__}")
    return made


LAYOUT = {
    "training": {
        "accuracy": ["Multiline", ["^train/acc$", "^val/acc$"]],
        "loss": ["Multiline", ["^train/loss$", "^val/loss$"]],
        "learning rate": ["Multiline", ["^(train/)?lr"]],
    },
    "speed": {
        "images per second": ["Multiline", ["^(train/)?throughput/images_per_second$"]],
        "shares": ["Multiline", ["^(train/)?throughput/(data_wait|ceiling_fraction)$"]],
    },
}
"""Charts of TensorBoard's tab Custom Scalars: training and validation in one chart, accuracy first.

Lightning's own logger has no `train/` before the last three.
"""

NORMS = {
    "weights": {
        "gradient norm": ["Multiline", ["^weight_gradient_norm/"]],
        "weight norm": ["Multiline", ["^weight_norm/"]],
    },
}
"""The charts of the callback `tensorboard`."""


def record_start(loggers: Sequence[Logger], config: Mapping[str, Any], path: Path) -> None:
    """Logs config, name and tags of a run, and stores its identity at each service.

    Only the main process calls it.
    """
    identities: dict[str, dict[str, str]] = {}
    for name, service, logger in _with_services(loggers, config):
        if isinstance(logger, TensorBoardLogger):
            text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
            logger.experiment.add_text("config", markdown_block(text, "yaml"))
            has_norms = "tensorboard" in (config.get("callbacks") or {})
            logger.experiment.add_custom_scalars(LAYOUT | (NORMS if has_norms else {}))
            continue
        parameters = {"run": run_label(path), **config}
        if service and service.module == "mlflow":
            parameters = _new_parameters(logger, parameters)
        if service and service.module == "aim":
            for tag in config.get("tags") or []:
                logger.experiment.add_tag(tag)  # type: ignore[attr-defined]
        logger.log_hyperparams(parameters)
        if service and logger.version is not None:
            target = config["logger"][name]["_target_"]
            identities[name] = {"_target_": target, "id": str(logger.version)}
    if identities:
        write_json(path / RECORD, identities)


def _new_parameters(logger: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters that an MLflow run does not have yet; it refuses to change one.

    Changed values of a resumed run become tags.
    """
    client, run = logger.experiment, logger.run_id
    client.update_run(run, status="RUNNING")
    there = client.get_run(run).data.params
    flat = dict(flattened(parameters, "/"))
    for name, value in flat.items():
        if name in there and there[name] != str(value)[: len(there[name]) or None]:
            client.set_tag(run, f"resumed/{name}", str(value))
    return {name: value for name, value in flat.items() if name not in there}


def record_end(
    loggers: Sequence[Logger],
    config: Mapping[str, Any],
    metrics: Mapping[str, float],
    path: Path,
    step: int,
) -> None:
    """Logs hyperparameters with final metrics, and the figures of the run to services.

    Only the main process calls it.
    """
    final = {f"final/{name}": metrics[name] for name in _final(config, metrics)}
    for _, service, logger in _with_services(loggers, config):
        if isinstance(logger, TensorBoardLogger):
            shown = {chart_name(name): value for name, value in final.items()}
            logger.log_hyperparams(_hyperparameters(config, path), shown, step)
            logger.save()
            continue
        logger.log_metrics(final, step=step)
        for figure in sorted((path / "figures").glob("*.png")) if service else ():
            assert service
            service.send_figure(logger, figure)
        logger.save()
        logger.finalize("success")
        if service and service.module == "wandb":
            logger.experiment.finish()  # type: ignore[attr-defined]


def _final(config: Mapping[str, Any], metrics: Mapping[str, float]) -> list[str]:
    extra = {name for name, spec in (config.get("metrics") or {}).items() if spec is not None}
    named = [
        name for name in metrics if "/" in name and name.split("/")[1] in extra | {"objective_loss"}
    ]
    return [name for name in (*FINAL, *named) if name in metrics]


def _hyperparameters(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Returns the main settings and those that were typed, by key.

    TensorBoard shows a column for each, also if it is the same in all runs; the tab Text has all settings.
    """
    recorded = RecordedOverrides(path)
    pairs = [
        override.lstrip("+").partition("=")
        for override in (*recorded.begun_with, *recorded.resumed_with)
        if "=" in override
    ]
    typed = {key: value for key, _, value in pairs if KEY.fullmatch(key)}
    left_out = {key for key in typed if key.partition(".")[0] in NOT_COMPARED}
    left_out |= {"model.variant"} if "model" in typed else set()  # the same as the typed option
    found: dict[str, Any] = {}
    settings = dict(flattened(config))
    for key in dict.fromkeys((*MAIN, *typed)):
        value = settings.get(key)
        if value is None:  # a section, null, or a key that the config does not have
            value = typed.get(key)
        if value is not None and key not in left_out:
            found[key] = value if isinstance(value, bool | int | float) else visible(str(value))
    return found


def _with_services(
    loggers: Sequence[Logger], config: Mapping[str, Any]
) -> list[tuple[str, Service | None, Logger]]:
    """Returns the name, service and object of each logger; empty if the Trainer has replaced them."""
    specs = {name: spec for name, spec in (config.get("logger") or {}).items() if spec}
    if len(specs) != len(loggers):
        return []
    found = zip(specs.items(), loggers, strict=True)
    return [(name, SERVICES.get(spec["_target_"]), logger) for (name, spec), logger in found]


def inspection_commands(loggers: Sequence[Logger], config: Mapping[str, Any]) -> dict[str, str]:
    """Returns commands that show a finished run at local or offline services, by name."""
    commands = {}
    for name, service, logger in _with_services(loggers, config):
        if (
            service
            and service.module == "mlflow"
            and (uri := config["logger"][name].get("tracking_uri"))
        ):
            commands[name] = (
                uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}"
            )
        if service and service.module == "wandb" and logger._offline:  # type: ignore[attr-defined]
            commands[name] = f"wandb sync {logger.save_dir}/wandb/offline-run-*"
    return commands
