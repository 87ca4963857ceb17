"""What the train verb refuses itself; what it does is tested where it is done."""


def test_with_another_launcher_a_job_takes_one_device(verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("train", "-m", "hydra/launcher=basic", "seed=0,1", "trainer.devices=2", *tiny)
    assert done.code == 2
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert all("trainer.devices=2: needs hydra/launcher=process" in error for error in errors)
    assert not list(tmp_path.glob("logs/sweeps/*/*/*/config.yaml"))


def test_a_config_that_is_refused_leaves_no_directory(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert verb("train", "optimizer.lr=-1").code == 2
    assert not list(tmp_path.glob("logs/runs/*/*"))


def test_an_objective_that_no_metric_is_called_is_said(verb, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("train", *tiny, "objective=val/accuracy")
    assert done.code == 0
    assert "warning: objective=val/accuracy: is no metric of this run; there are " in done.err
    assert "val/acc" in done.err
