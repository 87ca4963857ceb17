"""The wheel, its version, its dependencies and their pinned versions."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import vgg_lit
from vgg_lit.runs import Run
from vgg_lit.sweeps import Sweep

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Ray's launcher conflicts with the other pinned versions.
# mlflow 3 needs older versions of packages in constraints.txt.
PINNED = set(PROJECT["optional-dependencies"]) - {"ray", "mlflow"}
IMPORTED_AS = {
    "hydra-core": "hydra",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
# Lightning's loggers, torch.onnx and Optuna's CmaEsSampler import them.
IMPORTED_BY_OTHERS = {"tensorboard", "wandb", "mlflow", "onnxscript", "cmaes"}
# `logger=aim` is experimental; its users install aim themselves. In notebooks, IPython is there, and
# `Run.history` returns a DataFrame if pandas is.
NOT_DECLARED = {"aim", "IPython", "pandas"}
# Hydra imports these by the names in conf/hydra/launcher.
OF_LAUNCHERS = ("slurm", "ray")
# torch pins these itself, on Linux.
PINNED_BY_TORCH = ("nvidia-", "cuda-", "triton")


def declared(*extras):
    """The declared dependencies on this Python and those of the extras, by normalised name."""
    lines = PROJECT["dependencies"] + [
        line for extra in extras for line in PROJECT["optional-dependencies"][extra]
    ]
    requirements = map(Requirement, lines)
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in requirements
        if not requirement.marker or requirement.marker.evaluate()
    }


def test_the_wheel_holds_the_tracked_files(installed):
    for folder, inside, at_least in (
        ("conf", "vgg_lit/conf", 20),
        ("vgg_lit", "vgg_lit", 20),
        ("hydra_plugins", "hydra_plugins", 1),
    ):
        done = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT / folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.skip("needs a git checkout")
        tracked = {name for name in done.stdout.split("\0") if (ROOT / folder / name).is_file()}
        assert len(tracked) > at_least
        there = {
            path.relative_to(installed / inside).as_posix()
            for path in (installed / inside).rglob("*")
            if path.is_file()
        }
        if folder == "vgg_lit":
            there = {name for name in there if not name.startswith("conf/")}
        assert there == tracked


def test_the_source_archive_holds_the_targets_of_readme_links(wheel):
    (archive,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {
            Path(name).relative_to(Path(name).parts[0]).as_posix() for name in opened.getnames()
        }
    linked = re.findall(r"\]\((?!\w+:)([^)#]+)", (ROOT / "README.md").read_text())
    assert {"docs/training.md", "CONTRIBUTING.md"} <= set(linked)
    assert set(linked) <= held


def test_the_wheel_holds_the_sample_and_the_licences(installed):
    ours = installed / f"vgg_lit-{vgg_lit.__version__}.dist-info" / "licenses"
    assert (ours / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    sample = installed / "vgg_lit/data/sample"
    assert (sample / "fashion_mnist_sample.png").stat().st_size > 1_000_000
    assert "Zalando" in (sample / "LICENSE").read_text()
    assert (ours / "vgg_lit/data/sample/LICENSE").is_file()


def test_console_scripts_of_the_commands_and_their_list(installed):
    entry_points = configparser.ConfigParser()
    entry_points.read(next(installed.glob("*.dist-info")) / "entry_points.txt")
    verbs = {path.stem for path in (ROOT / "conf").glob("*.yaml")}
    scripts = {f"vgg-{verb}": f"vgg_lit.{verb}:main" for verb in verbs}
    assert dict(entry_points["console_scripts"]) == {**scripts, "vgg": "vgg_lit.__main__:main"}


def test_the_wheel_composes_and_trains_in_an_empty_folder(installed, tiny, tmp_path):
    env = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def run(verb, *arguments):
        command = [sys.executable, "-m", f"vgg_lit.{verb}", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    composed = OmegaConf.create(run("train", "--cfg", "job"))
    assert composed["model"]["variant"] == "vgg13_bn"
    assert list(tmp_path.iterdir()) == []

    run("train", *tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    (path,) = tmp_path.glob("logs/runs/*/*")
    assert Run(path).status["status"] == "done"
    environment = json.loads((path / "environment.json").read_text())
    assert environment["command"][1] == str(installed / "vgg_lit/train.py")
    assert "test/acc" in run("evaluate", f"run={path}")

    run("train", "-m", *tiny, "trainer.fast_dev_run=true", "hydra.sweep.dir=sweep")
    (job,) = Sweep(tmp_path / "sweep").jobs
    assert job.status == "done"
    assert f"run      sweep{os.sep}0" in (tmp_path / "sweep/0/log.txt").read_text()


def test_versions_agree(wheel):
    assert wheel.name.startswith(f"vgg_lit-{vgg_lit.__version__}-py3-")
    changes = (ROOT / "CHANGELOG.md").read_text()
    version, date = re.findall(r"^## \[(\d.*?)\](?: - (.+))?$", changes, re.MULTILINE)[0]
    assert version == vgg_lit.__version__
    citation = OmegaConf.load(ROOT / "CITATION.cff")
    released = citation.get("date-released", "")  # no date before the release
    assert (citation["version"], str(released)) == (version, date)
    assert citation["license"] == PROJECT["license"]


def imported_packages():
    """The top-level modules outside the standard library that the package imports."""
    names = set()
    for file in (ROOT / "vgg_lit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"vgg_lit", "hydra_plugins"}


def test_declared_dependencies_match_the_imports():
    extras = set(PROJECT["optional-dependencies"]) - {"dev", *OF_LAUNCHERS}
    runtime = {IMPORTED_AS.get(name, name) for name in declared()}
    optional = {IMPORTED_AS.get(name, name) for name in declared(*extras)} - runtime
    imported = imported_packages()
    assert imported - runtime - optional == NOT_DECLARED, "imported but not declared"
    assert (runtime | optional) - imported == IMPORTED_BY_OTHERS, "declared but not imported"


def pinned():
    """The pins of constraints.txt for this Python by normalised name, and the names of all pins."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = {canonicalize_name(pin.name): pin for pin in pins if not pin.marker or evaluate(pin)}
    return here, {canonicalize_name(pin.name) for pin in pins}


def evaluate(requirement, *extras):
    assert requirement.marker
    return any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_constraints_are_exact_versions_within_the_declared_ranges():
    here, names = pinned()
    for pin in here.values():
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), f"{pin} is not an exact version"
        assert not pin.url
    for name, requirement in declared(*PINNED).items():
        assert name in names, f"{name} is not in constraints.txt"
        if name in here:
            version = str(here[name].specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement}: pinned to {version}"


def test_constraints_include_indirect_dependencies():
    """Checks the packages installed here; those for some platforms only may be missing.

    Other versions of a package may have other dependencies.
    """
    here, names = pinned()
    waiting = [(name, r.extras) for name, r in declared(*PINNED).items()]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if name in seen or name.startswith(PINNED_BY_TORCH):
            continue
        seen.add(name)
        assert name in names, f"{name} is not in constraints.txt"
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        if name not in here or installed.version not in here[name].specifier:
            continue
        requires = [Requirement(line) for line in installed.requires or []]
        for requirement in requires:
            marker = str(requirement.marker or "")
            by_platform = re.search(r"platform|sys_|os_name|python_", marker)
            if not by_platform and (not marker or evaluate(requirement, *extras)):
                waiting.append((canonicalize_name(requirement.name), requirement.extras))
    assert len(seen) > 40
