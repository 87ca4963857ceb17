r"""Tables in LaTeX, for the package booktabs.

latex_table(["model", "accuracy"], [["vgg11", r"$91.2 \pm 0.1$"]], "Test accuracy.")
paper_table(groups, sort="test/acc")
"""

from collections.abc import Sequence

from vgg_lit.reports.groups import RunGroups
from vgg_lit.reports.number_texts import are_equal, format_deviation, format_mean
from vgg_lit.system.terminal import visible
from vgg_lit.tables import is_accuracy, is_higher_better
from vgg_lit.value_types import as_written

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def escape_latex(text: str) -> str:
    """Returns text on one line, with the characters escaped that LaTeX interprets."""
    return "".join(_ESCAPES.get(character, character) for character in visible(text))


def latex_table(
    head: Sequence[str], lines: Sequence[Sequence[str]], caption: str, text_columns: int = 1
) -> str:
    """Returns a `table` environment in the style of booktabs.

    Args:
        head: column headers, in LaTeX.
        lines: cells of each row, in LaTeX.
        caption: caption, in LaTeX.
        text_columns: number of the first columns that are aligned left; the others are aligned right.
    """
    alignment = "l" * text_columns + "r" * (len(head) - text_columns)
    # \tabularnewline: after \\ a row that begins with [ or * would be read as an argument
    rows = "".join(f"    {' & '.join(cells)} \\tabularnewline\n" for cells in lines)
    return (
        "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}\n"
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{caption}}}\n"
        f"  \\begin{{tabular}}{{{alignment}}}\n    \\toprule\n"
        f"    {' & '.join(head)} \\\\\n    \\midrule\n{rows}    \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )


def paper_table(groups: RunGroups, sort: str) -> str:
    """Returns the table of a paper: groups as rows, metrics as columns, the best mean of each in bold."""
    metrics = groups.comparison.metrics
    ordered = groups.ordered(sort)
    summaries = {
        (group.label, metric): groups.summary(group, metric)
        for group in ordered
        for metric in metrics
    }
    counts = sorted({n for group in ordered for n in groups.sizes(group)})
    names = ["settings"] if groups.usual else groups.names or ["group"]
    lines = []
    for group in ordered:
        shown = [as_written(group.settings[key]) for key in groups.shown]
        cells = [*map(escape_latex, shown if shown and not groups.usual else [group.label])]
        if len(counts) > 1:
            cells.append("/".join(map(str, groups.sizes(group))) or "0")
        for metric in metrics:
            summary = summaries[group.label, metric]
            found = [s for s in (summaries[g.label, metric] for g in ordered) if s]
            if summary is None:
                cells.append("--")
                continue
            number = format_mean(metric, summary.mean, summary.deviation)
            best = (max if is_higher_better(metric) else min)(found, key=lambda s: s.mean)
            # means that differ by float noise alone are both bold
            if len(ordered) > 1 and are_equal(metric, summary, best):
                number = rf"\mathbf{{{number}}}"
            if summary.deviation is not None:
                number += rf" \pm {format_deviation(metric, summary.deviation)}"
            cells.append(f"${number}$")
        lines.append(cells)
    head = [escape_latex(name) for name in names] + ["$n$"] * (len(counts) > 1)
    head += [escape_latex(metric) + (r" (\%)" if is_accuracy(metric) else "") for metric in metrics]
    what = "Final metrics of the runs."
    if max(counts, default=0) > 1:
        over = (
            f"{counts[0]} {groups.repetitions}" if len(counts) == 1 else f"$n$ {groups.repetitions}"
        )
        what = f"Mean and standard deviation over {over}."
    bold = " The best of each metric is bold." if len(ordered) > 1 else ""
    usual = f" {escape_latex(groups.usual_settings)}" if groups.usual else ""
    return latex_table(head, lines, what + bold + usual, text_columns=len(names))
