"""The files and the output of a comparison of groups."""

import csv
import errno
import re
import shlex
import shutil
import subprocess

import pytest
from rich.cells import cell_len

from vgg_lit.config.checks import check_section
from vgg_lit.config.schema import Compare
from vgg_lit.errors import InputError
from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.comparison_report import ComparisonReport, report_on
from vgg_lit.reports.groups import RunGroups

HISTORY = "epoch,step,val/acc\n1,4,{}\n2,8,{}\n"
DEFAULTS = {
    **dict.fromkeys(("sort", "columns", "by", "curves")),
    **{"output": "comparison", "trusted_targets": []},
}
VALUES = {0.1: (0.81, 0.84, 0.80), 0.2: (0.86, 0.87, 0.86)}


@pytest.fixture
def runs(write_run):
    return [
        write_run(
            f"{lr}_{seed}",
            {"val/acc": value, "val/loss": 1 - value, "seconds": 5.0 + seed},
            lr=lr,
            seed=seed,
            tag="<i>",
            history=HISTORY.format(value / 2, value),
        )
        for lr, values in VALUES.items()
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def report(tmp_path, capsys):
    """`report(runs)`: the output of a comparison; its files are in tmp_path / "out"."""

    def report(runs, sort="val/acc", by=None):
        comparison = Comparison(runs)
        output = tmp_path / "out"
        found = ComparisonReport(comparison, RunGroups(comparison, by), sort)
        found.print()
        found.write(output)
        return capsys.readouterr().out

    return report


def read(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_groups_are_printed_and_written(report, runs, tmp_path):
    out = report(runs)
    assert "Mean over 3 seeds, the best val/acc first" in out
    assert out.count("lr=0.2") == 2  # once in the groups, once in the title of the tests
    assert "86.33 %" in out
    assert "6 runs by val/acc" not in out
    assert (
        "6 runs have no predictions for McNemar's test; this command writes those of the first:"
        in " ".join(out.split())
    )
    (command,) = [line for line in out.splitlines() if line.startswith("python -m")]
    assert shlex.split(command)[2:] == ["vgg_lit.evaluate", f"run={runs[0].path}"]
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        *("comparison.csv", "groups.csv", "differences.csv"),
        *("comparison.md", "comparison.tex", "comparison.html", "curves.png"),
    }
    assert len(read(tmp_path / "out/comparison.csv")) == 6
    assert [row["n"] for row in read(tmp_path / "out/groups.csv")] == ["3"] * 4
    markdown = (tmp_path / "out/comparison.md").read_text()
    assert re.findall("^#+ (.*)$", markdown, re.MULTILINE) == [
        "Mean over 3 seeds, the best val/acc first",
        "lr=0.2 minus lr=0.1: paired t-test over common seeds",
        "6 runs by val/acc",
    ]
    page = (tmp_path / "out/comparison.html").read_text()
    assert page.count("<table>") == 3


def test_files_of_an_earlier_comparison_are_removed(report, runs, write_predictions, tmp_path):
    for run in runs:
        write_predictions(run, "ab", "ab")
    out = report(runs)
    assert "McNemar's exact test" in out
    assert "vgg_lit.evaluate" not in out
    assert (tmp_path / "out/mcnemar.csv").is_file()
    for run in runs[::3]:
        (run.path / "predictions_test.csv").unlink()
        run.metrics_file.unlink()
    out = report(runs[::3])
    assert "2 runs by val/acc" in out
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not left & {"groups.csv", "differences.csv", "mcnemar.csv", "curves.png"}


@pytest.mark.parametrize("width", [80, 120])
def test_the_output_fits_the_terminal(width, report, runs, monkeypatch, write_predictions):
    monkeypatch.setenv("COLUMNS", str(width))
    for run in runs:
        write_predictions(run, "ab", "ab")
    tables = [line for line in report(runs).splitlines() if line[:1] in "┏┃┡│└├"]
    assert len(tables) > 12
    assert max(map(cell_len, tables)) <= width


def test_the_table_of_a_paper(report, runs, tmp_path):
    report(runs)
    tex = (tmp_path / "out/comparison.tex").read_text()
    assert r"lr & val/acc (\%) & val/loss \\" in tex
    assert r"0.2 & $\mathbf{86.33} \pm 0.58$ & $\mathbf{0.1367} \pm 0.0058$ \tabularnewline" in tex
    assert r"0.1 & $81.67 \pm 2.08$ & $0.183 \pm 0.021$ \tabularnewline" in tex
    assert "Mean and standard deviation over 3 seeds." in tex


def test_the_table_of_a_paper_has_a_column_for_unequal_counts(report, runs, tmp_path):
    report(runs[:5])
    tex = (tmp_path / "out/comparison.tex").read_text()
    assert "$n$ & val/acc" in tex
    assert r"over $n$ seeds." in tex


def test_runs_without_metrics_do_not_count(report, runs, write_run, tmp_path):
    out = report([*runs[:5], write_run("failed", {}, lr=0.2, seed=2, tag="<i>")])
    assert "Mean over seeds, the best" in out
    tex = (tmp_path / "out/comparison.tex").read_text()
    assert "0.2 & 2 & " in tex
    assert "0.1 & 3 & " in tex
    assert "over $n$ seeds." in tex


def test_metrics_of_unequal_counts_are_told_apart(report, write_run, tmp_path):
    both, one = {"val/acc": 0.5, "val/loss": 0.4}, {"val/acc": 0.6}
    runs = [write_run(str(seed), m, seed=seed) for seed, m in enumerate((both, both, one))]
    report([*runs, write_run("other", {}, lr=0.2)])
    tex = (tmp_path / "out/comparison.tex").read_text()
    assert "0.1 & 2/3 & " in tex
    assert "0.2 & 0 & -- & --" in tex


@pytest.mark.parametrize("sort", ["seed", "run"])
def test_a_column_that_groups_do_not_have_is_refused_before_writing(sort, report, runs, tmp_path):
    message = (
        f"^sort={sort}: groups have no such column; allowed: optimizer.lr, val/acc, "
        "val/loss, seconds, parameters, status$"
    )
    with pytest.raises(InputError, match=message):
        report(runs, sort=sort)
    assert not (tmp_path / "out").exists()


def test_the_last_part_of_a_column_is_a_column(report, runs):
    assert "Mean over 3 seeds, by optimizer.lr" in report(runs, sort="lr")
    assert "2 runs by optimizer.lr" in report(runs[::3], sort="lr")
    with pytest.raises(InputError, match="unknown column 'rate'"):
        report(runs, sort="rate")


def test_the_checkpoint_of_the_metrics_that_was_removed_is_named(report, write_run):
    history = HISTORY.format(0.6, 0.5)
    runs = [write_run(str(lr), {"val/acc": 0.6}, lr=lr, history=history) for lr in (0.1, 0.2)]
    out = report(runs)
    assert (
        "No McNemar's test, because the checkpoint of the final metrics was removed: 0.1, 0.2."
        in " ".join(out.split())
    )
    assert "vgg_lit.evaluate" not in out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runs": []}, r"^runs=\[\]: name at least one run, sweep or folder$"),
        ({"runs": ["x"], "by": []}, r"^by=\[\]: name at least one setting$"),
    ],
)
def test_empty_lists_have_a_message_of_their_own(settings, message):
    with pytest.raises(InputError, match=message):
        report_on(check_section({**DEFAULTS, **settings}, Compare))


