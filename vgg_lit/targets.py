"""Builds objects from dotted names in a config or a checkpoint.

    instantiate({"_target_": "torch.optim.SGD", "lr": 0.1}, key="optimizer", params=net.parameters())

No other module imports objects by name. Only names under `ALLOWED` are imported, and those that the user
trusts on the command line with `trusted_targets`; a checkpoint cannot extend the list. Arguments are
first checked against the target's signature and annotations, so that an error is one line with the key.
"""

import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from vgg_lit.errors import ConfigError, NotTrusted, one_line, unknown_key

# Only objects that a config needs: `torch.hub.load`, or `trust` below, would allow any code to run.
ALLOWED = (
    "vgg_lit.models.",
    "vgg_lit.data.",
    "vgg_lit.ImageDataModule",
    "vgg_lit.optim.",
    "vgg_lit.losses.",
    "vgg_lit.callbacks.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.models.",
    "torchvision.transforms.",
    "torchmetrics.classification.",
    "lightning.pytorch.Trainer",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
    "aim.pytorch_lightning.AimLogger",
    "lightning.pytorch.profilers.",
    "lightning.pytorch.strategies.",
)

NETWORKS = ("vgg_lit.models.", "torch.nn.", "torchvision.models.")
"""Prefixes that a checkpoint may name: networks, but nothing that writes files or uses the network."""

_trusted: set[str] = set()


def trust(prefixes: Sequence[str]) -> None:
    """Lets `instantiate` import names that start with one of `prefixes`, e.g. `my_package.`."""
    for prefix in prefixes:
        if not prefix.replace(".", "").replace("_", "").isalnum():
            raise ConfigError(
                f"trusted_targets: {prefix!r} is not a module prefix such as 'my_package.'"
            )
    _trusted.update(prefix if prefix.endswith(".") else prefix + "." for prefix in prefixes)


def locate(
    name: str, *, key: str = "_target_", prefixes: Sequence[str] = ALLOWED
) -> Callable[..., Any]:
    """Imports the class or function of a dotted name.

    Args:
        name: dotted name, e.g. `torch.optim.SGD`.
        key: config key of the name, for messages.
        prefixes: allowed prefixes, in addition to those that the user trusts.

    Raises:
        NotTrusted: the name is not allowed.
        ConfigError: there is no such class or function.
    """
    allowed = (*prefixes, *sorted(_trusted))
    if not isinstance(name, str) or not name.startswith(allowed):
        raise NotTrusted(
            f"{key}._target_={name}: only names under {', '.join(allowed)} are allowed; "
            f"to add a package: trusted_targets=[package]",
            str(name),
        )
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and (module_name + ".").startswith(error.name + "."):
                continue
            raise
        found: Any = module
        for part in parts[cut:]:
            # A module that the found one only imports (torch.os) is not part of its interface.
            found = None if part.startswith("_") else getattr(found, part, None)
            if found is None or isinstance(found, types.ModuleType):
                break
        if callable(found) and _is_offered(found, name, prefixes):
            return found
        break
    raise ConfigError(f"{key}._target_={name}: there is no such class or function")


def _is_offered(found: Any, name: str, prefixes: Sequence[str]) -> bool:
    """Returns True if an object is part of a package's public interface under this name.

    Objects that a module imports are not part of it, even from the same package: some in
    `lightning.pytorch.loggers` write files. Objects inside the modules of vgg_lit, one level below the
    public names, are not part of it either.
    """
    home, package = getattr(found, "__module__", None) or "", name.split(".")[0]
    if home.split(".")[0] != package:
        return False
    if name in prefixes or name.startswith(tuple(_trusted)):
        return True
    is_internal = package == "vgg_lit" and name.count(".") > 2
    return f"{home}.".startswith(tuple(prefixes)) and not is_internal


