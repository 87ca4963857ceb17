"""The folder of a new run or sweep is made before Hydra makes it; that of a refused sweep is removed."""

from omegaconf import OmegaConf

from vgg_lit.config.output_folder import OutputFolder
from vgg_lit.system.new_folders import remove_if_unused


def start(folder):
    OutputFolder().on_run_start(OmegaConf.create({"hydra": {"run": {"dir": str(folder)}}}))


def test_a_refused_run_leaves_none_of_its_parents(tmp_path):
    start(tmp_path / "logs/runs/net")
    assert (tmp_path / "logs/runs/net").is_dir()
    remove_if_unused(tmp_path / "logs/runs/net")
    assert not list(tmp_path.iterdir())


def test_parents_that_were_there_stay(tmp_path):
    (tmp_path / "logs").mkdir()
    start(tmp_path / "logs/runs/net")
    remove_if_unused(tmp_path / "logs/runs/net")
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_a_folder_that_cannot_be_made_is_left_for_hydra(tmp_path):
    (tmp_path / "file").touch()
    start(tmp_path / "file/runs")
    OutputFolder().on_run_start(OmegaConf.create({"hydra": {"run": {"dir": "${absent}"}}}))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def sweep(folder, *files):
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})
    OutputFolder().on_multirun_start(config)
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    OutputFolder().on_multirun_end(config)


def test_a_sweep_without_jobs_leaves_none_of_its_parents(tmp_path):
    sweep(tmp_path / "logs/sweeps/net", "sweep.json", "multirun.yaml", ".lock")
    assert not list(tmp_path.iterdir())


def test_a_sweep_with_a_job_stays(tmp_path):
    sweep(tmp_path / "new", "sweep.json", "multirun.yaml", ".lock", "0/log.txt")
    assert (tmp_path / "new/sweep.json").is_file()


def test_the_records_of_an_earlier_sweep_stay(tmp_path):
    (tmp_path / "earlier").mkdir()
    sweep(tmp_path / "earlier", "sweep.json")
    assert (tmp_path / "earlier/sweep.json").is_file()
