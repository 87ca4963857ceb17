"""Packages that only some commands need: `require("export", "onnxruntime", asked="formats=[onnx]")`."""

from importlib.util import find_spec

from vgg_lit.errors import InputError


def require(extra: str, *modules: str, asked: str) -> None:
    """Says what to install, if it is not there.

    Args:
        extra: the extra of ours that brings the modules.
        modules: names as they are imported.
        asked: the setting that needs them.

    Raises:
        InputError: one is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise InputError(f"{asked}: needs {', '.join(missing)}: pip install 'vgg_lit[{extra}]'")