def instantiate(
    spec: Mapping[str, Any], *, key: str, prefixes: Sequence[str] = ALLOWED, **runtime: Any
) -> Any:
    """Builds the object of `spec`: calls its `_target_` with the other keys as arguments.

    Nested mappings with a `_target_` are built first, also in lists.

    Args:
        spec: plain values, e.g. from a YAML file.
        key: config key of the spec, for messages, e.g. `optimizer`.
        prefixes: allowed prefixes, in addition to those that the user trusts.
        runtime: arguments that are not in the config, e.g. `params`.

    Raises:
        ConfigError: an argument is unknown, missing or of the wrong type, or the target refuses a value.
    """
    if "_target_" not in spec:
        raise ConfigError(f"{key}: has no _target_, the dotted name of a class or function")
    target = locate(spec["_target_"], key=key, prefixes=prefixes)
    values = {name: value for name, value in spec.items() if name != "_target_"}
    check_arguments(target, {**values, **runtime}, key=key, given=values)
    arguments = {name: _build(value, f"{key}.{name}", prefixes) for name, value in values.items()}
    try:
        return target(**arguments, **runtime)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        message = one_line(error)
        where = _culprit(key, values, message)
        for name, value in values.items():
            message = message.removeprefix(f"{name}={value}: ")  # included in `where`
        raise ConfigError(f"{where}: {message}") from error


def _culprit(key: str, values: Mapping[str, Any], message: str) -> str:
    """Returns the only argument whose name or value is in the target's message, otherwise the section."""
    named = [name for name in values if re.search(rf"\b{re.escape(name)}\b", message)]
    shown = [name for name, value in values.items() if f" {value} " in f" {message} "]
    for found in (named, shown):
        if len(found) == 1:
            return f"{key}.{found[0]}={values[found[0]]}"
    return key


def _build(value: Any, key: str, prefixes: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return instantiate(value, key=key, prefixes=prefixes)
        return {name: _build(item, f"{key}.{name}", prefixes) for name, item in value.items()}
    if isinstance(value, list):
        return [_build(item, f"{key}[{index}]", prefixes) for index, item in enumerate(value)]
    return value


def check_arguments(
    target: Callable[..., Any], arguments: Mapping[str, Any], *, key: str, given: Mapping[str, Any]
) -> None:
    """Checks the names of all `arguments`, and the types of the `given` ones, against a signature.

    Raises:
        ConfigError: as in `instantiate`.
    """
    parameters = inspect.signature(target).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    names = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for name in arguments:
        if name not in names and not takes_any:
            raise ConfigError(unknown_key(key, str(name), names))
    for name in names:
        if parameters[name].default is inspect.Parameter.empty and name not in arguments:
            raise ConfigError(f"{key}.{name}: is needed and not set")
    annotations = _annotations(target)
    for name, value in given.items():
        is_spec = isinstance(value, Mapping) and "_target_" in value
        if name in annotations and not is_spec:
            check_type(value, annotations[name], key=f"{key}.{name}")


def check_type(value: Any, annotation: Any, *, key: str) -> None:
    """Checks a plain value against a type annotation, strictly: a string is never accepted as a number.

    Raises:
        ConfigError: the value is not of the type.
    """
    adapter = _adapter(annotation)
    if adapter is None:
        return
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        if not _is_listed_tuple(value, adapter):
            raise ConfigError(f"{key}={value}: {explain(error.errors())}") from None


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """Returns a validator for an annotation, or None if pydantic does not support the annotation."""
    for options in (ConfigDict(arbitrary_types_allowed=True), None):
        try:
            return TypeAdapter(annotation, config=options)
        except PydanticUserError:
            continue
    return None


def _is_listed_tuple(value: Any, adapter: TypeAdapter[Any]) -> bool:
    """Returns True if a list is valid as a tuple, which YAML does not have."""
    if not isinstance(value, list):
        return False
    try:
        adapter.validate_python(tuple(value), strict=True)
    except ValidationError:
        return False
    return True


def explain(items: Sequence[Mapping[str, Any]]) -> str:
    """Joins the messages of `ValidationError.errors()` in one line, without duplicates."""
    first = items[0]
    is_one_value = isinstance(first["input"], str | int | float)
    if first["type"] == "list_type" and len(items) == 1 and is_one_value:
        return f"should be a list, such as [{first['input']}]"
    return " or ".join(dict.fromkeys(map(_message, items)))


def _message(item: Mapping[str, Any]) -> str:
    if item["type"] == "too_short":
        return f"should have {item['ctx']['min_length']} or more values"
    return str(item["msg"].removeprefix("Input "))


def _annotations(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}
