"""Running, recording and resuming the jobs of a sweep."""

import re
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from hydra.core.utils import JobStatus
from operating_systems import posix

from vgg_lit.sweeps import Sweep
from vgg_lit.system.operating_system import ENDING

FIVE = {
    "seed=0": "done(0.25)",
    "seed=1": "raise RuntimeError('out of luck')",
    "seed=2": "done(0.5)",
    "seed=3": "status('running'); os.kill(os.getpid(), signal.SIGKILL)",
    "seed=4": "done(0.75)",
}


SAVED = (
    "status('running'); (here / 'checkpoints').mkdir(); (here / 'checkpoints/last.ckpt').touch()"
)


def signal_when(path, *signums):
    """Sends signals to this process, one after another, once a file exists."""

    def send():
        while not Path(path).exists():
            time.sleep(0.01)
        for signum in signums:
            signal.raise_signal(signum)
            time.sleep(0.3)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@posix
def test_failed_jobs_are_recorded_and_the_others_run(sweep, record):
    done = sweep(FIVE, "seed=range(5)")
    assert done.code == 1
    assert done.statuses == ["done", "failed", "done", "failed", "done"]
    raised, killed = done.sweep.jobs[1], done.sweep.jobs[3]
    assert (raised.exit_code, raised.signal) == (1, None)
    assert raised.reason == "exit code 1, RuntimeError: out of luck"
    assert (killed.exit_code, killed.signal) == (None, "SIGKILL")
    assert killed.reason == "killed by SIGKILL, as the system does when memory runs out"
    for job in (raised, killed):
        assert record(f"swept/{job.number}")["status"] == "failed"
        assert record(f"swept/{job.number}")["reason"] == job.reason


@posix
def test_a_failure_is_one_line_and_its_traceback_in_the_log(sweep):
    done = sweep(FIVE, "seed=1,3")
    first, second = done.err.splitlines()
    assert first == (
        "error: job 0, seed=1: exit code 1, RuntimeError: out of luck; see swept/0/log.txt"
    )
    assert second.startswith("error: job 1, seed=3: killed by SIGKILL")
    assert "Traceback" not in done.out
    (line,) = [line for line in done.out.splitlines() if "out of luck" in line]
    assert line == "[0] seed=1: failed: exit code 1, RuntimeError: out of luck"
    assert "Traceback" in Path("swept/0/log.txt").read_text(encoding="utf-8")


def test_the_table_lists_every_job_and_the_command_to_resume(sweep):
    out = sweep(FIVE, "seed=0,1").out
    rows = [line for line in out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row.strip("│").split("│")][:4] for row in rows] == [
        ["0", "seed=0", "done", "25.00 %"],
        ["1", "seed=1", "failed", ""],
    ]
    again = "python -m vgg_lit.train -m seed=0,1 hydra.sweep.dir=swept"
    assert out.splitlines()[-1] == f"resume  {again}"


def test_a_resumed_sweep_runs_only_unfinished_jobs(sweep):
    sweep(FIVE, "seed=0,1,3")
    healed = dict.fromkeys(FIVE, "done(1.0)")
    again = sweep(healed, "seed=0,1,3")
    assert again.started == ["seed=1", "seed=3"]
    assert (again.code, again.err) == (0, "")
    assert "resume  " not in again.out
    assert [job.objective for job in again.sweep.jobs] == [0.25, 1.0, 1.0]
    last = sweep(healed, "seed=0,1,3")
    assert last.started == []
    assert last.code == 0
    assert last.out.count("done") == 6  # a line and a table row per job


def test_a_job_is_identified_by_its_overrides(sweep):
    ok = {f"seed={seed}": "done()" for seed in range(4)}
    sweep({**ok, "seed=1": "sys.exit(1)"}, "seed=0,1", "label_smoothing=0")
    more = sweep(ok, "label_smoothing=0", "seed=3,1,0")
    assert more.started == ["seed=3", "seed=1"]
    assert [(job.number, job.directory, job.overrides[-1]) for job in more.sweep.jobs] == [
        (0, "0", "label_smoothing=0"),
        (1, "1", "label_smoothing=0"),
        (2, "2", "seed=3"),
    ]


def test_a_duplicate_job_runs_once(sweep):
    done = sweep({"seed=0": "done()"}, "seed=0,0")
    assert done.started == ["seed=0"]
    assert [result.return_value for result in done.values] == [0.5, 0.5]


