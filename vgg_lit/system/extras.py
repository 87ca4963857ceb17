"""Checks for optional packages: `require("export", "onnxruntime", asked="formats=[onnx]")`."""

from importlib.util import find_spec

from vgg_lit.errors import InputError


def require(extra: str, *modules: str, asked: str) -> None:
    """Checks that optional modules are installed.

    Args:
        extra: the extra of vgg_lit that installs the modules.
        modules: import names.
        asked: the setting that needs them.

    Raises:
        InputError: a module is not installed; the message has the install command.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        needs = f"{asked}: needs {', '.join(missing)}"
        raise InputError(f'{needs}: pip install "vgg_lit[{extra}]"')
