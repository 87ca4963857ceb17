"""Command lines that Hydra refuses: one line with the remedy."""

import re
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

import vgg_lit
from vgg_lit.config.refusals import check_flags, explain_refusal, flags_last, with_key
from vgg_lit.errors import InputError
from vgg_lit.new import write_starter
from vgg_lit.system.operating_system import quoted
from vgg_lit.system.overrides import shell_words


def test_several_values_without_the_flag_of_a_sweep():
    with pytest.raises(
        InputError, match=r"^seed=0,1: several values are a sweep, started with -m: "
    ):
        vgg_lit.compose("seed=0,1")
    with pytest.raises(InputError, match=r"^run=a,b: a list is written (['\"])run=\[a,b\]\1$"):
        vgg_lit.compose("run=a,b", command="evaluate")


@pytest.mark.parametrize(
    ("typed", "ending"),
    [
        ("seed=0,1", "vgg_lit.train -m seed=0,1"),
        ("data.fold=0,1", "vgg_lit.train -m data.fold=0,1"),
        ("model=vgg11,vgg13", "vgg_lit.train -m model=vgg11,vgg13"),
        ("tags=a,b", f"; a list is written {quoted(['tags=[a,b]'])}"),
        ("callbacks=default,ema", f"; a list is written {quoted(['callbacks=[default,ema]'])}"),
    ],
)
def test_a_list_is_named_only_where_the_setting_can_be_one(typed, ending):
    with pytest.raises(InputError, match=f"^{typed}: several values are a sweep, ") as error:
        vgg_lit.compose(typed)
    assert str(error.value).endswith(ending)


def test_a_number_of_another_command_takes_one_value():
    with pytest.raises(InputError, match=r"^batch_size=1,2: takes one value$"):
        vgg_lit.compose("run=x", "batch_size=1,2", command="evaluate")


def test_the_command_of_a_sweep_has_all_arguments(verb):
    """The other settings and the flags stay; the key is corrected in its place."""
    typed = ("model=vgg16_bn", "lr=0.1,0.2", "name=a b", "--config-dir", "a dir")
    found = explain_refusal(_ambiguous("lr=0.1,0.2"), "train", typed)
    words = ("model=vgg16_bn", "optimizer.lr=0.1,0.2", "name=a b", "--config-dir", "a dir")
    command = quoted(["python", "-m", "vgg_lit.train", "-m", *words])
    assert found == f"lr=0.1,0.2: several values are a sweep, started with -m: {command}"
    assert "started with -m: python -m vgg_lit.train -m model=vgg11 seed=0,1\n" in (
        verb("train", "model=vgg11", "seed=0,1").err
    )


