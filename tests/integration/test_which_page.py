"""Each setting, option and command is documented in one place, and no page names a setting that is absent."""

import re
from collections import Counter

import pytest
from omegaconf import OmegaConf

from vgg_lit.__main__ import COMMANDS as ALL_COMMANDS
from vgg_lit.config.differences import flattened
from vgg_lit.config.group_options import config_folder, groups_of, options_of
from vgg_lit.config.help_text import sections_of
from vgg_lit.config.schema import COMMANDS, ProcessLauncherSettings
from vgg_lit.config.setting_rows import setting_rows

CONF = config_folder()
ROOT = CONF.parent
REFERENCE = ROOT / "docs/reference.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))),
]
GROUPS = groups_of("tune", CONF)  # all of train, and those of the search
OF_HYDRA = {"hydra/launcher", "hydra.run.dir", "hydra.sweep.dir"}
OF_TARGETS = {"model.options"}
"""Arguments of a `_target_` that no config and no schema has."""
OF_PYTHON = {"weights_only", "step", "install", "source"}
"""Arguments of functions and of Hydra's flags that are written as `name=value`."""


def tables(page):
    """Yields the first heading and the first cells of each table on a page."""
    text = page.read_text(encoding="utf-8")
    for heading, body in re.findall(r"^\| ([^|]*) \|.*\n\|[-:|]+\n((?:\|.*\n)+)", text, re.M):
        yield heading, re.findall(r"^\| `([^`]+)` \|", body, re.M)


def tables_headed(heading):
    """Returns page and first cells of each table with this first heading."""
    return [
        (page.name, cells) for page in PAGES for found, cells in tables(page) if found == heading
    ]


def keys_of_files():
    """Yields the keys in the configs of the groups, which are more than the documented ones."""
    for file in CONF.glob("*/*.yaml"):
        if file.parent.name not in ("hydra", "local"):
            content = OmegaConf.to_container(OmegaConf.load(file)) or {}
            content.pop("defaults", None)
            is_global = file.parent.name in ("experiment", "debug", "space")
            for key, _ in flattened(content):
                yield key if is_global else f"{file.parent.name}.{key}"


@pytest.fixture(scope="module")
def known():
    """All keys that a page may name: settings, groups, and sections of settings."""
    keys = {row.key for row in setting_rows(ProcessLauncherSettings, "hydra.launcher.")}
    keys |= {*keys_of_files(), *OF_HYDRA, *OF_TARGETS}
    for command in COMMANDS:
        keys |= set(groups_of(command, CONF))
        keys |= {row.key for rows in sections_of(command, CONF).values() for row in rows}
    return keys | {key.rsplit(".", parts)[0] for key in keys for parts in (1, 2, 3)}


@pytest.mark.parametrize("group", GROUPS)
def test_each_option_of_a_group_has_one_row_on_one_page(group):
    names = [option.name for option in options_of(group, GROUPS[group], CONF)]
    assert tables_headed(f"option of `{group}`") == [(REFERENCE.name, names)]


def test_each_setting_of_the_groups_has_one_row_on_one_page():
    found = [
        (page.name, key)
        for page in PAGES
        for heading, cells in tables(page)
        if heading.startswith("setting of `")
        for key in cells
    ]
    sections = sections_of("tune", CONF)
    keys = [row.key for group in GROUPS for row in sections.get(f"Settings of {group}", [])]
    assert len(keys) > 100
    assert Counter(found) == Counter({(REFERENCE.name, key): 1 for key in keys})


@pytest.mark.parametrize("command", COMMANDS)
def test_each_setting_of_a_command_has_one_row_on_one_page(command):
    keys = [row.key for row in sections_of(command, CONF)["Settings"]]
    assert tables_headed(f"`{command}`") == [(REFERENCE.name, keys)]
    assert len(set(keys)) == len(keys)


def section_of(target):
    """The text below the heading that a link names; test_links.py checks that it exists."""
    path, _, anchor = target.partition("#")
    text = (ROOT / "docs" / path).read_text(encoding="utf-8")
    for section in re.split(r"^(?=## )", text, flags=re.M):
        heading = section.partition("\n")[0].lstrip("# ")
        if not anchor or re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") == anchor:
            return text if not anchor else section
    raise AssertionError(f"no section {target}")


def test_each_command_is_explained_in_one_section():
    text = REFERENCE.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| command \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    explained = re.findall(r"^\| `(\w+)` \| \[[^\]]+\]\(([^)]+)\) \|$", table, re.M)
    assert [command for command, _ in explained] == list(ALL_COMMANDS)
    for command, target in explained:
        uses = rf"vgg_lit\.{command}\b|vgg[ -]{command}\b"
        assert re.search(uses, section_of(target)), f"{target} does not show {command}"


def named_settings(page, known):
    """Yields the settings that the inline code of a page names, with or without a value."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    roots = {key.partition(".")[0] for key in known}
    for code in re.findall(r"`([^`]+)`", text):
        yield from re.findall(r"(?:^|[ '])((?:[a-z_]\w*[./])*[a-z_]\w*)=", code)
        is_file = re.search(r"\.(json|csv|png|onnx|pt2|safetensors)$", code)
        is_key = re.fullmatch(r"[a-z_]\w*(\.[a-z_]\w*)+", code) and code.partition(".")[0] in roots
        if is_key and not is_file:
            yield code


# The changelog also names earlier settings, and those of other projects.
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_names_a_setting_that_does_not_exist(page, known):
    assert set(named_settings(page, known)) - known - OF_PYTHON == set()


def test_a_setting_that_does_not_exist_is_found(tmp_path, known):
    page = tmp_path / "page.md"
    page.write_text("Set `optimizer.speed`, `'model.colour=red'`, `seeds=1`, not `optimizer.lr`.\n")
    found = set(named_settings(page, known)) - known
    assert found == {"optimizer.speed", "model.colour", "seeds"}
