"""Names of classes, files and runs are data: each output shows them, and none interprets them."""

import csv
import io
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from vgg_lit.analysis.charts import class_scores_chart, confusion_chart, embedding_chart
from vgg_lit.analysis.curves import learning_curves
from vgg_lit.analysis.figures import attribution_rows, gallery, image_grid, image_rows
from vgg_lit.analysis.study_charts import importance_chart, objective_chart
from vgg_lit.analysis.style import class_label, save_figure
from vgg_lit.callbacks.event_files import write_embeddings
from vgg_lit.models import vgg11
from vgg_lit.reports.comparison_page import comparison_page
from vgg_lit.reports.comparison_tables import ComparisonTable
from vgg_lit.system.markdown import markdown_block, markdown_code, markdown_text
from vgg_lit.system.pages import PageSection, html_page
from vgg_lit.system.terminal import visible
from vgg_lit.tables import markdown_table, read_csv, to_csv

NAMES = {
    "markup": "<img src=x onerror=alert(1)>",
    "quotes": "\"x\" 'y' &amp;",
    "a line end": "one\ntwo\r\nthree\ttab",
    "a formula": "=cmd|' /C calc'!A0",
    "another formula": "@SUM(1+1)",
    "a difference": "-1+1|x",
    "dollars": "$_$",
    "a dollar": "5$",
    "an escaped dollar": r"\$x_",
    "a fraction": r"$\frac{1}$",
    "terminal codes": "\x1b[2J\x1b]0;title\x07",
    "emoji": "\U0001f469\u200d\U0001f52c \U0001f600",
    "other scripts": "\u65e5\u672c\u3000\u0627\u0644",
    "right to left": "a\u202eb",
    "half a character": "x\ud800",
    "a byte": "caf\udce9",
    "a pipe": "a|b",
    "Markdown": "**a** `b` [c](d) _e_ ~f~",
    "an underscore": "_hidden",
    "brackets": "[/red] [bold]x",
    "nothing": "",
}
ALL = list(NAMES.values())
every_name = pytest.mark.parametrize("name", ALL, ids=list(NAMES))


@every_name
def test_a_name_is_one_printable_line_in_a_terminal(name):
    shown = visible(name)
    assert visible(shown) == shown
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & {"\x1b", "\x07", "\t", "\u202e"}
    shown.encode("utf-8")
    if name.isprintable():
        assert shown == name


@every_name
def test_a_cell_of_a_csv_file_is_not_a_formula(name, tmp_path):
    text = to_csv([{"name": name, name or "x": "-0.5"}])
    (cell, number) = list(csv.reader(io.StringIO(text)))[1]
    assert not cell.startswith(("=", "+", "-", "@"))
    assert cell.removeprefix("'") == visible(name)
    assert number == "-0.5"
    (tmp_path / "x.csv").write_text(text)
    assert len(read_csv(tmp_path / "x.csv")) == 1


def test_numbers_in_a_csv_file_are_unchanged():
    row = {"a": -1.5, "b": "-1.5", "c": "+3", "d": "-inf", "e": "-1e-3", "f": None}
    assert to_csv([row]).splitlines()[1] == "-1.5,-1.5,+3,-inf,-1e-3,"


class Text(HTMLParser):
    """Collects the texts of a page, and the tags that are not part of a report."""

    def __init__(self):
        super().__init__()
        self.texts, self.odd = [], []

    def handle_starttag(self, tag, attributes):
        if tag in ("img", "script") and not dict(attributes).get("src", "data:").startswith(
            "data:"
        ):
            self.odd.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


@every_name
def test_a_page_shows_a_name_as_text(name):
    section = PageSection(name, [name], table=[{"class": name, name or "x": "1"}])
    pages = [
        html_page(name, [section]),
        comparison_page(
            name, [ComparisonTable(name, [{"run": name}], [{"run": name}], [{"run": name}])], None
        ),
    ]
    for page in pages:
        page.encode("utf-8")
        reader = Text()
        reader.feed(page)
        assert reader.odd == []
        assert not name or visible(name) in reader.texts


@every_name
def test_markdown_shows_a_name_as_text(name):
    lines = markdown_table([{"class": name, "images": "1"}]).splitlines()
    assert len(lines) == 3
    shown = markdown_text(name)
    assert shown.replace("\\", "") == visible(name).replace("\\", "")
    for markup in "`*[<|$~":
        assert all(shown[i - 1] == "\\" for i, c in enumerate(shown) if c == markup)
    assert "\n" not in markdown_code(name)
    fence, _, rest = markdown_block(f"{name}\n```\n", "yaml").partition("yaml\n")
    assert len(fence) >= 4
    assert rest.endswith(f"\n{fence}\n")
    assert fence not in rest[: -len(fence) - 1]


