"""Layouts of image folders, as people have them: recognised, or refused in one line."""

import pytest

from vgg_lit.data.folder_listing import list_folder
from vgg_lit.data.layouts import find_layout
from vgg_lit.errors import ConfigError


def make(root, *paths):
    """Creates empty files; a path that ends in / is a folder; `a/{b,c}/1.jpg` is two files."""
    for path in paths:
        if "{" in path:
            before, _, rest = path.partition("{")
            inside, _, after = rest.partition("}")
            make(root, *(f"{before}{name}{after}" for name in inside.split(",")))
        elif path.endswith("/"):
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
    return root


def layout_of(root):
    return find_layout(list_folder(root), str(root))


def test_an_undivided_folder(tmp_path):
    found = layout_of(make(tmp_path, "{cat,dog}/1.jpg", "cat/more/2.PNG", "notes.txt"))
    assert found.splits == {"all": {"cat": ["cat/1.jpg", "cat/more/2.PNG"], "dog": ["dog/1.jpg"]}}
    assert found.classes == ("cat", "dog")
    assert (found.base, found.description, found.passed_over) == ("", "undivided", ())


@pytest.mark.parametrize(
    ("train", "test", "val"),
    [
        ("train", "test", "val"),
        ("Training", "Testing", "Validation"),
        ("TRAIN", "TEST", "VALID"),
        ("training_set", "test_set", "dev_set"),
        ("trainset", "testset", "valset"),
        ("seg_train", "seg_test", "seg_val"),
        ("Train Data", "Test Data", "Valid Data"),
        ("train2017", "test2017", "val2017"),
        ("images-train", "images-test", "images-dev"),
    ],
)
def test_spellings_of_splits(tmp_path, train, test, val):
    root = make(tmp_path, f"{train}/{{cat,dog}}/1.jpg", f"{test}/{{cat,dog}}/2.jpg")
    assert layout_of(root).splits == {
        "train": {"cat": [f"{train}/cat/1.jpg"], "dog": [f"{train}/dog/1.jpg"]},
        "test": {"cat": [f"{test}/cat/2.jpg"], "dog": [f"{test}/dog/2.jpg"]},
    }
    make(root, f"{val}/cat/3.jpg")
    found = layout_of(root)
    assert found.splits["val"] == {"cat": [f"{val}/cat/3.jpg"], "dog": []}
    assert found.description == (
        f"{train}/ for training, {val}/ for validation, {test}/ for testing"
    )


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev"])
def test_a_validation_folder_alone_is_the_test_split(tmp_path, val):
    found = layout_of(make(tmp_path, f"{{train,{val}}}/{{cat,dog}}/1.jpg"))
    assert set(found.splits) == {"train", "test"}
    assert found.splits["test"]["dog"] == [f"{val}/dog/1.jpg"]
    assert f"{val}/ is held out as the test split" in found.description
    assert "selects nothing" in found.description


def test_doubled_and_unlabelled_folders(tmp_path):
    root = make(
        tmp_path,
        "seg_train/seg_train/{sea,street}/1.jpg",
        "seg_test/seg_test/{sea,street}/2.jpg",
        "seg_pred/seg_pred/{1,2}.jpg",
    )
    found = layout_of(root)
    assert found.splits["train"]["sea"] == ["seg_train/seg_train/sea/1.jpg"]
    assert found.splits["test"]["sea"] == ["seg_test/seg_test/sea/2.jpg"]
    assert found.passed_over == ("seg_pred/ (2 images)",)


def test_a_test_split_with_one_nested_class_is_not_taken_for_doubled(tmp_path):
    found = layout_of(make(tmp_path, "train/{cat,dog}/1.jpg", "test/cat/{a,b}/2.jpg"))
    assert found.splits["test"] == {"cat": ["test/cat/a/2.jpg", "test/cat/b/2.jpg"], "dog": []}


@pytest.mark.parametrize("around", ["dataset", "archive/dataset", "train"])
def test_folders_that_hold_one_folder_are_entered(tmp_path, around):
    found = layout_of(make(tmp_path, f"{around}/{{cat,dog}}/1.jpg", "__MACOSX/{a,b}/1.jpg"))
    assert found.base == around
    assert found.splits == {"all": {"cat": ["cat/1.jpg"], "dog": ["dog/1.jpg"]}}
    assert found.description == f"{around}/: undivided"


