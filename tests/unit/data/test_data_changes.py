import pytest

from vgg_lit.data.data_changes import PresentImage, find_changes
from vgg_lit.data.data_record import DataRecord, RecordedImage

CLASSES = ("cat", "dog")
RECORD = DataRecord(
    "image_folder",
    "/photos",
    CLASSES,
    images=(
        RecordedImage("cat/1", 0, 9, "c1", "train"),
        RecordedImage("cat/2", 0, 9, "c2", "val"),
        RecordedImage("cat/3", 0, 9, "c3", "test"),
        RecordedImage("dog/1", 1, 9, "d1", "train"),
        RecordedImage("dog/2", 1, 9, "d2", "test"),
    ),
    trained_before=frozenset({"old"}),
)


def present(classes=CLASSES, is_divided=False, **changes):
    """The recorded files with changes: `digest`, `(path, digest)` or None by path."""
    files = {image.path: image.digest for image in RECORD.images}
    for path, digest in changes.items():
        place = path.replace("_", "/")
        if digest is None:
            del files[place]
        else:
            files[place] = digest
    return {
        path: PresentImage(classes.index(path.split("/")[0]), "train", is_divided, 9, digest)
        for path, digest in files.items()
    }


def test_an_unchanged_set_has_no_changes():
    changes = find_changes(RECORD, present(), CLASSES)
    assert not changes
    assert changes.splits == {image.path: image.split for image in RECORD.images}
    assert not changes.new + changes.withheld


@pytest.mark.parametrize(
    ("edit", "named", "splits"),
    [
        ({"cat_2": None}, "1 removed (cat/2)", {"cat/2": None}),
        ({"cat_9": "new"}, "1 added (cat/9)", {"cat/9": None}),
        (
            {"cat_1": None, "cat_9": "c1"},
            "1 renamed (cat/1 -> cat/9)",
            {"cat/9": "train"},
        ),
        ({"cat_3": "new"}, "1 with other content (cat/3)", {"cat/3": "test"}),
        (
            {"cat_1": None, "dog_9": "c1"},
            "1 relabelled (cat/1 -> dog/9: cat -> dog)",
            {"dog/9": "train"},
        ),
        (
            {"cat_1": "d1", "dog_1": "c1"},
            "2 relabelled (dog/1 -> cat/1: dog -> cat, cat/1 -> dog/1: cat -> dog)",
            {"cat/1": "train", "dog/1": "train"},
        ),
        # the content of a training image gets into the other splits
        ({"cat_9": "c1"}, "1 added (cat/9)", {"cat/9": None}),
        ({"cat_3": "c1"}, "1 with other content (cat/3)", {"cat/3": None}),
        ({"cat_3": "old"}, "1 with other content (cat/3)", {"cat/3": None}),
        (
            {"cat_1": "c3", "cat_3": "c1"},
            "2 renamed (cat/3 -> cat/1, cat/1 -> cat/3)",
            {"cat/1": "test", "cat/3": "train"},
        ),
    ],
)
def test_changes_are_named_and_splits_are_kept(edit, named, splits):
    changes = find_changes(RECORD, present(**edit), CLASSES)
    assert str(changes) == named
    for path, split in splits.items():
        assert changes.splits.get(path) == split
    trained = RECORD.trained
    files = present(**edit)
    held_out = [path for path, split in changes.splits.items() if split in ("val", "test")]
    assert not [path for path in held_out if files[path].digest in trained]
    assert set(changes.splits) | set(changes.new) | set(changes.withheld) == set(files)


def test_classes_that_come_or_go_are_named():
    files = present(("cat", "dog", "ant"), ant_1="new")
    assert "classes added (ant)" in str(find_changes(RECORD, files, ("cat", "dog", "ant")))
    kept = {path: image for path, image in present().items() if image.label == 0}
    assert "classes removed (dog)" in str(find_changes(RECORD, kept, ("cat",)))


def test_labels_are_compared_by_the_names_of_classes():
    files = {path: image._replace(label=1 - image.label) for path, image in present().items()}
    assert not find_changes(RECORD, files, ("dog", "cat"))
    assert len(find_changes(RECORD, files, CLASSES).kinds["relabelled"]) == 5


def test_a_training_image_in_a_test_folder_is_withheld():
    files = present(is_divided=True)
    files["cat/1"] = files["cat/1"]._replace(place="test")
    changes = find_changes(RECORD, files, CLASSES)
    assert "cat/1: train -> test" in str(changes)
    assert changes.withheld == ["cat/1"]


def test_many_names_are_counted():
    files = present(**{f"cat_{i}": f"n{i}" for i in range(10, 30)})
    assert "20 added (cat/10, cat/11, cat/12, cat/13, cat/14 and 15 more)" in str(
        find_changes(RECORD, files, CLASSES)
    )
