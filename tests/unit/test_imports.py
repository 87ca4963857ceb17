"""The floors of the package: imports go down only, and frameworks stay in the rooms that need them."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERBS = {path.stem for path in (ROOT / "conf").glob("*.yaml")}

COMMANDS_WITHOUT_CONFIG = {"torchrun", "new", "cache", "__main__"}

PYTHON = {"interactive", "interactive_run", "callable_commands"}

# From the ground up. A room is a folder, or a few files that belong together. A module imports from its
# own room and from lower floors.
FLOORS = [
    [
        {
            "system",
            "errors",
            "renamed_settings",
            "tables",
            "table_widths",
            "targets",
            "value_types",
            "version",
        }
    ],
    [{"models"}, {"data"}, {"checkpoints"}],
    [{"classifier", "losses", "metrics", "optim", "split_metrics"}, {"weights"}, {"analysis"}],
    [
        {"runs", "run_configs", "run_selection", "shipped_runs", "sweeps"},
        {"callbacks"},
        {"evaluation"},
        {"launching"},
        {"config"},
    ],
    [{"training"}, {"tuning"}, {"sweeping"}, {"reports"}, {"exporting"}],
    [{*VERBS, *COMMANDS_WITHOUT_CONFIG, "training_task", *PYTHON, "hydra_plugins"}],
]
MOST_FLOORS = 6
FLOOR = {part: number for number, floor in enumerate(FLOORS) for room in floor for part in room}
ROOM = {part: room for floor in FLOORS for rooms in [floor] for room in rooms for part in room}

# Rooms, or modules of them, that may import a framework.
KNOW_HYDRA = {
    *("config", "runs", "run_configs", "sweeping", "hydra_plugins"),
    *("training.loggers", "training.resume_auto", "training.resuming", "tuning"),
    *("exporting.job", "training_task", *PYTHON),
    *VERBS,
}
KNOW_LIGHTNING = {
    *("callbacks", "classifier", "metrics", "training"),
    *("checkpoints.trainer_io", "launching.ddp", "launching.shared_fate", "launching.watch"),
    *(
        "data.cached_features",
        "data.custom_building",
        "data.custom_datamodule",
        "data.custom_facts",
        "data.custom_hooks",
        "data.datamodule",
        "evaluation.scoring",
    ),
    *("optim.optimized_module", "system.lightning_internals"),
}
KNOW_LIGHTNING_INTERNALS = {"system.lightning_internals"}

MEAN_THE_SAME = {"main"}
"""Public names that several modules may define, because they mean the same in each."""


def read_tree(root: Path) -> dict[str, ast.Module]:
    """The syntax trees of our modules by name: below `vgg_lit`, or from `hydra_plugins` on."""
    trees = {}
    for package in ("vgg_lit", "hydra_plugins"):
        for file in sorted((root / package).rglob("*.py")):
            name = ".".join(file.relative_to(root).with_suffix("").parts)
            name = name.removeprefix("vgg_lit.").removesuffix(".__init__")
            if name not in ("__init__", "vgg_lit"):
                trees[name] = ast.parse(file.read_text(encoding="utf-8"))
    return trees


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules, and names in them, that a module imports at run time."""
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room they reach"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # may be modules
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part_of(module: str) -> str:
    """The folder or file of a module that `FLOORS` names."""
    return module.partition(".")[0]


def our_imports(tree: ast.Module) -> set[str]:
    """The modules of ours that a module imports, by the names of `read_tree`."""
    found = set()
    for name in imported(tree):
        if name.startswith("hydra_plugins."):
            found.add(name)
        elif name.startswith("vgg_lit."):
            found.add(name.removeprefix("vgg_lit."))
    return found


def wrong_imports(trees: Mapping[str, ast.Module]) -> list[str]:
    """Imports that go up, or to another room of the same floor."""
    return [
        f"{name} imports {other}"
        for name, tree in trees.items()
        for other in sorted(our_imports(tree))
        if part_of(other) not in ROOM[part_of(name)]
        and FLOOR.get(part_of(other), MOST_FLOORS) >= FLOOR[part_of(name)]
    ]


