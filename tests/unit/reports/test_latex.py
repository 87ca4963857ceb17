"""Tables in LaTeX are escaped and compile."""

import shutil
import subprocess

import pytest

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.latex import escape_latex, latex_table, paper_table

EVIL = r"\input{x} a_b & 5 % #1 $x^2$ ~ <b> | {}" + '"'


def test_special_characters_are_escaped():
    assert escape_latex("a_b & 5 %") == r"a\_b \& 5 \%"
    assert escape_latex("\\") == r"\textbackslash{}"


def test_rows_and_alignment():
    table = latex_table(["a", "b", "c"], [["x", "$1$", "$2$"]], "Caption.", text_columns=2)
    assert r"\begin{tabular}{llr}" in table
    assert r"    x & $1$ & $2$ \tabularnewline" in table
    for rule in ("top", "mid", "bottom"):
        assert table.count(rf"\{rule}rule") == 1


def test_a_table_compiles(tmp_path):
    if not shutil.which("pdflatex"):
        pytest.skip("needs pdflatex with booktabs")
    evil = escape_latex(EVIL)
    table = latex_table([evil, "b"], [[evil, r"$\mathbf{91.20} \pm 0.10$"]], evil)
    head = r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}"
    (tmp_path / "table.tex").write_text(f"{head}\\begin{{document}}\n{table}\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000


def test_text_stays_on_one_line_without_control_characters():
    assert escape_latex("a\n\nb\x1b[2J") == (
        r"a\textbackslash{}n\textbackslash{}nb\textbackslash{}x1b[2J"
    )


def test_means_that_differ_by_float_noise_are_both_bold(write_run):
    """0.1 + 0.2 is 0.30000000000000004."""
    values = {0.1: (0.1, 0.2), 0.2: (0.3, 0.0), 0.3: (0.0, 0.1)}
    runs = [
        write_run(f"{lr}_{seed}", {"val/acc": value}, lr=lr, seed=seed)
        for lr, found in values.items()
        for seed, value in enumerate(found)
    ]
    table = paper_table(RunGroups(Comparison(runs)), "val/acc")
    assert table.count(r"\mathbf{15.00}") == 2
    assert table.count("mathbf") == 2
