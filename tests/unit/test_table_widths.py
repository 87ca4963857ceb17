"""Tables fit the terminal: texts are shortened before columns are left out."""

import pytest
from rich.cells import cell_len

from vgg_lit.table_widths import fit_rows, shorten_middle
from vgg_lit.tables import print_rows

ROWS = [
    {"run": f"2026-01-31_12-00-00_{i}", "optimizer.weight_decay": "0.0005", "model": "vgg13_bn" * 4}
    | {"val/acc": "91.25 %", "val/loss": "0.2513", "seconds": "1234.5", "parameters": "9,000,000"}
    for i in range(3)
]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 400])
def test_the_table_is_at_most_as_wide(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_rows(ROWS, "title")
    *lines, last = capsys.readouterr().out.splitlines()
    is_complete = last.startswith("└")
    assert is_complete == (width > 80)
    lines += [last] if is_complete else []
    assert max(map(cell_len, lines)) <= width
    assert len(lines) == 4 + len(ROWS) + 1  # no cell takes two lines
    if not is_complete:
        shown = {name for name in ROWS[0] if name not in last}
        assert (
            last
            == f"Not shown, for want of space: {', '.join(n for n in ROWS[0] if n not in shown)}."
        )


def test_numbers_are_never_shortened():
    for width in (30, 50, 70, 90):
        fitted, left_out = fit_rows(ROWS, width)
        texts = {text for row in fitted for text in row.values()}
        for column in ("val/acc", "val/loss", "seconds", "parameters"):
            assert column in left_out or ROWS[0][column] in texts


def test_intervals_are_never_shortened():
    rows = [
        {"group": "g" * 40, "interval": "-12.34 to 112.58 points"},
        {"group": "a", "interval": ""},
    ]
    assert [row["interval"] for row in fit_rows(rows, 43)[0]] == ["-12.34 to 112.58 points", ""]


def test_headers_are_shortened_to_their_last_part_first():
    fitted, left_out = fit_rows(ROWS, 100)
    assert "weight_decay" in fitted[0]
    assert left_out == []
    assert next(iter(fit_rows(ROWS, 300)[0][0])) == "run"
    assert "optimizer.weight_decay" in fit_rows(ROWS, 300)[0][0]


def test_the_last_columns_are_left_out_and_named():
    fitted, left_out = fit_rows(ROWS, 60)
    assert left_out == list(ROWS[0])[-len(left_out) :]
    assert len(fitted[0]) + len(left_out) == len(ROWS[0])
    assert len(fit_rows(ROWS, 1)[0][0]) == 1


def test_headers_with_equal_ends_stay_distinct():
    rows = [{"model.width": "0.5", "augment.width": "0.25", "note": "n" * 80}]
    assert len(fit_rows(rows, 60)[0][0]) == 3


def test_there_is_no_limit_in_a_pipe(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_rows(ROWS, "title")
    out = capsys.readouterr().out
    assert ROWS[0]["model"] in out
    assert "Not shown" not in out


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("shoe.png", 8, "shoe.png"),
        ("photos/of/a/shoe_17.png", 13, "phot…e_17.png"),
        ("写真写真写真.png", 9, "写…真.png"),
    ],
)
def test_a_wide_text_is_shortened_in_the_middle(text, width, expected):
    assert shorten_middle(text, width) == expected
