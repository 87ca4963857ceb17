"""Imports run one way: from the commands down to the networks and the data, which know nothing of each other."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "vgg_lit"
VERBS = {path.stem for path in (PACKAGE.parent / "conf").glob("*.yaml")}

# From the ground up: a room, a folder or a module beside them, uses its own and what is on lower floors.
FLOORS = [
    {"environment", "errors", "files", "schema", "tables"},
    {"extras", "hardware", "targets"},
    {"models", "data"},
    {"analysis", "checkpoints", "exporting", "metrics", "muon", "optim"},
    {"classifier"},
    {"runs"},
    {"processes", "sweeps", "trained", "tuning"},
    {"callbacks", "config", "resolvers", "visualizing"},
    {"command", "comparing"},
    {"training"},
    {*VERBS, "torchrun"},
]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# Which rooms, or which of their modules, may know a framework.
KNOW_HYDRA = {
    *("command", "config", "resolvers", "runs"),
    *("training.experiment", "training.resuming", "tuning.space", "tuning.study_report"),
    *VERBS,
}
KNOW_LIGHTNING = {
    *("callbacks", "classifier", "metrics", "training"),
    *("checkpoints.trainer_io", "processes.distributed", "processes.shared_fate"),
    *("data.cached_features", "data.datamodule", "trained.evaluation"),
}


def modules():
    """The package's modules by their names below it, but for those that only pass names on."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name != "__init__.py":
            yield ".".join(file.relative_to(PACKAGE).with_suffix("").parts), file


def imported(file):
    """The modules that a file imports, and names in them, anywhere but for type checking alone."""
    tree = ast.parse(file.read_text())
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
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # may be modules
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


MODULES = dict(modules())
OURS = {
    name: {
        other.removeprefix("vgg_lit.") for other in imported(file) if other.startswith("vgg_lit.")
    }
    - {"__version__"}
    for name, file in MODULES.items()
}


def room(module):
    return module.partition(".")[0]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_room_and_from_below(name):
    assert room(name) in FLOOR, "has no floor yet: add it to FLOORS"
    others = {other for other in OURS[name] if room(other) != room(name)}
    assert not {other for other in others if FLOOR[room(other)] >= FLOOR[room(name)]}


def test_every_room_is_there():
    assert set(FLOOR) == {room(name) for name in MODULES}


def test_networks_and_data_know_nothing_of_each_other():
    assert FLOOR["models"] == FLOOR["data"]


def test_no_module_imports_itself_in_a_circle():
    graph = {name: others & set(MODULES) for name, others in OURS.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_frameworks_stay_in_their_rooms(name):
    frameworks = {other.partition(".")[0] for other in imported(MODULES[name])}
    if not {name, room(name)} & KNOW_HYDRA:
        assert not frameworks & {"hydra", "omegaconf"}
    if not {name, room(name)} & KNOW_LIGHTNING:
        assert not frameworks & {"lightning", "pytorch_lightning"}