def test_intervals_of_three_groups_are_whole_in_80_columns(report, runs, write_run, monkeypatch):
    values = (0.9, 0.92, 0.89)
    third = [
        write_run(f"t{seed}", {"val/acc": v, "val/loss": 1 - v}, lr=0.025, seed=seed, tag="<i>")
        for seed, v in enumerate(values)
    ]
    monkeypatch.setenv("COLUMNS", "80")
    out = report([*runs, *third])
    assert "…" not in out
    assert "Not shown" not in out
    assert re.search(r"│ \+8\.67 points │ [\d.]+ to [\d.]+ ", out), out


@pytest.mark.parametrize("chosen", [slice(0, 6), slice(0, 3), slice(0, 6, 3)])
def test_every_table_of_a_paper_compiles(chosen, report, runs, tmp_path):
    if not shutil.which("pdflatex"):
        pytest.skip("needs pdflatex with booktabs")
    report(runs[chosen])
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}"
        r"\begin{document}\input{out/comparison.tex}\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_runs_without_metrics_are_listed(report, write_run):
    out = report([write_run("a", {}), write_run("b", {}, seed=1)], sort="run")
    assert "2 runs by run" in out


def test_mcnemars_test_asks_for_the_predictions_of_finished_pairs(
    report, runs, write_run, write_predictions
):
    failed = write_run("failed", {}, lr=0.2, seed=3, tag="<i>")
    partner = write_run("partner", {"val/acc": 0.8}, seed=3, tag="<i>")
    for run in runs[::3]:
        write_predictions(run, "ab", "ab")
    out = report([*runs, failed, partner])
    assert "McNemar's exact test" in out
    assert "4 runs have no predictions for McNemar's test" in out


