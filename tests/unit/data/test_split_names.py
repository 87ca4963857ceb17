from vgg_lit.data.split_names import read_split_name


def test_split_names():
    assert read_split_name("seg_train") == ("train", "seg")
    assert read_split_name("TestImages") == ("test", "")
    assert read_split_name("train_test") is None
    assert read_split_name("cats") is None
    assert read_split_name("contest") is None
