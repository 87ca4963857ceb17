"""Tables of labels: read as written, or refused in one line."""

import os

import pytest

from tests.operating_systems import posix
from vgg_lit.data import label_table
from vgg_lit.data.label_table import read_label_table
from vgg_lit.errors import ConfigError

FILES = ("a.jpg", "b.png", "c/d.webp", "e.jpg")


@pytest.fixture
def root(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read(root, *lines, name="labels.csv", encoding="utf-8"):
    (root / name).write_text("\n".join(lines), encoding=encoding)
    return read_label_table(root / name, root, FILES)


def test_without_a_split_column_the_files_are_undivided(root):
    found = read(root, "file,label", "b.png,dog", "", "a.jpg,cat", "c/d.webp,cat")
    assert found.splits == {"all": {"cat": ["a.jpg", "c/d.webp"], "dog": ["b.png"]}}
    assert found.classes == ("cat", "dog")
    assert found.description == "labels of labels.csv, undivided"
    assert found.passed_over == ("1 images that are not in the table",)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_column_order_and_spreadsheets(root, separator, encoding):
    rows = [("Label", "extra", "Split", "File"), ("x", "1", "Train", ".\\c\\d.webp")]
    rows += [("y", "", "training", "a.jpg"), ("y", "2", "TEST", ' "b.png" '.strip())]
    found = read(root, *(separator.join(row) for row in rows), encoding=encoding)
    assert found.splits == {
        "train": {"x": ["c/d.webp"], "y": ["a.jpg"]},
        "test": {"x": [], "y": ["b.png"]},
    }


def test_a_validation_split_alone_is_held_out(root):
    lines = ("file,label,split", "a.jpg,x,train", "b.png,y,train", "e.jpg,x,valid")
    found = read(root, *lines)
    assert found.splits["test"] == {"x": ["e.jpg"], "y": []}
    assert "val is held out as the test split" in found.description
    found = read(root, *lines, "c/d.webp,y,test")
    assert found.splits["val"] == {"x": ["e.jpg"], "y": []}
    assert found.splits["test"] == {"x": [], "y": ["c/d.webp"]}


def test_numbers_are_sorted_by_value(root):
    lines = ("file,label", "a.jpg,10", "b.png,9", "e.jpg,2")
    assert read(root, *lines).classes == ("2", "9", "10")
    assert read(root, *lines, "c/d.webp,none").classes == ("10", "2", "9", "none")


@pytest.mark.usefixtures("any_file_name")
def test_names_in_another_encoding_are_those_of_the_file_system(root):
    name = os.fsdecode(b"caf\xe9.jpg")
    (root / name).touch()
    (root / "labels.csv").write_bytes(b"file,label\ncaf\xe9.jpg,cat\na.jpg,d\xe9g\n")
    found = read_label_table(root / "labels.csv", root, (*FILES, name))
    assert found.splits["all"]["cat"] == [name]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "the first line is ''; needed: the columns file and label"),
        (("image,class", "a.jpg,x"), "the first line is 'image,class'; needed"),
        (("file,label", "a.jpg,x", "b.png,"), "line 3 has no label"),
        (("file,label,split", "a.jpg,x,train", "b.png,y"), "line 3 has no split"),
        (("file,label", "a.jpg,x", "b.png,x"), "has 1 classes; at least two"),
        (("file,label", "a.jpg,x", "a.jpg,y"), "1 of 2 files are listed twice: a.jpg"),
        (("file,label", "a.jpg,x", "gone.jpg,y"), "1 of 2 files are not in .*: gone.jpg"),
        (("file,label", "a.jpg,x", "../a.jpg,y"), "outside the folder .*: ../a.jpg"),
        (("file,label", "a.jpg,x", "/etc/passwd.png,y"), "outside the folder"),
        (("file,label", "a.jpg,x", "C:/photos/a.jpg,y"), "outside the folder"),
        (("file,label", "a.jpg,x", "\\\\server\\photos\\a.jpg,y"), "outside the folder"),
        (("file,label", "a.jpg,x", "labels.csv,y"), "not named like images: labels.csv"),
        (
            ("file,label,split", "a.jpg,x,train", "b.png,y,later"),
            "line 3: split 'later' is unknown",
        ),
        (("file,label,split", "a.jpg,x,train", "b.png,y,train"), "split has only train; needed"),
        (("file,label,split", "a.jpg,x,test", "b.png,y,val"), "split has only test, val; needed"),
        (("file,label", 'a.jpg,"x'), "is not a table"),
    ],
)
def test_other_tables_are_refused(root, lines, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read(root, *lines)
    assert str(caught.value).startswith(f"data.source.labels={root / 'labels.csv'}: ")
    assert "\n" not in str(caught.value)


def test_half_a_character_of_utf_16_is_one_line(root):
    (root / "labels.csv").write_bytes("file,label\na.jpg,x".encode("utf-16")[:-1])
    with pytest.raises(ConfigError, match=r"labels\.csv: is not valid UTF-16 \(truncated data\)"):
        read_label_table(root / "labels.csv", root, FILES)


def test_a_missing_table_and_many_missing_files(root):
    with pytest.raises(ConfigError, match=r"labels\.csv: cannot be read"):
        read_label_table(root / "labels.csv", root, FILES)
    with pytest.raises(ConfigError, match=r"19\.jpg and 5 more"):
        read(root, "file,label", *(f"{i:02}.jpg,{i % 2}" for i in range(25)))


@posix
def test_a_pipe_is_refused_before_it_is_opened(root):
    os.mkfifo(root / "labels.csv")
    with pytest.raises(ConfigError, match=r"data\.source\.labels=.*labels\.csv: is not a file$"):
        read_label_table(root / "labels.csv", root, FILES)


def test_the_size_of_a_table_is_limited(root, monkeypatch):
    monkeypatch.setattr(label_table, "LARGEST_TABLE", 30)
    assert read(root, "file,label", "a.jpg,x", "b.png,y").classes == ("x", "y")
    with pytest.raises(ConfigError, match=r"data\.source\.labels=.*labels\.csv: is larger than"):
        read(root, "file,label", "a.jpg,x", "b.png,y", "e.jpg,z")


def test_numbers_of_any_length_are_sorted_by_value(root):
    long = "1" * 5_000
    lines = ("file,label", f"a.jpg,{long}", "b.png,010", "e.jpg,9", "c/d.webp,0")
    assert read(root, *lines).classes == ("0", "9", "010", long)
