"""The error that names damaged files."""

from vgg_lit.data.damaged_images import DamagedImages


def test_paths_of_any_encoding_are_one_line(tmp_path):
    error = DamagedImages(tmp_path / "a\nb", {"b.png": "empty", "a\x1b.png": "cut"}, 2)
    assert error.reasons == {"b.png": "empty", "a\x1b.png": "cut"}
    assert str(error).startswith(f"data.root={tmp_path}/a\\nb: 2 of 2 images cannot be used: ")
    assert "a\\x1b.png (cut), b.png (empty); repair or remove them" in str(error)


def test_twenty_damaged_files_are_named_and_the_others_counted(tmp_path):
    reasons = {f"{i:03}.png": "empty" for i in range(25)}
    message = str(DamagedImages(tmp_path, reasons, 1000))
    assert "25 of 1,000 images" in message
    assert "019.png (empty) and 5 more; " in message
    assert "020.png" not in message