def test_a_job_resumes_from_its_checkpoint_or_restarts(sweep):
    scripts = {"seed=0": f"{SAVED}; sys.exit(1)", "seed=1": "status('running'); sys.exit(1)"}
    sweep(scripts, "seed=0,1")
    resumed = "print('resumed' if is_resumed else 'from the start'); done()"
    again = sweep(dict.fromkeys(scripts, resumed), "seed=0,1")
    assert "[0] resumed\n" in again.out
    assert "[1] from the start\n" in again.out
    assert not Path("swept/0.attempt1").exists()
    assert Path(
        "swept/1.attempt1/config.yaml"
    ).is_file()  # its old directory is kept under this name


def test_a_job_finished_outside_the_sweep_is_done(sweep):
    sweep({"seed=0": "status('running'); sys.exit(1)"}, "seed=0")
    Path("swept/0/status.json").write_text('{"status": "done"}', encoding="utf-8")
    Path("swept/0/metrics.json").write_text('{"val/acc": 0.125}', encoding="utf-8")
    again = sweep({"seed=0": "done()"}, "seed=0")
    assert again.started == []
    assert again.sweep.jobs[0].objective == 0.125


@pytest.mark.parametrize("batch", ["null", "1"])
def test_jobs_with_one_directory_are_refused(batch, sweep):
    one_name = "hydra.sweep.subdir=${model.variant}"
    done = sweep(FIVE, "seed=0,2", one_name, f"hydra.sweeper.max_batch_size={batch}")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "hydra.sweep.subdir=vgg13_bn: jobs 0 and 1 would have the same" in done.err
    assert done.started == ([] if batch == "null" else ["seed=0"])


@pytest.mark.parametrize("first", ["done(0.125)", f"{SAVED}; sys.exit(1)"])
def test_a_directory_with_another_job_is_refused(first, sweep):
    sweep(dict.fromkeys(FIVE, first), "seed=0,2")
    Path("swept/sweep.json").unlink()
    again = sweep(dict.fromkeys(FIVE, "done(0.5)"), "seed=2,0,4")
    assert again.code == 2
    assert again.started == ["seed=4"]
    assert again.statuses == ["refused", "refused", "done"]
    assert [job.metrics for job in again.sweep.jobs] == [{}, {}, {"val/acc": 0.5}]
    first = again.sweep.jobs[0].reason
    assert first.startswith("swept/0: contains another job (seed=0); to resume a sweep, repeat its")


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_job_does_not_take_the_result_of_another_job(status, sweep):
    done = sweep(FIVE, "seed=0,2")
    done.sweep.jobs[0].status = status
    done.sweep.write()
    shutil.rmtree("swept/0")
    shutil.copytree("swept/1", "swept/0")
    again = sweep(FIVE, "seed=0,2")
    assert (again.code, again.started) == (2, [])
    assert again.statuses == ["refused", "done"]
    assert again.sweep.jobs[0].metrics == {}
    assert again.sweep.jobs[0].reason.startswith("swept/0: contains another job (seed=2)")


@pytest.mark.parametrize("first", ["done(0.125)", f"{SAVED}; sys.exit(1)"])
def test_a_job_that_recorded_other_overrides_is_repeated(first, sweep):
    """Such as the path of the run that was `latest` when it started."""
    sweep({"seed=0": first}, "seed=0")
    Path("swept/0/overrides.txt").write_text("seed=0\ninit.from=logs/runs/a\n", encoding="utf-8")
    again = sweep({"seed=0": "done(0.5)"}, "seed=0")
    assert (again.code, again.statuses) == (0, ["done"])
    assert again.started == ([] if "exit" not in first else ["seed=0"])


def test_the_sweeper_receives_objectives_and_none_for_failed_jobs(sweep):
    done = sweep(FIVE, "seed=0,1")
    assert [result.return_value for result in done.values] == [0.25, None]
    assert [result.status for result in done.values] == [JobStatus.COMPLETED, JobStatus.FAILED]
    assert [result.cfg.seed for result in done.values] == [0, 1]
    assert done.values[0].hydra_cfg.hydra.job.num == 0


