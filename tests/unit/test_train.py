"""The checks of the `train` verb itself; tests of training are elsewhere."""


def test_jobs_of_other_launchers_are_limited_to_one_device(verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("train", "-m", "hydra/launcher=basic", "seed=0,1", "trainer.devices=2", *tiny)
    assert done.code == 2
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all(
        "trainer.devices=2: allowed only with hydra/launcher=process" in error for error in errors
    )
    assert not list(tmp_path.glob("logs/sweeps/*/*/*/config.yaml"))


def test_a_refused_config_leaves_no_directory(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert verb("train", "optimizer.lr=-1").code == 2
    assert not list(tmp_path.glob("logs/runs/*/*"))


def test_an_unknown_objective_is_reported(verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("train", *tiny, "objective=val/accuracy")
    assert done.code == 0
    assert "warning: objective=val/accuracy: is not a metric of this run; available: " in done.err
    assert "val/acc" in done.err


def test_a_recipe_without_validation_ends_without_a_warning(verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("train", *tiny, "data.val_fraction=0", "data.num_classes=10")
    assert done.code == 0
    assert "objective" not in done.err


def test_the_end_names_the_epoch_and_the_next_commands(verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("train", *tiny, "hydra.run.dir='my runs'")
    assert " on fashion_mnist_sample, epoch 1, the best by val/loss" in done.out
    for command in ("evaluate", "visualize", "export"):
        assert f"python -m vgg_lit.{command} 'run=\"my runs\"'" in done.out
