"""Folders without write permission are refused in one line before the work; users without a home folder."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from rights import run_as_another


@pytest.fixture
def home(tmp_path):
    """The working directory of the other user."""
    for folder in (*tmp_path.parents, tmp_path):  # pytest's folders are private
        if folder.stat().st_mode & 0o011 != 0o011 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    home = tmp_path / "home"
    home.mkdir()
    return home


def test_every_verb_refuses_a_folder_without_write_permission(tiny, tiny_run, home, tmp_path):
    place = tmp_path / "others"
    place.mkdir()
    for name in ("run", "second"):
        shutil.copytree(tiny_run.path, place / name)
    Image.new("RGB", (32, 32)).save(place / "image.png")
    for folder in (place / "run", place):
        folder.chmod(0o555)
    run, image, new = f"run={place}/run", f"{place}/image.png", f"output={place}/new"
    commands = [
        ("train", *tiny, f"hydra.run.dir={place}/new"),
        ("train", f"resume={place}/run", "trainer.max_epochs=9"),
        ("train", "-m", *tiny, "seed=1,2", f"hydra.sweep.dir={place}/new"),
        ("tune", *tiny, f"hydra.run.dir={place}/new"),
        ("evaluate", run),
        ("visualize", run),
        ("predict", run, f"images={image}"),
        ("predict", run, f"images={image}", f"{new}.csv"),
        ("compare", f"runs=[{place}/run,{place}/second]", new),
        ("preview", f"{new}.png"),
        ("summarize", "model=vgg11", f"{new}.json"),
        ("export", run, "formats=[torch_export]"),
        ("export", run, "formats=[torch_export]", new),
        ("reproduce", run, new),
        ("stylize", f"content={image}", f"style={image}", f"weights={place}/run", f"{new}.png"),
    ]
    try:
        outcomes = run_as_another(commands, home)
    finally:
        for folder in (place, place / "run"):
            folder.chmod(0o755)
    for command, (code, errors) in zip(commands, outcomes, strict=True):
        assert code == 2, (command, errors)
        assert errors.startswith("error: "), (command, errors)
        assert errors.count("\n") == 1, (command, errors)
        assert "ermission" in errors or "is not a writable folder" in errors, (command, errors)
        assert str(place) in errors or "others" in errors, (command, errors)
    assert not list(place.glob("new*"))
    assert not list(home.iterdir())


def test_an_unwritable_folder_within_a_run_is_refused_before_the_work(tiny_run, home, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    for path in (run, *run.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    for name in ("checkpoints", "evaluations", "figures"):
        (run / name).mkdir(exist_ok=True)
        (run / name).chmod(0o555)
    commands = [
        ("train", f"resume={run}", "trainer.max_epochs=9"),
        ("evaluate", f"run={run}", "split=val"),
        ("visualize", f"run={run}", "figures=[history]"),
    ]
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcomes = run_as_another(commands, home)
    for command, (code, errors) in zip(commands, outcomes, strict=True):
        assert code == 2, (command, errors)
        assert "is not a writable folder" in errors, (command, errors)
        assert errors.count("error: ") == 1, (command, errors)  # after a warning of the resume
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_unwritable_logs_are_refused_before_the_training(tiny, home):
    (home / "logs").mkdir()
    (home / "logs").chmod(0o555)
    ((code, errors),) = run_as_another([("train", *tiny)], home)
    assert code == 2, errors
    assert errors.count("\n") == 1, errors
    assert "logs" in errors
    assert "cannot be created (Permission denied); hydra.run.dir=<folder>" in errors
    assert not list((home / "logs").iterdir())


def test_a_user_without_name_and_home_folder_trains(tiny, images, home):
    sizes = ("data.train_size=null", "data.test_size=null", "data.batch_size=4")
    folder = ("data=image_folder", f"data.root={images}", "data.image_size=32", *sizes)
    sample = ("train", *tiny, "hydra.run.dir=sample")
    commands = [
        sample,
        ("train", *tiny, *folder),
        ("train", *tiny, "data.root='~/images'", *folder[:1]),
    ]
    outcomes = run_as_another(commands, home)
    assert outcomes[0] == (0, "")
    assert outcomes[1][0] == 2
    assert outcomes[1][1] == "error: image cache: this user has no home folder; set VGG_LIT_CACHE\n"
    assert outcomes[2][0] == 2
    assert "~/images: this user has no home folder" in outcomes[2][1]
    files = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} == {"sample"}
    ((code, errors),) = run_as_another(
        [("train", *tiny, *folder, "hydra.run.dir=own")], home, VGG_LIT_CACHE=str(home / "cache")
    )
    assert code == 0, errors
    assert errors == ""
