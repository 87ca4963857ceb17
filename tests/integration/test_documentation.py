"""README.md and docs/ say what is: their commands and examples run, their tables agree with the code."""

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
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from PIL import Image

from vgg_lit.config import check_train, to_plain
from vgg_lit.models import HEADS, VARIANTS, build
from vgg_lit.resolvers import register_resolvers

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# These have tests of their own: test_extending.py and test_all_reduce_model.py.
TESTED_ELSEWHERE = {"extending.md", "scaling.md"}
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in TESTED_ELSEWHERE]
TEXT = "\n".join([README, *(page.read_text() for page in PAGES)])
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)


def fenced(language):
    """The blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def rows(heading):
    """The cells of the only table whose first heading is this one, without its two head rows."""
    table = rf"^\| {re.escape(heading)} \|.*\n\|[-:|]+\n((?:\|.*\n)+)"
    (body,) = re.findall(table, TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]


def names(cell):
    """What a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


SHOWN = [line for block in fenced("bash") for line in block.splitlines()]
# Each once, on however many pages it stands.
LINES = list(dict.fromkeys(line for line in SHOWN if line and not line.startswith("# ")))
QUICK_START, COMMANDS = LINES[:2], LINES[2:]

# What has a test of its own below, because it needs more than a folder to run in.
OWN_NETWORK = "python -m vgg_lit.train model=my_net trusted_targets=[my_package]"
EXPORTED = "python -m vgg_lit.predict model=<run>/export images=shoe.png"
TENSORBOARD = "tensorboard --logdir logs"
# Data sets that are not there: composed and checked, not run.
ABSENT = ("data=fashion_mnist", "data=cifar10", "experiment=fast_cifar10")


def is_absent(line):
    return any(word in ABSENT for word in line.split())


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, train):
    """A folder with what the commands name, and a run in it."""
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
    """The name of a run, in the folder that holds it; a copy, because commands write into it."""
    folder = tmp_path / "workplace"
    shutil.copytree(workplace, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return "logs/runs/vgg13_bn_slim/a_run"


def split(command, run):
    """Verb and arguments of a command of the documents."""
    words = shlex.split(command.replace("<run>", run))
    assert words[:2] == ["python", "-m"]
    package, _, verb = words[2].partition(".")
    assert package == "vgg_lit"
    return verb, words[3:]


def shrink(arguments, tiny):
    """A training command's arguments and those that make it short; a resumed run is short already."""
    if any(argument.startswith("resume=") for argument in arguments):
        return [*arguments, "trainer.max_epochs=2"]
    if "data=image_folder" in arguments:  # 19 images to train on
        sizes = ["data.train_size=null", "data.test_size=null", "data.batch_size=4"]
        return [*arguments, *tiny, *sizes, "data.val_fraction=0.2"]
    return [*arguments, *tiny]


def test_the_quick_start_installs_as_pip_and_trains(tmp_path, tiny, command):
    extras = []
    for line in QUICK_START:
        create, install, use = line.split(" && ")
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
    train, test = (line.split(" && ")[-1].split()[2:] for line in QUICK_START)
    assert test == ["pytest"]
    assert train == ["vgg_lit.train"]
    finished = command("train", *tiny, cwd=tmp_path)
    assert finished.code == 0, finished.err
    # What the README calls <run> is the first line's.
    name, path = finished.out.splitlines()[0].split()
    assert name == "run"
    assert (tmp_path / path / "checkpoints/best.ckpt").is_file()


def test_ci_runs_the_quick_starts_tests():
    assert QUICK_START[1] in README
    script = (ROOT / ".ci/run").read_text()
    pattern = re.search(r"grep -m 1 -E '(.+?)' README.md", script).group(1)
    assert [line for line in README.splitlines() if re.search(pattern, line)] == [QUICK_START[1]]


def jobs(arguments):
    """The overrides of each job of a sweep; of a single run, its own."""
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
        pytest.param(line, marks=pytest.mark.slow) if "-m model=" in line else line
        for line in present(["vgg_lit.train"])  # a sweep takes a process a job
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
def test_exports_are_written_and_predict(line, run, verb, monkeypatch):
    for package in ("onnxruntime", "onnxscript", "safetensors"):
        pytest.importorskip(package, reason="of the extra 'export'")
    monkeypatch.setattr("vgg_lit.exporting.parity.SECONDS", 0)
    name, arguments = split(line, run)
    for words in (arguments, split(EXPORTED, run)[1]):
        finished = verb(name, *words)
        assert finished.code == 0, finished.err
        assert "written" in finished.out
        name = "predict"


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.summarize" in line])
def test_summaries_need_no_data(line, run, verb):
    name, arguments = split(line, run)
    finished = verb(name, *arguments)
    assert finished.code == 0, finished.err
    assert "parameters" in finished.out


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.compare" in line])
def test_comparisons_find_the_runs(line, run, verb):
    shutil.copytree(run, Path(run).with_name("another"))
    name, arguments = split(line, run)
    finished = verb(name, *arguments)
    assert finished.code == 0, finished.err
    assert "written" in finished.out


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.stylize" in line])
def test_pictures_are_painted(line, run, verb, compose):
    name, arguments = split(line, run)
    if "weights=torchvision" in arguments:  # half a gigabyte to download
        assert compose(*arguments, verb=name).weights == "torchvision"
        return
    finished = verb(name, *arguments, "size=32", "steps=1", "accelerator=cpu")
    assert finished.code == 0, finished.err
    assert "written" in finished.out


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vgg_lit.tune" in line])
def test_searches_begin(line, run, verb, tiny, monkeypatch):
    """Every range is read and checked, and the study is made; its trials are tested by test_searches.py."""
    pytest.importorskip("optuna", reason="needs the extra tune")
    monkeypatch.setattr("vgg_lit.tuning.search.Search.run", lambda self: None)
    monkeypatch.setattr("vgg_lit.tuning.search.Search.has_result", lambda self: True)
    monkeypatch.setattr("vgg_lit.tuning.study_report.report", lambda *arguments: None)
    name, arguments = split(line, run)
    # without the widths that a space may search
    finished = verb(name, *arguments, *(word for word in tiny if "width" not in word))
    assert finished.code == 0, finished.err
    assert len(list(Path("logs/tune").rglob("study.yaml"))) == 1


@pytest.mark.parametrize("line", [line for line in COMMANDS if is_absent(line)])
def test_commands_on_absent_data(line, run, compose):
    name, arguments = split(line, run)
    config = compose(*arguments, verb=name)
    assert config.data.source["_target_"].startswith("vgg_lit.data.")
    if name == "train":
        check_train(to_plain(config))


def test_every_command_is_one_that_is_tested():
    others = [line for line in COMMANDS if not line.startswith("python -m vgg_lit.")]
    assert others == [TENSORBOARD]
    assert {OWN_NETWORK, EXPORTED} <= set(COMMANDS)
    assert len(COMMANDS) > 10


def test_a_shell_leaves_the_words_as_they_are():
    """Outside quotes bash would make several words of {a:1,b:2}, and syntax of parentheses."""
    for line in COMMANDS:
        assert not set("{}()") & set(re.sub(r"'[^']*'", "", line)), line


def test_settings_in_the_text_compose(compose):
    """Every setting named outside the blocks, but for those with a <place to fill in>."""
    words = {name.strip("'") for name in names(PROSE)}
    settings = {word for word in words if re.fullmatch(r"[a-z_.]+=[^\s<]+", word)}
    assert len(settings) > 10
    of_key = defaultdict(list)
    for setting in sorted(settings - {"key=value", "weights_only=True"}):
        of_key[setting.partition("=")[0]].append(setting)
    for together in zip_longest(
        *of_key.values()
    ):  # one of each key, since composing takes its time
        compose(*filter(None, together), verb="tune")  # which has those of train too


def test_commands_beside_results_compose(compose):
    """They take minutes or hours: composed, every job of a sweep, not run."""
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


def test_a_network_and_settings_of_ones_own(run, verb, tiny, monkeypatch, tmp_path):
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
        "                         nn.Linear(16 * in_channels, num_classes))\n"
    )
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setattr("vgg_lit.command.config_folder", lambda: conf)
    monkeypatch.setattr("vgg_lit.targets._trusted", set())

    register_resolvers()
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        config = hydra.compose("train")
    assert config.data_root == OmegaConf.create(settings).data_root

    name, arguments = split(OWN_NETWORK, run)
    without_width = [setting for setting in tiny if not setting.startswith("model.")]
    finished = verb(name, *arguments, *without_width)
    assert finished.code == 0, finished.err


