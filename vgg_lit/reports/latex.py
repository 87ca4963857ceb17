r"""Tables in LaTeX, for the package booktabs.

latex_table(["model", "accuracy"], [["vgg11", r"$91.2 \pm 0.1$"]], "Test accuracy.")
"""

from collections.abc import Sequence

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
    """Returns text with the characters escaped that LaTeX interprets."""
    return "".join(_ESCAPES.get(character, character) for character in text)


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
    rows = "".join(f"    {' & '.join(cells)} \\\\\n" for cells in lines)
    return (
        "% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}\n"
        "\\begin{table}\n  \\centering\n"
        f"  \\caption{{{caption}}}\n"
        f"  \\begin{{tabular}}{{{alignment}}}\n    \\toprule\n"
        f"    {' & '.join(head)} \\\\\n    \\midrule\n{rows}    \\bottomrule\n"
        "  \\end{tabular}\n\\end{table}\n"
    )