def test_splits_are_found_in_a_folder_that_is_too_high(tmp_path):
    found = layout_of(make(tmp_path, "archive/{Training,Testing}/{a,b}/1.jpg", "archive/x/3.jpg"))
    assert found.base == "archive"
    assert found.splits["test"]["a"] == ["Testing/a/1.jpg"]
    assert found.passed_over == ("archive/x/ (1 images)",)


def test_an_unlabelled_test_folder_next_to_a_validation_folder_is_passed_over(tmp_path):
    found = layout_of(
        make(tmp_path, "{train,val}/{cat,dog}/1.jpg", "test/{1,2,3}.jpg", "loose.png")
    )
    assert found.splits["test"]["cat"] == ["val/cat/1.jpg"]
    assert found.passed_over == ("test/ (3 images)", "1 images outside the class folders")


def test_a_class_may_be_named_train_like_the_vehicle(tmp_path):
    assert layout_of(make(tmp_path, "{bus,train}/1.jpg")).classes == ("bus", "train")


def test_classes_may_contain_the_words_of_splits(tmp_path):
    names = ("test_tube", "train_station", "validity")
    assert layout_of(make(tmp_path, *(f"{name}/1.jpg" for name in names))).classes == names


def test_every_class_may_hold_one_subfolder_of_the_same_name(tmp_path):
    assert layout_of(make(tmp_path, "{n01,n02}/images/1.jpg")).classes == ("n01", "n02")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ((), "has no class folders; make one folder for each class, or list"),
        (("1.jpg", "2.jpg"), "has 2 images but no class folders"),
        (("cat/1.jpg",), "has one class folder, cat/; at least two"),
        (("cat/1.jpg", "__MACOSX/cat/1.jpg", ".hidden/1.jpg"), "has one class folder, cat/"),
        (("cat/1.jpg", "dog/{1,2}.heic"), r"no images in 1 of 2 class folders: dog \(2 .heic\)"),
        (("cat/1.jpg", "dog/"), "no images in 1 of 2 class folders: dog; read: .png"),
        (("{Training,Testing}/1.jpg",), "named like splits: Testing, Training; put class folders"),
        (("{cat,dog,test}/1.jpg",), "named like splits: test"),
        (("{cat,val_set}/1.jpg",), "named like splits: val_set"),
        (("bus/1.jpg", "train/{cat,dog}/1.jpg"), "named like splits: train; there is no test"),
        (("{a,b}/{cat,dog}/1.jpg",), r"a/ and b/ hold the same subfolders \(cat, dog\)"),
        (("a/{cat,dog,eel}/1.jpg", "b/{cat,eel}/1.jpg"), r"same subfolders \(cat, eel\)"),
        (("{cat,dog}/{train,test}/1.jpg",), "put the splits outside the classes"),
        (("{train,test}/{a,b}/{cat,dog}/1.jpg",), "a/ and train/b/ hold the same subfolders"),
        (("{train,Train2,test}/{cat,dog}/1.jpg",), "both stand for the train split"),
        (("{train,val,valid}/{cat,dog}/1.jpg",), "val and valid both stand for the val split"),
        (("{a_train,a_test,b_train,b_test}/{c,d}/1.jpg",), "several sets of splits"),
        (
            ("train/{cat,dog}/1.jpg", "test/1.jpg"),
            "train/ has class folders and test/ has no class",
        ),
        (
            ("train/{cat,dog}/1.jpg", "test/{Cat,dog}/1.jpg"),
            "test/ has class folders that train/ la",
        ),
        (("train/cat/1.jpg", "test/cat/1.jpg"), "train/ has one class folder, cat/"),
        (("train/{cat,dog}/1.jpg", "test/{cat,dog}/"), "no images in the class folders of test/"),
        (("train/{cat,dog}/1.jpg", "train/eel/", "test/cat/1.jpg"), "no images in 1 of 3 .*eel"),
    ],
)
def test_other_layouts_are_refused_in_one_line(tmp_path, paths, words):
    with pytest.raises(ConfigError, match=words) as caught:
        layout_of(make(tmp_path, *paths))
    assert str(caught.value).startswith(f"data.root={tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_a_linked_class_folder_is_a_class(tmp_path):
    root = make(tmp_path / "root", "dog/1.jpg")
    make(tmp_path / "elsewhere", "2.jpg")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    assert layout_of(root).splits["all"] == {"cat": ["cat/2.jpg"], "dog": ["dog/1.jpg"]}