def _ambiguous(override):
    return ConfigCompositionException(f"Ambiguous value for argument '{override}' 1. To use it")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The package of `vgg new`, as the current directory."""
    write_starter(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("experiment=first lr=3", "optimizer.lr"),
        ("experiment=first epochs=3", "trainer.max_epochs"),
        ("experiment=first loss.wieght=3", "loss.weight"),
        ("model=small_net modle.width=3", "model.width"),
        ("-m model=small_net,vgg11 modle.width=3", "model.width"),
        ("callbacks=[default,nothing] lr=3 model=small_net", "callbacks"),
        ("data=strips", "data=stripes"),
        ("small_net", "model=small_net"),
    ],
)
@pytest.mark.parametrize(
    "flags", [["--config-dir", "conf"], ["--config-dir=conf"], ["-cd", "conf"]]
)
def test_near_matches_with_options_of_another_folder(line, meant, flags, project, verb):
    error = verb("train", *flags, *line.split()).err
    assert meant in error
    assert "allowed" in error or "is not key=value" in error
    if "nothing" not in line:
        assert f"did you mean {meant}" in error


def test_near_matches_of_ranges_with_options_of_another_folder(project, verb):
    text = "_target_: torch.nn.CrossEntropyLoss\nreduction: mean\n"
    Path("conf/loss/summed.yaml").write_text(text, encoding="utf-8")
    ranges = ("los.reducton=mean,sum", "n_trials=1")
    error = verb("tune", "--config-dir", "conf", "loss=summed", *ranges).err
    assert "unknown key los.reducton; did you mean loss.reduction? allowed: " in error


def test_near_matches_with_a_search_path(project):
    with pytest.raises(InputError, match=r"did you mean loss\.weight\? allowed in loss: "):
        vgg_lit.compose("hydra.searchpath=[conf]", "experiment=first", "loss.wieght=3")


def test_near_matches_without_options_that_cannot_be_composed():
    error = ConfigCompositionException("Could not override 'lr'.")
    found = explain_refusal(error, "train", ["experiment=nothing", "lr=3"])
    assert found.startswith("unknown key lr; did you mean optimizer.lr? allowed: ")


def test_a_flag_is_near_a_key_of_another_folder(project):
    with pytest.raises(InputError, match=r"did you mean loss\.weight=3\?"):
        check_flags(["--config-dir", "conf", "experiment=first", "--loss.wieght=3"], "train")


def test_a_forgotten_folder_of_configs(project):
    for typed in ("experiment=first", "callbacks=[default,first]"):
        group = typed.partition("=")[0]
        Path("conf", group).mkdir(exist_ok=True)
        Path("conf", group, "first.yaml").touch()
        with pytest.raises(InputError) as error:
            vgg_lit.compose(typed)
        meant = quoted(["--config-dir", "conf", typed])
        assert f"there is no such config; did you mean {meant}? allowed: " in str(error.value)
    with pytest.raises(InputError, match=r"no such config; allowed: "):
        vgg_lit.compose("experiment=zzzzzz")


def test_an_image_that_does_not_exist_is_an_image():
    for name in ("shoe2.jpg", "Shoe.PNG", "shoe (1).jpg"):
        with pytest.raises(InputError) as error:
            vgg_lit.compose(name, command="predict")
        meant = shell_words({"images": name})
        assert str(error.value) == f"{name}: is not key=value; did you mean {meant}?"


@pytest.mark.parametrize("value", ["it's.png", "img[0-9].png", "a b=c", "é=1 b=2"])
def test_a_value_that_needs_quotes_is_shown_with_them(value):
    with pytest.raises(InputError) as error:
        vgg_lit.compose(f"images={value}", command="predict")
    assert str(error.value).endswith(f"did you mean {shell_words({'images': value})}?")


def test_no_function_is_shown_as_a_text():
    with pytest.raises(InputError, match="is not a valid key=value"):
        vgg_lit.compose("seed=rnage(3)")


def test_a_path_without_its_key(tmp_path):
    for command, key in (("evaluate", "run"), ("compare", "runs"), ("train", "resume")):
        with pytest.raises(InputError, match=f"did you mean {key}={re.escape(str(tmp_path))}"):
            vgg_lit.compose(str(tmp_path), command=command)


def test_a_folder_in_the_place_of_a_data_set(tmp_path):
    (tmp_path / "photos").mkdir()
    place = tmp_path / "photos"
    message = f"did you mean data=image_folder data.root={place}"
    with pytest.raises(InputError, match=re.escape(message)):
        vgg_lit.compose(f"data={place}")


def test_settings_written_as_flags():
    with pytest.raises(InputError, match=r"--lr: is not a flag; did you mean optimizer\.lr=0\.1\?"):
        check_flags(["--lr=0.1"], "train")
    with pytest.raises(
        InputError, match=r"--batch-size: is not a flag; did you mean data\.batch_size"
    ):
        check_flags(["model=vgg16", "--batch-size", "64"], "train")
    with pytest.raises(
        InputError, match=r"-b: is not a flag; did you mean data\.batch_size=\.\.\.\?"
    ):
        check_flags(["-b", "128"], "train")
    with pytest.raises(InputError, match=r"did you mean callbacks=\[default,ema\]\?"):
        check_flags(["--model-ema"], "train")
    check_flags(["-m", "-cd", "x", "-c", "job", "-sc", "install=bash"], "train")
    check_flags(["--multirun", "--cfg", "job", "--config-dir=x", "-m"], "train")


def test_flags_may_stand_anywhere():
    typed = ["seed=1", "--config-dir", "mine", "model=a", "-m", "data=b"]
    assert flags_last(typed) == ["seed=1", "model=a", "data=b", "--config-dir", "mine", "-m"]
    assert flags_last(["--cfg", "job", "x=1"]) == ["x=1", "--cfg", "job"]


@pytest.mark.parametrize(
    ("command", "line", "message"),
    [
        ("train", "model=5", r"^model=5: the value of a group is the name of one of its configs"),
        ("train", "model=null", r"^model=null: the value of a group is the name"),
        ("train", "callbacks=[default,nothing]", r"^callbacks=nothing: there is no such config; "),
        ("train", "zzz.yyy=3", r"^unknown key zzz\.yyy; allowed: "),
        ("evaluate", "zzz=3", r"trusted_targets, data, augment, metrics$"),
        ("train", "optimizer.zzz=3", r"^unknown key optimizer\.zzz; allowed in optimizer: "),
        ("train", "a b=c", "is not a valid key=value; quote a value with spaces"),
        ("train", "=3", r"^=3: the value of a group is the name"),
        (
            "train",
            "lr=0.1,0.2",
            r"started with -m: python -m vgg_lit\.train -m optimizer\.lr=0\.1,0\.2$",
        ),
        ("train", "model=plan", r"did you mean one of plan_1, plan_2, plan_3\?"),
        (
            "train",
            "augment=flip",
            r"did you mean one of flip_crop, flip_crop_erasing, flip_shift\?",
        ),
        ("train", "model=vgg11_b", r"did you mean model=vgg11_bn\?"),
        ("evaluate", "latest", r"^latest: is not key=value; did you mean run=latest\?"),
        ("predict", "latest", r"^latest: is not key=value; did you mean run=latest\?"),
    ],
)
def test_a_refused_line_is_one_line_with_what_is_allowed(command, line, message):
    with pytest.raises(InputError, match=message) as refused:
        vgg_lit.compose(line, command=command)
    assert "\n" not in str(refused.value)


def test_a_launcher_of_an_extra_names_the_extra():
    error = Exception(
        "Error instantiating: Unknown plugin class: "
        "'hydra_plugins.hydra_submitit_launcher.SlurmLauncher'"
    )
    message = explain_refusal(error, "train", [])
    assert message.endswith('is not installed; pip install "vgg_lit[slurm]"')


@pytest.mark.parametrize(("named", "shown"), [(["logs/runs"], "logs/runs"), ([], "disk")])
def test_a_run_directory_that_cannot_be_made_names_the_setting(named, shown):
    error = OSError(28, "No space left on device", *named)
    found = explain_refusal(error, "train", ["seed=1"])
    assert found.startswith(f"{shown}: cannot be created (No space left on device); hydra.run.dir=")


@pytest.mark.parametrize(
    ("file", "remedy"), [("local/default", "; select it in an experiment"), ("experiment/my", "")]
)
def test_a_group_that_a_file_overrides_in_vain_is_named_with_the_file(file, remedy):
    for message in (
        "Could not override 'logger@local.logger'. No match in the defaults list.",  # Hydra 1.3
        "Invalid Defaults List override '/logger: csv'. No earlier Group Default",  # Hydra 1.4
    ):
        error = ConfigCompositionException(f"In '{file}': {message}")
        found = explain_refusal(error, "predict", ["run=x"])
        assert found == f"{file}.yaml: override /logger: predict has no such group{remedy}"


def test_an_invalid_setting_of_hydra_is_named():
    found = explain_refusal(AssertionError("verbose"), "train", ["--cfg", "hydra.verbose=[]"])
    assert found == "hydra.verbose=[]: invalid setting of Hydra (verbose)"


def test_an_error_without_a_key_names_the_interpolation(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "seed=${x", "model=vgg11"])
    assert with_key(OmegaConfBaseException("broken")) == "seed=${x: broken"
    error = OmegaConfBaseException("broken full_key: a.b object_type=dict")
    error.full_key = "a.b"
    assert with_key(error) == "a.b: broken"


@given(st.lists(st.sampled_from(["a=1", "-m", "--cfg", "job", "-cd", "x", "--info", "b=2"])))
def test_arguments_keep_their_number_and_the_order_of_their_kind(arguments):
    found = flags_last(arguments)
    assert sorted(found) == sorted(arguments)
    typed = [argument for argument in found if "=" in argument]
    first_flag = next((n for n, argument in enumerate(found) if argument[0] == "-"), len(found))
    assert not [argument for argument in found[:first_flag] if argument[0] == "-"]
    assert flags_last(found) == found
    assert typed == [argument for argument in found if argument in ("a=1", "b=2")]
