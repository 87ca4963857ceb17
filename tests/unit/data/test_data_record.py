import json
from dataclasses import replace

import pytest

from vgg_lit.data import data_record
from vgg_lit.data.data_record import (
    DataRecord,
    RecordedImage,
    SetDigest,
    read_data_record,
    write_data_record,
)
from vgg_lit.errors import InputError

RECORD = DataRecord(
    "image_folder",
    "/photos",
    ("cat", "dog"),
    images=(
        RecordedImage("cat/1.jpg", 0, 20, "aa", "train"),
        RecordedImage("cat/caf\udce9.jpg", 0, 21, "bb", "val"),
        RecordedImage("dog/1.jpg", 1, 22, "aa", "test"),
        RecordedImage("dog/2.jpg", 1, 23, "cc", "unused test"),
    ),
    trained_before=frozenset({"dd"}),
    accepted=({"time": "2026-01-31T12:00:00+00:00", "changes": {"added": ["cat/1.jpg"]}},),
)
OF_A_SET = DataRecord("cifar10", None, ("a", "b"), sets={"train": SetDigest(5, "aa")})


@pytest.mark.parametrize("record", [RECORD, OF_A_SET], ids=["files", "set"])
def test_a_record_reads_back_as_written(tmp_path, record):
    write_data_record(tmp_path / "data.json", record)
    assert read_data_record(tmp_path / "data.json") == record


def test_each_image_has_a_line(tmp_path):
    write_data_record(tmp_path / "data.json", RECORD)
    lines = (tmp_path / "data.json").read_text().splitlines()
    assert '["cat/1.jpg",0,20,"aa","train"],' in lines
    assert json.loads("\n".join(lines))["splits"]["train"] == 1


def test_a_run_without_a_record_has_none(tmp_path):
    assert read_data_record(tmp_path / "data.json") is None


def test_trained_images_include_former_ones():
    assert RECORD.trained == {"aa", "dd"}
    assert RECORD.count_copies() == {"test": 1}


def test_official_splits():
    assert [RECORD.official(i.split) for i in RECORD.images] == ["train", "train", "test", "test"]
    assert replace(RECORD, has_validation=True).official("val") == "val"
    assert RECORD.official("unused val") == "val"  # only used images are of another split


def broken():
    yield "cut", lambda text: text[:-20]
    yield "nested", lambda _: "[" * 100_000
    yield "list", lambda _: "[]"
    yield "version", lambda text: text.replace('"version":1', '"version":9')
    yield "split", lambda text: text.replace('"val"]', '"elsewhere"]')
    yield "label", lambda text: text.replace('cat/1.jpg",0', 'cat/1.jpg",7')
    yield "boolean", lambda text: text.replace('cat/1.jpg",0', 'cat/1.jpg",true')
    yield "digits", lambda text: text.replace(',20,"aa"', f',{"9" * 4_000},"aa"')
    yield "negative size", lambda text: text.replace(',20,"aa"', ',-20,"aa"')
    yield (
        "nested changes",
        lambda text: text.replace('{"added":', '{"added":' + "[" * 60 + "1" + "]" * 60 + ',"b":'),
    )
    yield "columns", lambda text: text.replace(',20,"aa"', ',"aa"')
    yield "key", lambda text: text.replace('"accepted"', '"other"')
    yield "sets", lambda text: text.replace('"sets":{}', '"sets":{"train":3}')
    yield "classes", lambda text: text.replace('["cat","dog"]', '["cat",3]')


@pytest.mark.parametrize("change", [pytest.param(c, id=name) for name, c in broken()])
def test_a_broken_record_is_refused_in_one_line(tmp_path, change):
    file = tmp_path / "data.json"
    write_data_record(file, RECORD)
    text = file.read_text()
    assert change(text) != text
    file.write_text(change(text))
    with pytest.raises(InputError, match=r"data\.json: (cannot be read|is not a record)") as caught:
        read_data_record(file)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(data_record, "MAX_BYTES", 10)
    write_data_record(tmp_path / "data.json", RECORD)
    with pytest.raises(InputError, match="is larger than"):
        read_data_record(tmp_path / "data.json")


def test_too_many_values_are_refused_before_they_are_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(data_record.json, "loads", lambda text: pytest.fail("parsed"))
    (tmp_path / "data.json").write_text(f"[{'[],' * 200_000}[]]")
    with pytest.raises(InputError, match="is not a record of data: it holds too many values"):
        read_data_record(tmp_path / "data.json")


def test_a_record_may_have_commas_in_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(data_record, "MOST_VALUES", 0)
    images = [RecordedImage(f"1, 2, 3/a,b,{n}.jpg", 0, n, f"{n:064x}", "train") for n in range(100)]
    record = replace(RECORD, images=tuple(images))
    write_data_record(tmp_path / "data.json", record)
    assert read_data_record(tmp_path / "data.json") == record