def test_a_failure_does_not_stop_later_batches(sweep):
    done = sweep(FIVE, "seed=1,2", "hydra.sweeper.max_batch_size=1")
    assert done.statuses == ["failed", "done"]
    assert done.code == 1
    assert done.err.count("error: ") == 1


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=-1", "greater than or equal to 0"),
        ("optimizer.lr=-1", "optimizer.lr"),
        ("trainer.num_nodes=2", "allowed: 1"),
        ("resume=logs", "hydra.sweep.dir"),
        ("trainer.devices=99", "this machine has"),
    ],
)
def test_a_bad_config_is_refused_before_any_job_starts(override, words, sweep):
    done = sweep({}, override)
    assert (done.code, done.started) == (2, [])
    assert done.err.startswith("error: job 0, ")
    assert done.err.count("\n") == 1
    assert words in done.err
    assert "python -m" not in done.out  # no command that resumes it
    assert not Path("swept").exists()


def test_a_refused_job_is_recorded_beside_others(sweep):
    done = sweep({"seed=0": "done()"}, "seed=-1,0", "hydra.sweeper.max_batch_size=1")
    assert (done.code, done.statuses) == (2, ["refused", "done"])
    assert [job.number for job in done.sweep.jobs] == [0, 1]
    sweep({}, "seed=-2")
    assert done.sweep.path.is_dir()


def test_a_folder_that_was_there_stays(sweep):
    Path("swept").mkdir()
    sweep({}, "seed=-1")
    assert Path("swept/sweep.json").is_file()


def test_bad_input_found_by_a_job_has_exit_code_2(sweep):
    late = "print('error: data.root=x: there is no such folder'); sys.exit(2)"
    done = sweep({"seed=0": late, "seed=1": "done()"}, "seed=0,1")
    assert done.code == 2
    assert done.statuses == ["refused", "done"]
    assert done.sweep.jobs[0].reason == "data.root=x: there is no such folder"
    mixed = sweep({"seed=0": late, "seed=2": "sys.exit(1)"}, "seed=0,2", path="mixed")
    assert mixed.code == 1


@pytest.mark.parametrize(
    "setting", ["n_jobs=0", "n_jobs=x", "grace_seconds=-1", "n_jobs=1.5", "n_jobs=null"]
)
def test_bad_settings_of_the_launcher_are_one_line(setting, sweep):
    done = sweep({}, "seed=0", f"hydra.launcher.{setting}")
    assert done.code == 2
    assert done.err.startswith(f"error: hydra.launcher.{setting}: should be ")
    assert done.err.count("\n") == 1


def test_a_job_that_exits_without_finishing_has_failed(sweep):
    done = sweep({"seed=0": "status('running')"}, "seed=0")
    assert done.code == 1
    assert done.sweep.jobs[0].reason == "exit code 0, it printed nothing"


@posix
def test_a_jobs_own_reason_is_kept(sweep, record):
    script = "status('failed', 'RuntimeError: mine'); os.kill(os.getpid(), signal.SIGKILL)"
    done = sweep({"seed=0": script}, "seed=0")
    assert done.sweep.jobs[0].reason == "RuntimeError: mine"
    assert record("swept/0")["reason"] == "RuntimeError: mine"


def test_a_job_that_cannot_be_started_has_failed(sweep):
    Path("swept").mkdir()
    Path("swept/0").write_text("in the way", encoding="utf-8")
    done = sweep(FIVE, "seed=0,2")
    assert done.statuses == ["failed", "done"]
    assert done.sweep.jobs[0].reason.startswith("cannot be started: ")


def test_a_full_disk_does_not_end_the_sweep(sweep, monkeypatch):
    written = []

    def write(sweep):
        written.append(sweep)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Sweep, "write", write)
    done = sweep(FIVE, "seed=0,1")
    assert done.code == 1
    assert [result.return_value for result in done.values] == [0.25, None]
    assert "[0] seed=0: not recorded: [Errno 28] No space left on device" in done.out


def test_a_job_with_a_damaged_status_has_failed(sweep):
    broken = "status('running'); (here / 'status.json').write_text('{'); sys.exit(1)"
    assert sweep({"seed=0": broken}, "seed=0").statuses == ["failed"]


def test_jobs_run_in_parallel(sweep):
    meet = "(common / '{0}').touch(); wait_for('{1}'); done()"
    scripts = {"seed=0": meet.format("a", "b"), "seed=1": meet.format("b", "a")}
    done = sweep(scripts, "seed=0,1", "hydra.launcher.n_jobs=2")
    assert done.statuses == ["done", "done"]