def circles(trees: Mapping[str, ast.Module]) -> list[str]:
    """The modules of a circle of imports, if there is one."""
    # a package only passes names on
    packages = {name.rpartition(".")[0] for name in trees}
    modules = {name: tree for name, tree in trees.items() if name not in packages}
    graph = {name: our_imports(tree) & set(modules) for name, tree in modules.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def shared_names(trees: Mapping[str, ast.Module]) -> list[str]:
    """Public classes and functions of the same name in several modules."""
    homes: dict[str, list[str]] = {}
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    return [
        f"{name}: {', '.join(modules)}"
        for name, modules in homes.items()
        if len(modules) > 1 and name not in MEAN_THE_SAME
    ]


def misplaced_frameworks(trees: Mapping[str, ast.Module]) -> list[str]:
    """Modules that import a framework and are not listed for it."""
    found = []
    for name, tree in trees.items():
        modules = set(imported(tree))
        tops = {module.partition(".")[0] for module in modules}
        places = {name, part_of(name)}
        if not places & KNOW_HYDRA and tops & {"hydra", "omegaconf"}:
            found.append(f"{name}: hydra")
        if not places & KNOW_LIGHTNING and tops & {"lightning", "pytorch_lightning"}:
            found.append(f"{name}: lightning")
        private = [
            module for module in modules if module.startswith("lightning.") and "._" in module
        ]
        if name not in KNOW_LIGHTNING_INTERNALS and private:
            found.append(f"{name}: {', '.join(private)}")
    return found


TREES = read_tree(ROOT)


def test_there_are_at_most_six_floors():
    assert len(FLOORS) <= MOST_FLOORS


def test_every_module_has_a_floor_and_every_room_has_modules():
    assert {part_of(name) for name in TREES} == set(FLOOR)


def test_imports_go_down_only():
    assert wrong_imports(TREES) == []


def test_no_module_imports_itself_in_a_circle():
    assert circles(TREES) == []


def test_frameworks_stay_in_their_rooms():
    assert misplaced_frameworks(TREES) == []


def test_no_two_modules_define_the_same_public_name():
    assert shared_names(TREES) == []


@pytest.fixture
def planted(tmp_path):
    """`planted("models/vgg.py", "import vgg_lit.data")`: a copy of the imports with one more line."""

    def plant(file: str, line: str) -> dict[str, ast.Module]:
        name = file.removeprefix("vgg_lit/").removesuffix(".py").replace("/", ".")
        tree = ast.parse(f"{ast.unparse(TREES[name])}\n{line}\n")
        return {**TREES, name: tree}

    return plant


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("vgg_lit/models/vgg.py", "from vgg_lit.data.draws import Draws"),  # beside
        ("vgg_lit/data/draws.py", "import vgg_lit.models.vgg"),  # beside
        ("vgg_lit/system/files.py", "from vgg_lit.data.images import read_image"),  # up
        ("vgg_lit/tuning/search.py", "from hydra_plugins.process_launcher import launcher"),  # up
        ("vgg_lit/reports/comparison.py", "from vgg_lit import compare"),  # up, to a command
        ("vgg_lit/runs.py", "def f():\n    from vgg_lit.training.trainer import x"),  # late
    ],
)
def test_a_wrong_import_is_found(planted, file, line):
    found = wrong_imports(planted(file, line))[0]
    assert found.startswith(file.removeprefix("vgg_lit/").removesuffix(".py").replace("/", "."))


def test_imports_for_type_checking_are_allowed(planted):
    line = "if TYPE_CHECKING:\n    from vgg_lit.data.draws import Draws"
    assert wrong_imports(planted("vgg_lit/models/vgg.py", line)) == []


def test_a_circle_is_found(planted):
    line = "from vgg_lit.models.vgg import VGG"
    assert {"models.vgg", "models.variants"} <= set(circles(planted("models/variants.py", line)))


def test_a_second_meaning_of_a_name_is_found(planted):
    trees = planted("vgg_lit/data/draws.py", "class Classifier: ...")
    assert "Classifier: classifier, data.draws" in shared_names(trees)


@pytest.mark.parametrize(
    "line",
    ["import hydra", "from lightning.pytorch import Trainer", "import lightning.fabric._x"],
)
def test_a_framework_in_the_wrong_room_is_found(planted, line):
    assert misplaced_frameworks(planted("vgg_lit/models/vgg.py", line))
