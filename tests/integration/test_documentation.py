"""README.md and docs/ match the code: their commands and examples run, their tables are correct."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from itertools import zip_longest
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from packaging.requirements import Requirement
from PIL import Image

from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.models import HEADS, VARIANTS, build
from vgg_lit.sweeps import Sweep

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# Covered by test_extending.py and test_all_reduce_model.py.
TESTED_ELSEWHERE = {"extending.md", "scaling.md"}
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in TESTED_ELSEWHERE]
TEXT = "\n".join([README, *(page.read_text() for page in PAGES)])
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)


def fenced(language):
    """The code blocks in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def rows(heading):
    """The cells of the only table with this first heading, without its header rows."""
    table = rf"^\| {re.escape(heading)} \|.*\n\|[-:|]+\n((?:\|.*\n)+)"
    (body,) = re.findall(table, TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]


def names(cell):
    """The words of a cell that are in backticks."""
    return re.findall(r"`([^`]+)`", cell)


DEFINITIONS = (ast.FunctionDef, ast.ClassDef)

# The README's first two blocks install and train, install and test.
QUICK_START = [block.splitlines() for block in fenced("bash")[:2]]
SHOWN = [line for block in fenced("bash")[2:] for line in block.splitlines()]
# Each once, on however many pages it stands.
COMMANDS = list(dict.fromkeys(line for line in SHOWN if line and not line.startswith("# ")))

# Tested separately below, because it needs more than a working directory.
OWN_NETWORK = "python -m vgg_lit.train model=my_net 'trusted_targets=[my_package]'"
EXPORTED = "python -m vgg_lit.predict model=<run>/export images=shoe.png"
TENSORBOARD = "tensorboard --logdir logs"
# Data sets that are not downloaded: composed and checked, not run.
EXPERIMENTS = tuple(f"experiment={name}_cifar10" for name in ("fast", "fast_vgg", "record"))
ABSENT = ("data=fashion_mnist", "data=cifar10", *EXPERIMENTS)


def is_absent(line):
    return any(word in ABSENT for word in line.split())


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, train):
    """A folder with the images and the run that the commands name."""
    folder = tmp_path_factory.mktemp("readme")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        path = folder / "photos" / ("bag", "boot")[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    Image.fromarray(pixels[0]).save(folder / "shoe.png")
    Image.fromarray(pixels[1]).save(folder / "painting.jpg")
    train(folder / "logs/runs/vgg13_bn_slim/a_run")
    return folder


@pytest.fixture
def run(workplace, monkeypatch, tmp_path):
    """The path of a run in the working directory; a copy, because commands write into it."""
    folder = tmp_path / "workplace"
    shutil.copytree(workplace, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return "logs/runs/vgg13_bn_slim/a_run"


def split(command, run):
    """The verb and the arguments of a documented command."""
    words = shlex.split(command.replace("<run>", run).replace("<sweep>", "logs/runs"))
    words = [
        word for word in words if word != "init.from=<cifar10_run>"
    ]  # half an hour of training
    assert words[:2] == ["python", "-m"]
    package, _, verb = words[2].partition(".")
    assert package == "vgg_lit"
    return verb, words[3:]


def shrink(arguments, tiny):
    """The arguments of a training command, plus those that shorten it; a resumed run is already short."""
    if any(argument.startswith("resume=") for argument in arguments):
        return [*arguments, "trainer.max_epochs=2"]
    if "init.from=cifar10" in arguments:  # the weights have one width and head
        tiny = [word for word in tiny if not word.startswith("model.")]
    if "data=image_folder" in arguments:  # 19 images to train on
        sizes = ["data.train_size=null", "data.test_size=null", "data.batch_size=4"]
        return [*arguments, *tiny, *sizes, "data.val_fraction=0.2"]
    if any(argument.startswith("data.folds=") for argument in arguments):
        return [*arguments, *(word for word in tiny if "val_fraction" not in word)]
    return [*arguments, *tiny]


def test_the_quick_start_installs_and_trains(tmp_path, tiny, command):
    extras = []
    for create, install, use in QUICK_START:
        assert create == "python3 -m venv .venv"
        pip, verb, quiet, with_, constraints, editable, project = shlex.split(install)
        assert (pip, verb, quiet, with_, editable) == (
            ".venv/bin/pip",
            "install",
            "-q",
            "-c",
            "-e",
        )
        assert (ROOT / constraints).is_file()
        assert project[0] == "."
        assert use.startswith(".venv/bin/python -m ")
        extras.append(Requirement(f"vgg_lit{project[1:]}").extras)
    assert extras == [set(), {"dev"}]
    train, test = (use.split()[2:] for _, _, use in QUICK_START)
    assert test == ["pytest", "-n", "2"]
    assert train == ["vgg_lit.train"]
    finished = command("train", *tiny, cwd=tmp_path)
    assert finished.code == 0, finished.err
    # The line `run` prints the path that the README calls <run>.
    (path,) = re.findall(r"^run +(\S+)$", finished.out, re.MULTILINE)
    assert (tmp_path / path / "checkpoints/best.ckpt").is_file()


def test_the_quick_start_needs_no_scroll_bar():
    assert max(len(line) for block in QUICK_START for line in block) <= 75


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_ci_runs_the_quick_starts_tests():
    """Runs the lines of .ci/run that read README.md, without installing anything."""
    lines = (ROOT / ".ci/run").read_text().splitlines()
    reading = [line for line in lines if re.match("(commands|install|tests)=", line)]
    show = """printf '%s\\n' "$install" "$tests" """
    script = "\n".join(["set -euo pipefail", *reading, show])
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        line.replace(".venv", ".venv-ci") for line in QUICK_START[1]
    ]
    for variable in ("install", "tests"):
        assert f'eval "${variable}"' in lines


def jobs(arguments):
    """The overrides of each job of a sweep, or of the single run."""
    if "-m" not in arguments:
        return [arguments]
    choices = [[]]
    for argument in arguments:
        if argument != "-m":
            key, _, values = argument.partition("=")
            choices = [[*c, f"{key}={value}"] for c in choices for value in values.split(",")]
    return choices


def present(verbs):
    lines = [line for line in COMMANDS if line.split()[2] in verbs and not is_absent(line)]
    return [line for line in lines if line not in (OWN_NETWORK, EXPORTED)]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=pytest.mark.slow) if "train -m " in line else line
        for line in present(["vgg_lit.train"])  # a sweep starts a process per job
    ],
)
def test_training_commands_run(line, run, verb, tiny):
    name, arguments = split(line, run)
    finished = verb(name, *shrink(arguments, tiny))
    assert finished.code == 0, finished.err
    done = {path.parent for path in Path("logs").rglob("metrics.json")} - {Path(run)}
    assert len(done) == (0 if "resume=" in line else len(jobs(arguments)))