def test_predictions_of_different_images_have_a_reason(report, runs, write_predictions):
    write_predictions(runs[0], "ab", "ab")
    write_predictions(runs[3], "abc", "abc")
    out = report(runs[::3])
    assert "No McNemar's test: the predictions of 0.2_0 and 0.1_0 are of different images." in out
    assert "no predictions" not in out


def test_remarks_end_their_lines_between_words(report, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = report(runs).splitlines()
    (start,) = [n for n, line in enumerate(lines) if line.startswith("With 3 pairs, p")]
    assert lines[start : start + 3] == [
        "With 3 pairs, p < 0.05 needs a mean",
        "difference above 2.5 times the standard",
        "deviation of the differences.",
    ]


@pytest.mark.parametrize("output", ["taken", "taken/below", "/dev/null/x"])
def test_an_output_that_cannot_be_made_is_one_line(output, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("x")
    comparison = Comparison(runs)
    found = ComparisonReport(comparison, RunGroups(comparison), "val/acc")
    with pytest.raises(InputError, match=f"output={output}: .* is not a writable folder"):
        found.write(output)


def test_an_output_that_the_system_refuses_is_one_line(runs, tmp_path, monkeypatch):
    def refuse(path, **options):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))

    comparison = Comparison(runs)
    found = ComparisonReport(comparison, RunGroups(comparison), "val/acc")
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(InputError, match="out: cannot be made: No such file or directory"):
        found.write(tmp_path / "out")


def test_a_run_without_metrics_is_named_without_control_characters(make_run, report):
    runs = [
        make_run("a", {"val/acc": 0.5}),
        make_run("b", {"val/acc": 0.6}),
        make_run("x\x1b[2J", {}),
    ]
    assert "\x1b" not in report(runs)


def test_labels_that_do_not_fit_are_numbered_with_a_legend(
    report, write_run, tmp_path, monkeypatch
):
    tails = {letter: letter * 70 for letter in "ab"}
    runs = [
        write_run(f"{letter}{seed}", {"val/acc": value}, compile=tail, seed=seed)
        for (letter, tail), value in zip(tails.items(), (0.5, 0.6), strict=True)
        for seed in (0, 1)
    ]
    for columns in ("80", None):
        monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS")
        out = report(runs)
        assert "…" not in out
        legend = (
            f"group 1: compile={tails['b']} group 2: compile={tails['a']} group 1 minus group 2:"
        )
        assert " ".join(out.split()).count(legend) == 1
        assert "\ngroup 1 minus group 2: paired t-test over common seeds\n" in out
    rows = read(tmp_path / "out/groups.csv")
    assert [row["group"] for row in rows] == [f"compile={tails[letter]}" for letter in "ba"]
    page = (tmp_path / "out/comparison.html").read_text()
    assert f"compile={tails['b']} minus compile={tails['a']}" in page
    assert "group 1" not in page
