"""Refused command lines: formats the errors of Hydra and OmegaConf as one line with the allowed values."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from vgg_lit.config.command_line import value_of_flag
from vgg_lit.config.group_options import BASES, config_folder, groups_of
from vgg_lit.config.known_keys import known_keys, known_options
from vgg_lit.config.near_matches import hint, nearest_key, nearest_option
from vgg_lit.config.setting_rows import takes_list
from vgg_lit.data.image_formats import ENDINGS
from vgg_lit.errors import InputError, disk_error, one_line, path_error
from vgg_lit.system.operating_system import quoted
from vgg_lit.system.overrides import shell_words

FLAGS = (
    *("--help", "--cfg", "--resolve", "--package", "--run", "--multirun", "--info", "--version"),
    *("--config-dir", "--config-name", "--config-path", "--shell-completion", "--hydra-help"),
    "--experimental-rerun",
)
"""Hydra's long flags."""

SHORT = ("-h", "-c", "-p", "-r", "-m", "-i", "-s")
"""The beginnings of Hydra's short flags."""

WITH_VALUE = {
    *("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--config-name", "-cn"),
    *("--config-path", "-cp", "--info", "-i", "--experimental-rerun"),
}
"""Flags that the next argument belongs to."""

OWN_FOLDER = "conf"
"""Folder in which projects keep their configs, see docs/extending.md."""

NO_GROUP = r"In '([^']+)': (?:Could not override|Invalid Defaults List override) '/?(\w+)"
"""Message of Hydra 1.3 or 1.4 for an `override` of a group that a config lacks."""

QUOTABLE = re.compile(r"""([A-Za-z_][\w.]*)=(?!\w+\()([^\[{('"].*)""", re.ASCII)
"""A value that is no list, mapping or function, and has no quotes around it."""

LAUNCHERS = {"hydra_submitit_launcher": "slurm", "hydra_ray_launcher": "ray"}
"""Packages of third-party launchers, and the extras of this package that install them."""


def explain_refusal(error: Exception, config_name: str, arguments: Sequence[str]) -> str:
    """Formats an error of Hydra as one line, with the allowed keys or files.

    Args:
        error: error of Hydra or of a config.
        config_name: name of the composed config.
        arguments: arguments of the command line.
    """
    message = one_line(error)
    if problem := path_error(error):
        return problem
    if cause := disk_error(error):
        remedy = "hydra.run.dir=<folder> (with -m: hydra.sweep.dir) names another place"
        return f"{cause.filename or 'disk'}: cannot be created ({cause.strerror}); {remedy}"
    if isinstance(error, AssertionError | OSError) and not isinstance(error, HydraException):
        # from an invalid setting in the `hydra` section
        settings = [argument for argument in arguments if "hydra." in argument or "=" in argument]
        return f"{' '.join(settings)}: invalid setting of Hydra ({message})"
    if match := re.search(NO_GROUP, message):
        file, group = match.groups()
        remedy = "; select it in an experiment" if file == "local/default" else ""
        return f"{file}.yaml: override /{group}: {config_name} has no such group{remedy}"
    if match := re.search(r"Could not override '([^']+)'", message):
        typed = match.group(1)
        pairs = [a.partition("=") for a in arguments]
        value = next((value for key, _, value in pairs if key.lstrip("+~") == typed), "")
        return _unknown_key(typed, value, config_name, arguments)
    if match := re.search(r"Unknown plugin class *: '([\w.]+)'", message):
        needed = [extra for package, extra in LAUNCHERS.items() if package in match.group(1)]
        remedy = f'; pip install "vgg_lit[{needed[0]}]"' if needed else ""
        return f"hydra.launcher._target_={match.group(1)}: is not installed{remedy}"
    if match := re.search(
        r"Could not find '(\w+)/([^']*)' Available options in '\w+': (.+?)(?: Config search path|$)",
        message,
    ):
        group, choice, options = match.groups()
        return _unknown_option(group, choice, options.split(), config_name, arguments)
    if match := re.search(r"Could not load '(\w+)/([^']+)'", message):  # a member of a list
        group, choice = match.groups()
        return _unknown_option(
            group, choice, known_options(group, arguments), config_name, arguments
        )
    ambiguous = (
        r"Ambiguous value for argument '(.+?)' 1\.|Sweep parameters '(.+)' requires --multirun"
    )
    if match := re.search(ambiguous, message):
        typed = match.group(1) or match.group(2)
        key, _, values = typed.partition("=")
        keys = known_keys(config_name, arguments)
        if (
            key not in keys
            and (near := nearest_key(key, keys, command=config_name))
            and "=" not in near
        ):
            key = near
        is_listed = takes_list(config_name, key)
        as_list = f"a list is written {quoted([f'{key}=[{values}]'])}" if is_listed else ""
        if config_name != "train":
            return f"{typed}: {as_list or 'takes one value'}"
        words = [f"{key}={values}" if argument == typed else argument for argument in arguments]
        command = quoted(["python", "-m", "vgg_lit.train", "-m", *words])
        several = f"{typed}: several values are a sweep, started with -m: {command}"
        return f"{several}; {as_list}" if as_list and not match.group(2) else several
    if isinstance(error, OverrideParseException):
        return _no_override(str(error.override), config_name, arguments)
    if "Config group override must be a string" in message:
        return _no_choice(next(filter(_is_no_choice, arguments), ""), arguments)
    if isinstance(error, OmegaConfBaseException):
        return with_key(error)
    if isinstance(error.__cause__, OmegaConfBaseException):
        message = f"{message} {one_line(error.__cause__)}"
    return message