def test_python_examples_run(run, capsys):
    examples = fenced("python")
    assert len(examples) >= 4
    for example in examples:
        exec(compile(example.replace("<run>", run), "docs/python-api.md", "exec"), {})
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
    """Every option of every group, the default first."""
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


def test_tables_of_settings():
    """Every setting outside the groups, with its default."""
    tables_of = {
        "train": ["`train`"],
        "evaluate": ["`evaluate`, `predict`"],
        "predict": ["`evaluate`, `predict`"],
        "export": ["`export`"],
        "preview": ["`preview`"],
        "summarize": ["`summarize`"],
        "compare": ["`compare`"],
        "visualize": ["`visualize`"],
        "reproduce": ["`reproduce`"],
        "stylize": ["`stylize`"],
        "tune": ["`tune`"],
    }
    for verb_name, tables in tables_of.items():
        config = OmegaConf.to_container(OmegaConf.load(ROOT / f"conf/{verb_name}.yaml"))
        shown = {name: row[1] for table in tables for row in rows(table) for name in names(row[0])}
        missing = set(config) - {"defaults", "hydra"} - set(shown)
        assert not missing, f"{verb_name}: {missing} in no table"
        if verb_name == "train":
            for name, default in shown.items():
                value = config[name]
                values = list(value.values()) if isinstance(value, dict) else [value]
                text = "" if all(one is None for one in values) else str(value)
                assert default == {"True": "true", "False": "false"}.get(text, text) or (
                    text == f"${{oc.env:VGG_LIT_DATA,{default}}}"
                ), name


def test_the_layout_names_what_is_there():
    block = README.partition("## How it is laid out")[2].split("```")[1].strip()
    for name in re.findall(r"[\w/]+\.py|^ *\w+/", block, re.MULTILINE):
        inside = "vgg_lit" if name.startswith(" ") or name.endswith(".py") else ""
        assert (ROOT / inside / name.strip()).exists(), name
