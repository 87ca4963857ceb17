"""Experiment trackers: their packages, the arguments of their loggers, and the choice to write offline."""

import netrc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from vgg_lit.run_selection import run_label


@dataclass(frozen=True)
class Service:
    """An experiment tracker, and the arguments of its Lightning logger.

    Attributes:
        module: import name of its package.
        install: remedy if the package is missing.
        name: argument for the name of the run.
        identity: argument that continues a run; the logger's `version` is its value.
        tags: argument for a list of tags; empty if there is none.
        send_figure: logs a PNG file.
    """

    module: str
    install: str
    name: str
    identity: str
    tags: str
    send_figure: Callable[[Any, Path], Any]


def _aim_image(logger: Any, file: Path) -> None:
    from aim import Image

    logger.experiment.track(Image(str(file)), name=file.stem)


SERVICES = {
    "lightning.pytorch.loggers.WandbLogger": Service(
        "wandb",
        'pip install "vgg_lit[wandb]"',
        name="name",
        identity="id",
        tags="tags",
        send_figure=lambda logger, file: logger.log_image(file.stem, [str(file)]),
    ),
    "lightning.pytorch.loggers.MLFlowLogger": Service(
        "mlflow",
        'pip install "vgg_lit[mlflow]"',
        name="run_name",
        identity="run_id",
        tags="tags",
        send_figure=lambda logger, file: logger.experiment.log_artifact(
            logger.run_id, str(file), "figures"
        ),
    ),
    "lightning.pytorch.loggers.CometLogger": Service(
        "comet_ml",
        "pip install comet-ml",
        name="name",
        identity="experiment_key",
        tags="tags",
        send_figure=lambda logger, file: logger.experiment.log_image(str(file), name=file.stem),
    ),
    "aim.pytorch_lightning.AimLogger": Service(
        "aim",
        "pip install aim",
        name="run_name",
        identity="run_hash",
        tags="",
        send_figure=_aim_image,
    ),
}
"""The services, by the `_target_` of their loggers. Any other Lightning logger works without these extras."""


def arguments_of(
    service: Service,
    spec: Mapping[str, Any],
    path: Path,
    tags: Sequence[str],
    identity: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Returns the arguments that the config of a service does not set."""
    options: dict[str, Any] = {service.name: run_label(path)}
    if identity and identity.get("_target_") == spec["_target_"] and "id" in identity:
        options[service.identity] = identity["id"]
    if tags and service.tags:
        is_mlflow = service.module == "mlflow"  # its tags are names with values
        options[service.tags] = dict.fromkeys(tags, "true") if is_mlflow else list(tags)
    if service.module == "mlflow":
        options |= _sqlite_folder(str(spec.get("tracking_uri") or ""))
    if service.module == "comet_ml":
        options["offline_directory"] = str(path / "comet")
    return {name: value for name, value in options.items() if spec.get(name) is None}


def _sqlite_folder(uri: str) -> dict[str, Any]:
    """Returns the folder of MLflow's files beside a SQLite database, whose folder is created."""
    if not uri.startswith("sqlite:///"):
        return {}
    folder = Path(uri.removeprefix("sqlite:///")).absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    return {"artifact_location": (folder / "mlflow_artifacts").as_uri()}


def online_or_offline(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a service that writes offline if the choice is open and there is no account."""
    found = dict(spec)
    kind = str(spec["_target_"]).rpartition(".")[2]
    if kind == "WandbLogger" and spec.get("offline", False) is None:
        mode = os.environ.get("WANDB_MODE")
        url = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")
        has_account = bool(os.environ.get("WANDB_API_KEY")) or _is_in_netrc(url)
        found["offline"] = mode in ("offline", "dryrun") or (not mode and not has_account)
    if kind == "CometLogger" and spec.get("online", True) is None:
        del found["online"]
        config = Path(os.path.expanduser(os.environ.get("COMET_CONFIG", "~/.comet.config")))
        if not os.environ.get("COMET_API_KEY") and not config.is_file():
            # Lightning's online=False disables the logger, so Comet receives it from here.
            os.environ.setdefault("COMET_START_ONLINE", "false")
    return {name: value for name, value in found.items() if value is not None}


def _is_in_netrc(url: str) -> bool:
    try:
        host = str(urlparse(url).hostname)
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, ValueError, netrc.NetrcParseError):  # ValueError: no address, or not UTF-8
        return False