def with_key(error: OmegaConfBaseException) -> str:
    """Formats an OmegaConf error as `key: message`.

    Without a key in the error, names the overrides with an interpolation.
    """
    message = one_line(error).partition(" full_key: ")[0]
    key = error.full_key or ", ".join(argument for argument in sys.argv[1:] if "${" in argument)
    return f"{key}: {message}" if key and key not in message else message


def _is_no_choice(argument: str) -> bool:
    """Returns True if an override sets a group to a number, a boolean or null, which no config is named."""
    group, _, choice = argument.partition("=")
    is_group = not group or (config_folder() / group).is_dir()
    is_value = choice.lower() in ("null", "true", "false")
    return is_group and (is_value or not re.match(r"[^\W\d]|\[", choice))


def _no_choice(argument: str, arguments: Sequence[str]) -> str:
    """Returns the message for a group that is set to a number, a boolean or null."""
    group, _, choice = argument.partition("=")
    message = f"{argument}: the value of a group is the name of one of its configs"
    if not group:
        return message
    allowed = known_options(group, arguments)
    near = nearest_option(group, choice, allowed)
    meant = f"did you mean {group}={near}? " if near else ""
    return f"{message}; {meant}allowed: {', '.join(allowed)}"


def _unknown_key(typed: str, value: str, config_name: str, arguments: Sequence[str]) -> str:
    """Returns the message for a key that does not exist, with the one that was probably meant."""
    keys = known_keys(config_name, arguments)
    section = typed.rpartition(".")[0]
    own = [key for key in keys if key.rpartition(".")[0] == section]
    if section and not own:
        section, own = "", [key for key in keys if "." not in key]
    names = ", ".join(dict.fromkeys(key.rpartition(".")[2] for key in own))
    place = f" in {section}" if section else ""
    meant = hint(typed, keys, value, config_name)
    return f"unknown key {typed}; {meant}allowed{place}: {names}" if own else f"unknown key {typed}"