def test_at_most_n_jobs_run_at_once(sweep):
    script = (
        "mine = common / f'at_work.{os.getpid()}'; mine.touch(); time.sleep(0.1); "
        "print(len(list(common.glob('at_work.*'))), 'at work'); mine.unlink(); done()"
    )
    scripts = {f"seed={seed}": script for seed in range(5)}
    done = sweep(scripts, "seed=range(5)", "hydra.launcher.n_jobs=2")
    assert done.statuses == ["done"] * 5
    counts = re.findall(r"(\d) at work", done.out)
    assert len(counts) == 5
    assert set(counts) <= {"1", "2"}


@posix
@pytest.mark.parametrize("sent", ENDING)
def test_a_signal_ends_all_jobs_and_the_sweep(sent, sweep, tmp_path, record):
    code = 130 if sent == signal.SIGINT else 143
    script = (
        "signal.signal(signal.SIGINT, lambda *a: sys.exit(130)); "
        "signal.signal(signal.SIGTERM, lambda *a: sys.exit(143)); "
        "status('running'); (common / 'ready').touch(); time.sleep(60)"
    )
    handler = signal.getsignal(signal.SIGINT)
    sender = signal_when(tmp_path / "ready", sent)
    done = sweep({"seed=0": script}, "seed=0,1")
    sender.join()
    assert done.code == code
    assert done.started == ["seed=0"]
    assert done.statuses == ["preempted", "waiting"]
    assert done.sweep.jobs[0].exit_code == code
    assert record("swept/0")["status"] == "preempted"
    assert done.err == ""
    assert "resume  python -m vgg_lit.train -m seed=0,1 hydra.sweep.dir=swept" in done.out
    assert signal.getsignal(signal.SIGINT) is handler


DEAF = (
    "signal.signal(signal.SIGINT, signal.SIG_IGN); (common / 'ready').write_text(str(os.getpid())); "
    "time.sleep(60)"
)


@posix
def test_a_second_ctrl_c_kills_remaining_jobs(sweep, tmp_path):
    sender = signal_when(tmp_path / "ready", signal.SIGINT, signal.SIGINT)
    done = sweep({"seed=0": DEAF}, "seed=0")
    sender.join()
    assert done.code == 130
    assert done.sweep.jobs[0].signal == "SIGKILL"
    assert done.sweep.jobs[0].status == "preempted"


@posix
def test_jobs_have_grace_seconds_to_end(sweep, tmp_path):
    sender = signal_when(tmp_path / "ready", signal.SIGINT)
    done = sweep({"seed=0": DEAF}, "seed=0", "hydra.launcher.grace_seconds=0.1")
    sender.join()
    assert done.code == 130
    assert done.sweep.jobs[0].signal == "SIGKILL"


def test_a_directory_accepts_one_sweep_at_a_time(sweep):
    first = sweep({"seed=0": "done()"}, "seed=0")
    with first.sweep.lock():
        second = sweep({"seed=1": "done()"}, "seed=1")
    assert second.code == 2
    assert second.started == []
    assert second.err.startswith("error: hydra.sweep.dir=swept: another sweep, or a job")
    assert second.err.count("\n") == 1


def test_a_job_holds_its_sweeps_lock(sweep):
    script = """
lock = os.stat(here.parent / ".lock")
def is_lock(descriptor):
    try:
        return os.path.samestat(os.fstat(descriptor), lock)
    except OSError:
        return False
print("holds it" if any(map(is_lock, range(100))) else "does not"); done()
"""
    assert "[0] holds it\n" in sweep({"seed=0": script}, "seed=0").out


def test_other_configs_reach_the_jobs(verb, tmp_path, monkeypatch):
    from vgg_lit.sweeping.batch import SweepBatch

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/thin.yaml").write_text("defaults: [vgg11]\nwidth: 0.0625\n")
    commands = []
    monkeypatch.setattr(
        SweepBatch,
        "_run",
        lambda batch, waiting, lock: commands.extend(
            batch._command(job, is_resumed) for job in waiting for is_resumed in (False, True)
        ),
    )
    trusting = 'trusted_targets=["mine.nets"]'  # passed again to a resumed run
    arguments = ("model=thin", trusting, "hydra.job.chdir=false", "hydra.sweep.dir='a b'")
    verb("train", "-m", "--config-dir", "mine", *arguments, "hydra.launcher.n_jobs=1")
    new, resumed = (command[3:] for command in commands)
    flags = ["--config-dir", str(tmp_path / "mine")]
    assert new == [*flags, "model=thin", trusting, "hydra.job.chdir=false", "hydra.run.dir='a b/0'"]
    assert resumed == [*flags, "resume='a b/0'", trusting]
