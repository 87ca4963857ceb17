"""The folder of an export: its files, and the checks before it is written."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vgg_lit.errors import InputError, TrainingError
from vgg_lit.system.files import ABANDONED, check_names, check_writable, remove_unfinished

PROGRAM_FILES = {
    "onnx": "model.onnx",
    "onnx_int8": "model_int8.onnx",
    "torch_export": "model.pt2",
    "safetensors": "model.safetensors",
}
NEEDED_PACKAGES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "onnx_int8": ("onnx", "onnxscript", "onnxruntime"),
    "torch_export": (),
    "safetensors": (),
}
CARD, DESCRIPTION, REPORT = "README.md", "model.json", "report.json"


def check_output(folder: Path) -> None:
    """Checks the folder that an export will be written to, without creating it.

    Raises:
        InputError: the folder cannot be created or written, has a folder with the name of a file, or holds
            the README.md of another project.
    """
    check_writable(folder, f"output={folder}")
    check_names(folder, (*PROGRAM_FILES.values(), CARD, DESCRIPTION, REPORT))
    if (folder / CARD).exists() and not (folder / DESCRIPTION).exists():
        raise InputError(
            f"output={folder}: holds a {CARD} of another project; choose a separate folder"
        )


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Reports a failed write in one line; leaves no empty folder behind.

    Raises:
        TrainingError: the disk is full or broken.
    """
    remove_unfinished(folder, ABANDONED)
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # missing or not empty
            folder.rmdir()
        if isinstance(error, OSError):
            raise TrainingError(
                f"output={folder}: cannot be written: {error.strerror or error}; existing files are "
                "unchanged"
            ) from error
        raise