def _unknown_option(
    group: str, choice: str, options: Sequence[str], config_name: str, arguments: Sequence[str]
) -> str:
    """Returns the message for an option that a group does not have, with the one that was probably meant."""
    allowed = [name for name in options if (group, name) not in BASES]
    near = nearest_option(group, choice, allowed)
    meant = f"did you mean {group}={near}? " if near else ""
    begun = [name for name in allowed if choice and name.startswith(f"{choice.lower()}_")]
    if len(begun) > 1 and near != choice.lower():
        meant = f"did you mean one of {', '.join(begun)}? "
    if group == "data" and Path(choice).is_dir():
        meant = f"did you mean data=image_folder data.root={choice}? "
    is_own = Path(OWN_FOLDER, group, f"{choice}.yaml").is_file()
    if is_own and value_of_flag(arguments, "config-dir") is None:
        typed = [argument for argument in arguments if argument.startswith(f"{group}=")]
        words = ["--config-dir", OWN_FOLDER, *(typed or [f"{group}={choice}"])]
        meant = f"did you mean {quoted(words)}? "
    if not meant and (other := _option_of_a_group(choice, config_name, arguments)):
        meant = f"did you mean {other}? "
    return f"{group}={choice}: there is no such config; {meant}allowed: {', '.join(allowed)}"


def _option_of_a_group(option: str, config_name: str, arguments: Sequence[str]) -> str:
    """Returns the override that selects an option in the first group that has it; empty if none has it."""
    groups = groups_of(config_name, config_folder())
    found = (group for group in groups if option in known_options(group, arguments))
    return next((f"{group}={option}" for group in found), "")


def _no_override(typed: str, config_name: str, arguments: Sequence[str]) -> str:
    """Returns the message for an argument that is not `key=value`."""
    key = {"compare": "runs", "train": "resume", "preview": "output", "tune": "name"}
    is_run = typed == "latest" or Path(typed, "config.yaml").exists()
    is_image = "=" not in typed and typed.lower().endswith(ENDINGS)
    if config_name == "predict" and not is_run:
        key["predict"] = "images"
    if is_run or Path(typed).exists() or (is_image and config_name == "predict"):
        meant = shell_words({key.get(config_name, "run"): typed})
        return f"{typed}: is not key=value; did you mean {meant}?"
    if match := re.fullmatch(r"(\w[\w.]*)(?:[:\s]+(\S+))?", typed):
        name, value = match.groups()
        meant = "" if value else _option_of_a_group(name, config_name, arguments)
        keys = known_keys(config_name, arguments)
        meant = meant or nearest_key(name, keys, value or "", config_name) or ""
        if meant and "=" not in meant:
            meant = f"{meant}={value or '...'}"
        if meant:
            return f"{typed}: is not key=value; did you mean {meant}?"
    if typed.isprintable() and (match := QUOTABLE.fullmatch(typed)):
        meant = shell_words({match[1]: match[2]})
        return f"{typed}: Hydra reads this value only in quotes; did you mean {meant}?"
    return (
        f"{typed}: is not a valid key=value; quote a value with spaces, commas or =: "
        f"""'key="value"'"""
    )


def check_flags(arguments: Sequence[str], config_name: str) -> None:
    """Checks that all flags are Hydra's; settings are written without dashes.

    Raises:
        InputError: there is no such flag; the message names the setting that is probably meant.
    """
    for argument in arguments:
        flag, _, value = argument.partition("=")
        begun = [known for known in FLAGS if known.startswith(flag)]
        if flag.startswith("--"):
            is_flag = flag in FLAGS or len(begun) == 1
        else:
            is_flag = flag.startswith(SHORT) or not flag.startswith("-")
        if not is_flag:
            typed = flag.lstrip("-").replace("-", "_")
            meant = hint(typed, known_keys(config_name, arguments), value, config_name)
            if meant.startswith("did you mean ") and "=" not in meant:
                meant = meant.replace("?", f"={value or '...'}?")
            if begun:
                meant = f"did you mean {' or '.join(begun)}? "
            raise InputError(
                f"{flag}: is not a flag; {meant}settings are written key=value; allowed flags: "
                f"{', '.join(FLAGS)}"
            )


def flags_last(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with the flags after the overrides: argparse reads no mixture of both."""
    overrides: list[str] = []
    flags: list[str] = []
    left = iter(arguments)
    for argument in left:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in WITH_VALUE:
            flags += [value] if (value := next(left, None)) is not None else []
    return [*overrides, *flags]
