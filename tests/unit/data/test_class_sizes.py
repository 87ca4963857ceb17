from vgg_lit.data.class_sizes import describe_classes


def test_equal_classes():
    assert describe_classes(["a", "b"], {"train": [3, 3], "val": [1, 1], "test": [2, 2]}) == (
        "a, b; 6 images each"
    )


def test_uneven_classes_and_those_without_images():
    sizes = {"train": [3000, 1, 0], "val": [0, 0, 0], "test": [1, 0, 1]}
    assert describe_classes(["a", "b", "c"], sizes) == (
        "a, b, c; 1 (b) to 3,001 (a) images; 1 without training images: c; 1 without test images: b"
    )
    assert describe_classes(["a", "b"], {"train": [1, 2]}) == "a, b; 1 (a) to 2 (b) images"


def test_ten_names_are_shown():
    names = [f"n{i}" for i in range(1200)]
    assert describe_classes(names, {"train": [0] * 1200}).endswith(
        "1,200 without training images: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 1,190 more"
    )


def test_names_that_are_almost_the_same():
    classes = ["Cat", "cat", "big dog", "Big_dog ", "caf\u00e9", "cafe\u0301", "dog"]
    line = describe_classes(classes, {"train": [1] * 7})
    assert line.endswith(
        "; separate classes with almost the same name: Cat and cat, big dog and Big_dog , "
        "caf\u00e9 and cafe\u0301"
    )