def figures(names):
    """Figures with these names in each place that takes names."""
    count = len(names)
    images = np.zeros((count, 4, 4, 3))
    ones = np.ones(count)
    curve = {name: ([1.0, 2.0], [0.1, 0.2]) for name in names}
    return [
        confusion_chart(np.eye(count, dtype=int), names, names[0]),
        class_scores_chart(names, ones, ones, ones),
        embedding_chart(np.eye(count, 2), np.arange(count), names, images, names[0]),
        learning_curves(dict.fromkeys(names[:4], curve)),
        image_grid(images[None], names[:1], names, [names], names[0]),
        gallery(images, [[name] for name in names], names[0]),
        image_rows([(names, images, names)], names[0]),
        attribution_rows(images, [[name] for name in names], {"x": images[..., 0]}, names[0]),
        importance_chart(dict.fromkeys(names, 0.1), names[0]),
        objective_chart([0], [1.0], [True], names[0], True),
    ]


def texts(figure: Figure):
    from matplotlib.text import Text as Artist

    return [artist.get_text() for artist in figure.findobj(Artist)]


@every_name
def test_a_figure_shows_a_name_without_formulas(name, tmp_path, recwarn):
    for number, figure in enumerate(figures([name, "other"])):
        save_figure(figure, tmp_path / f"{number}.png")
    others = [one for one in recwarn if one.category is not ResourceWarning]  # of earlier tests
    assert [str(warning.message) for warning in others] == []
    figure = confusion_chart(np.eye(2, dtype=int), [name, "other"], "title")
    assert class_label(name) in texts(figure)


def test_all_names_fit_one_legend(tmp_path):
    names = [name for name in ALL if name]
    count = len(names)
    images = np.zeros((count, 4, 4, 3))
    figure = embedding_chart(np.eye(count, 2), np.arange(count), names, images, "title")
    save_figure(figure, tmp_path / "x.png")
    (legend,) = figure.legends
    assert len(legend.get_texts()) == count


def test_each_image_of_the_projector_has_one_row(tmp_path):
    net = vgg11(num_classes=2, width=0.03125, head="linear", in_channels=3, image_size=32).eval()
    x = torch.zeros(len(ALL), 3, 32, 32)
    with SummaryWriter(str(tmp_path)) as writer:
        write_embeddings(writer, net, x, x, ALL, 0)
    (table,) = tmp_path.rglob("metadata.tsv")
    assert table.read_text(encoding="utf-8").split("\n")[:-1] == [visible(name) for name in ALL]


FOLDERS = ("$_$", "<b>x", "=cmd|' calc", "one\ntwo", "\x1b[2Jx", "\U0001f469\u200d\U0001f52c", "_a")


@pytest.mark.slow  # seven commands
def test_a_run_with_odd_class_names_is_trained_and_shown(
    verb, named_classes, tiny, tmp_path, monkeypatch
):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    named_classes(*FOLDERS)
    data = ["data=image_folder", f"data.root={tmp_path}/images", "data.image_size=32"]
    sizes = ["data.train_size=48", "data.test_size=null", "data.val_fraction=0.3"]
    extra = ["callbacks=[default,tensorboard]", "metrics=confusion"]
    (tmp_path / "image.png").write_bytes((tmp_path / "images" / "$_$" / "0.png").read_bytes())
    commands = [
        ("train", *tiny, *data, *sizes, *extra, "hydra.run.dir=run"),
        ("evaluate", "run=run", "accelerator=cpu"),
        ("visualize", "run=run", "accelerator=cpu"),
        ("export", "run=run", "formats=[onnx]"),
        ("predict", "run=run", "images=image.png", "accelerator=cpu"),
        ("predict", "model=run/export", "images=image.png"),
        ("compare", "runs=[run,run2]", "output=out"),
    ]
    for command in commands:
        if command[0] == "compare":
            shutil.copytree(tmp_path / "run", tmp_path / "run2")
        done = verb(*command)
        assert done.code == 0, done
        assert "\x1b" not in done.out + done.err
        assert "Traceback" not in done.err
    card = (tmp_path / "run/export/README.md").read_text()
    assert r"\$\_\$" in card
    assert r"\<b\>x" in card
    page = (tmp_path / "run/report.html").read_text()
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    for file in (tmp_path / "run").rglob("*.csv"):
        for row in csv.reader(file.open(newline="", encoding="utf-8")):
            assert not any(cell.startswith("=") for cell in row), file
