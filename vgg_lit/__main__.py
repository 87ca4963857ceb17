"""Lists the commands and runs one of them.

python -m vgg_lit                           # the list; `vgg` is the same command
python -m vgg_lit train model=vgg16_bn
python -m vgg_lit --version
"""

import ast
import runpy
import sys
from pathlib import Path

from vgg_lit.errors import EXIT_BAD_INPUT, unknown
from vgg_lit.system.output import print_guarded
from vgg_lit.version import versions

COMMANDS = (
    *("train", "evaluate", "predict", "visualize", "compare", "tune"),
    *("summarize", "preview", "export", "reproduce", "stylize", "torchrun", "new", "cache"),
)


def usage() -> str:
    """Returns the list of commands; each one's purpose is the first line of its module."""
    lines = ["Usage: vgg <command> [key=value ...]", ""]
    for name in COMMANDS:
        source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        purpose = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        lines.append(f"  {name:<9}  {purpose}")
    return "\n".join([*lines, "", "vgg <command> --help lists the settings of a command."])


def main() -> None:
    """Runs the console script `vgg`."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help", "help"):
        print_guarded(usage())
    elif name in ("-V", "--version"):
        print_guarded(versions())
    elif name not in COMMANDS:
        print(f"error: {unknown('command', name, COMMANDS)}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    else:
        sys.argv[1:] = arguments
        # As `python -m`: Lightning starts the other ranks by the name of the main module.
        runpy.run_module(f"vgg_lit.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
