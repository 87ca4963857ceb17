"""The generated part of the help: order of its blocks, and two columns."""

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.help_text import COMMON, WIDTH, help_template, sections_of

CONF = config_folder()


def test_train_shows_groups_then_common_overrides_then_settings():
    text = help_template("train", CONF)
    titles = ("hydra.help.header", "Choose with", "Most used", "  Settings\n", "Settings of data")
    places = [text.index(title) for title in (*titles, "hydra.help.footer")]
    assert places == sorted(places)
    assert all(override in text for override in COMMON["train"])


def test_a_command_without_groups_lists_its_settings_only():
    text = help_template("compare", CONF)
    assert "Choose with" not in text
    assert [line.strip() for line in text.splitlines()].count("Settings") == 1
    assert "Settings of" not in text


def test_a_setting_has_its_description_range_and_default():
    text = " ".join(help_template("train", CONF).split())
    assert "trainer.max_epochs Number of epochs. (integer >= 1; default: 18)" in text
    assert "data.num_classes Number of classes; null is the number of class folders." in text
    assert "(integer >= 2 or null; needed)" in text
    assert (
        "default: 0.001 (adam, adamw, rmsprop), 0.24 (muon, muon_adamw), 0.002 (nadam), 0.1 (sgd)"
        in text
    )


def test_a_search_lists_its_settings_before_those_of_training():
    sections = sections_of("tune", CONF)
    assert [row.key for row in sections["Settings"]] == ["n_trials", "n_jobs", "storage"]
    assert "seed" in {row.key for row in sections["Settings of each training"]}


def test_lines_are_not_too_long():
    lines = help_template("tune", CONF).splitlines()
    assert max(len(line.removeprefix("  ")) for line in lines) <= WIDTH