@pytest.mark.parametrize(
    "line",
    present(
        [f"vgg_lit.{name}" for name in ("evaluate", "predict", "preview", "visualize", "reproduce")]
    ),
)
def test_commands_that_write(line, run, verb):
    name, arguments = split(line, run)
    finished = verb(name, *arguments)
    assert finished.code == 0, finished.err
    assert "written" in finished.out


@pytest.mark.parametrize("line", present(["vgg_lit.export"]))
def test_exported_models_predict(line, run, verb, monkeypatch):
    for package in ("onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(package, reason="needs the extra 'export'")
    monkeypatch.setattr("vgg_lit.exporting.parity.SECONDS", 0)
    name, arguments = split(line, run)
    for words in (arguments, split(EXPORTED, run)[1]):
        finished = verb(name, *words)
        assert finished.code == 0, finished.err
        assert "written" in finished.out
        name = "predict"


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.summarize" in line])
def test_summarize_commands_run(line, run, verb):
    name, arguments = split(line, run)
    finished = verb(name, *arguments)
    assert finished.code == 0, finished.err
    assert "parameters" in finished.out


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.compare" in line])
def test_compare_commands_run(line, run, verb):
    shutil.copytree(run, Path(run).with_name("another"))
    for job in ("0", "1"):  # runs=latest is a sweep
        copy = shutil.copytree(run, Path("logs/sweeps/vgg13_bn_slim/a_sweep", job))
        (copy / "environment.json").touch()
    name, arguments = split(line, run)
    finished = verb(name, *arguments)
    assert finished.code == 0, finished.err
    assert "written" in finished.out


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.stylize" in line])
def test_stylize_commands_run(line, run, verb, compose):
    name, arguments = split(line, run)
    if "weights=torchvision" in arguments:  # would download half a gigabyte
        assert compose(*arguments, verb=name).weights == "torchvision"
        return
    finished = verb(name, *arguments, "size=32", "steps=1", "accelerator=cpu")
    assert finished.code == 0, finished.err
    assert "written" in finished.out


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.tune" in line])
def test_search_commands_create_a_study(line, run, verb, tiny, monkeypatch):
    """Every range is parsed and checked, and the study is created; test_searches.py runs trials."""
    pytest.importorskip("optuna", reason="needs the extra tune")
    monkeypatch.setattr("vgg_lit.tuning.search.Search.run", lambda self: None)
    monkeypatch.setattr("vgg_lit.tuning.search.Search.has_result", lambda self: True)
    monkeypatch.setattr("vgg_lit.tuning.study_report.report", lambda *arguments: None)
    name, arguments = split(line, run)
    # without model.width, which a space may search
    finished = verb(name, *arguments, *(word for word in tiny if "width" not in word))
    assert finished.code == 0, finished.err
    assert len(list(Path("logs/tune").rglob("study.yaml"))) == 1


@pytest.mark.parametrize("line", [line for line in COMMANDS if is_absent(line)])
def test_commands_on_undownloaded_data_compose(line, run, compose):
    name, arguments = split(line, run)
    config = compose(*arguments, verb=name)
    assert config.data.source["_target_"].startswith("vgg_lit.data.")
    if name == "train":
        check_train(to_plain(config))


def test_every_command_is_tested():
    others = [line for line in COMMANDS if not line.startswith("python -m vgg_lit.")]
    assert others == [TENSORBOARD]
    assert {OWN_NETWORK, EXPORTED} <= set(COMMANDS)
    assert len(COMMANDS) > 10


def test_a_shell_does_not_split_the_commands():
    """Unquoted, bash would expand {a:1,b:2} into several words and parse parentheses."""
    for line in COMMANDS:
        special = "{}()" if line == OWN_NETWORK else "{}()[]*?"  # zsh expands the last four
        assert not set(special) & set(re.sub(r"'[^']*'", "", line)), line


def test_settings_in_the_text_compose(compose):
    """Every setting named outside code blocks, except those with a <placeholder>."""
    words = {name.strip("'") for name in names(PROSE)}
    settings = {word for word in words if re.fullmatch(r"[a-z_.]+=[^\s<]+", word)}
    assert len(settings) > 10
    of_key = defaultdict(list)
    for setting in sorted(settings - {"key=value", "weights_only=True"}):
        of_key[setting.partition("=")[0]].append(setting)
    for together in zip_longest(
        *of_key.values()
    ):  # one setting of each key at once, since composing is slow
        compose(*filter(None, together), verb="tune")  # tune includes the settings of train


def test_commands_of_results_compose(compose):
    """Composes every job of these commands without running them: they take minutes or hours."""
    lines = {name for name in names(PROSE) if name.startswith("python -m vgg_lit.train ")}
    assert len(lines) > 8
    for line in sorted(lines - {"python -m vgg_lit.train experiment=<name>"}):
        for overrides in jobs(split(line, "a_run")[1]):
            compose(*overrides)


def test_tensorboard_reads_the_runs(run):
    words = [sys.executable, "-m", "tensorboard.main", *TENSORBOARD.split()[1:], "--inspect"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "val/acc" in done.stdout


def test_a_custom_network_and_local_settings(run, verb, tiny, monkeypatch, tmp_path):
    network, settings = fenced("yaml")
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf, ignore=shutil.ignore_patterns("local"))
    (conf / "local").mkdir()
    (conf / "local/default.yaml").write_text(settings)
    (conf / "model/my_net.yaml").write_text(network)
    Path("my_package.py").write_text(
        "from torch import nn\n"
        "def MyNet(num_classes, in_channels):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(),\n"
        "                         nn.Linear(16 * in_channels, num_classes))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setattr("vgg_lit.config.command.config_folder", lambda: conf)
    monkeypatch.setattr("vgg_lit.targets._trusted", set())

    register_resolvers()
    with hydra.initialize_config_dir(str(conf), **VERSION_BASE):
        config = hydra.compose("train")
    assert config.data_root == OmegaConf.create(settings).data_root

    name, arguments = split(OWN_NETWORK, run)
    without_width = [setting for setting in tiny if not setting.startswith("model.")]
    finished = verb(name, *arguments, *without_width)
    assert finished.code == 0, finished.err


def test_python_examples_run(run, capsys, tmp_path):
    examples = fenced("python")
    assert len(examples) >= 4
    shutil.copytree(run, tmp_path / "sweep/0")
    sweep = Sweep(tmp_path / "sweep")
    sweep.add(["seed=0"], "0").status = "done"
    sweep.write()
    for example in examples:
        source = example.replace("<run>", run).replace("<sweep>", str(sweep.path))
        exec(compile(source, "docs/python-api.md", "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "verb_name",
    [
        *("train", "evaluate", "predict", "preview", "summarize", "compare"),
        *("visualize", "reproduce", "stylize", "export", "tune"),
    ],
)
def test_help_names_the_settings(verb_name, verb):
    finished = verb(verb_name, "--help")
    assert finished.code == 0
    assert f"python -m vgg_lit.{verb_name}" in finished.out


def test_table_of_networks():
    table = rows("`model=`")
    assert {names(row[0])[0] for row in table} == set(VARIANTS)
    for cell, configuration, depth, paper, small in table:
        (name,) = names(cell)
        variant = VARIANTS[name]
        suffix = " with batch norm" if variant.batch_norm else ""
        assert configuration == f"{variant.letter}{suffix}"
        assert int(depth) == sum(len(block) for block in variant.plan) + 3
        with torch.device("meta"):
            nets = build(name), build(name, head="linear", image_size=32, num_classes=10)
        counts = [f"{sum(p.numel() for p in net.parameters()):,}" for net in nets]
        assert [paper, small] == counts


def test_table_of_heads():
    assert [names(row[0])[0] for row in rows("`model.head=`")] == list(HEADS)


def test_table_of_data_sets():
    shown = {names(row[0])[0] for row in rows("`data=`")}
    assert shown == {path.stem for path in (ROOT / "conf/data").glob("*.yaml")} - {"base"}


def test_table_of_augmentations():
    shown = [names(row[0])[0] for row in rows("`augment=`")]
    assert set(shown) == {path.stem for path in (ROOT / "conf/augment").glob("*.yaml")}


def test_table_of_experiments():
    shown = {name for row in rows("`experiment=`") for cell in row for name in names(cell)}
    assert {path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")} <= shown


def test_table_of_groups():
    """Lists every option of every group, with the default first."""
    train = OmegaConf.load(ROOT / "conf/train.yaml")
    tune = OmegaConf.load(ROOT / "conf/tune.yaml")
    entries = [entry for entry in [*tune.defaults, *train.defaults] if OmegaConf.is_dict(entry)]
    defaults = {key: value for entry in entries for key, value in entry.items()}
    shown = {names(row[0])[0]: names(row[1]) for row in rows("group")}
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert set(shown) == groups - {"hydra", "local"}
    for group, options in shown.items():
        files = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        assert set(options) == files - ({"base"} if group == "data" else set()), group
        default = defaults[group]
        first = default[0] if OmegaConf.is_list(default) else default
        assert first is None or options[0] == first


@pytest.mark.parametrize("verb_name", sorted(path.stem for path in (ROOT / "conf").glob("*.yaml")))
def test_tables_of_settings(verb_name, compose):
    """Lists every setting outside the groups; tests/unit/config compares defaults and descriptions."""
    config = OmegaConf.to_container(compose(verb=verb_name))
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    chosen = OmegaConf.load(ROOT / "conf" / f"{verb_name}.yaml").defaults
    if config.get("data") == {"root": None} and "data" not in [
        next(iter(one)) for one in chosen if isinstance(one, DictConfig)
    ]:
        groups -= {"data"}  # a section here, not the group
    tables = ["train", "tune"] if verb_name == "tune" else [verb_name]
    shown = [names(row[0])[0] for table in tables for row in rows(f"`{table}`")]
    assert {key.partition(".")[0] for key in shown} == set(config) - groups
    assert all(row[1] and row[-1] for table in tables for row in rows(f"`{table}`"))


def test_every_hop_of_the_walks_exists():
    """The rows `| number | file | function | ... |` of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    hops = re.findall(r"^\| \d+ \| `([\w/.]+)` \| `(\w+)` \|", text, re.MULTILINE)
    assert len(hops) > 10
    for file, name in hops:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, DEFINITIONS)}
        assert name in defined, f"{file} has no {name}"


def test_the_files_to_change_exist():
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = table.partition("### Which file do I change for ...")[2].partition("\n## ")[0]
    files = re.findall(r"`((?:vgg_lit|conf)/[\w/.]+)", table)
    assert len(files) > 8
    for file in files:
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_layout_names_what_is_there(page):
    block = (ROOT / page).read_text().partition("## Layout")[2].split("```")[1].strip()
    for name in re.findall(r"[\w/]+\.py|^ *\w+/", block, re.MULTILINE):
        inside = "vgg_lit" if name.startswith(" ") or name.endswith(".py") else ""
        assert (ROOT / inside / name.strip()).exists(), name
