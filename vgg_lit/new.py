"""Writes a package with a network, data and a loss.

python -m vgg_lit.new my_project
cd my_project
python -m vgg_lit.train --config-dir conf experiment=first
"""

import keyword
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from vgg_lit.errors import EXIT_BAD_INPUT, InputError
from vgg_lit.system.files import expanded, write_text
from vgg_lit.system.operating_system import quoted
from vgg_lit.system.output import exiting_in_one_line, print_guarded
from vgg_lit.system.overrides import WORDS

USAGE = "Usage: vgg new <folder>"

TEMPLATES = Path(__file__).parent / "starter"

NO_TEXTS = (*WORDS, "yes", "no", "on", "off")
"""Names that YAML or Hydra reads as booleans, numbers or null."""


def package_name(folder: Path) -> str:
    """Returns the name of the package in a new folder.

    Raises:
        InputError: the name cannot be that of a package, or there is a package of that name.
    """
    name = re.sub(r"\W+", "_", folder.resolve().name.lower(), flags=re.ASCII).strip("_")
    if keyword.iskeyword(name):
        raise InputError(f"{folder}: {name} is a keyword of Python; choose another name")
    if name in NO_TEXTS:
        raise InputError(
            f"{folder}: {name} in a config is a value, not a name; choose another name"
        )
    if not name.isidentifier():
        raise InputError(
            f"{folder}: its name is not that of a package; allowed: letters, digits and "
            "underscores, with a letter first"
        )
    spec = find_spec(name)
    # Python finds an empty folder too, as a package without __init__.py.
    places = list(spec.submodule_search_locations or ()) if spec and not spec.origin else []
    if spec is not None and [*map(os.path.realpath, places)] != [os.path.realpath(folder)]:
        raise InputError(f"{folder}: there is already a package {name}; choose another name")
    return name


def write_starter(folder: Path) -> str:
    """Writes the files into a new or empty folder; returns the name of the package.

    Raises:
        InputError: the folder holds files, or its name is not that of a package.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: already exists and is not an empty folder")
    name = package_name(folder)
    for template in sorted(TEMPLATES.rglob("*")):
        if template.is_dir() or template.suffix not in (".md", ".txt", ".yaml"):
            continue
        place = template.relative_to(TEMPLATES)
        parts = [name if part == "package" else part for part in place.parts]
        file = folder.joinpath(*parts)
        file = file.with_suffix("") if file.suffix == ".txt" else file
        write_text(file, template.read_text(encoding="utf-8").replace("{package}", name))
    return name


def main() -> None:
    """Runs `vgg new <folder>`."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        is_help = bool({"-h", "--help"}.intersection(arguments))
        if is_help:
            print_guarded(f"{USAGE}\n\n{__doc__}")
            return
        print(f"error: {USAGE}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    with exiting_in_one_line():
        folder = expanded(arguments[0])
        name = write_starter(folder)
    print_guarded(
        f"written  {folder}: the package {name}, conf, tests, README.md\n"
        f"next     cd {quoted([str(folder)])} && python -m vgg_lit.train --config-dir conf experiment=first"
    )


if __name__ == "__main__":
    main()
