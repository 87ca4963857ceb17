"""The config of a run directory: sections, earlier names, and values before a finder replaced them."""

import json

import pytest

from vgg_lit.errors import InputError
from vgg_lit.run_configs import CONFIG_FILE, read_config, read_network, read_typed_config


@pytest.fixture
def written(tmp_path):
    """`written("seed: 1")`: a folder with that config."""

    def written(text):
        (tmp_path / CONFIG_FILE).write_text(text)
        return tmp_path

    return written


def test_values_are_plain_and_empty_sections_stay(written):
    config = read_config(written("seed: 1\nloss: null\ndata: {batch_size: 8}\n"))
    assert config["seed"] == 1
    assert config["loss"] is None
    assert config["data"]["batch_size"] == 8
    assert type(config["data"]) is dict


@pytest.mark.parametrize("section", ["model", "data", "trainer", "callbacks"])
def test_a_section_that_is_a_number_is_one_line(section, written):
    with pytest.raises(InputError, match=f"{section}=3: is not a section of settings") as refused:
        read_config(written(f"{section}: 3\n"))
    assert "\n" not in str(refused.value)


def test_found_values_are_replaced_by_the_typed_ones(written):
    run = written("optimizer: {lr: 0.2}\ndata: {batch_size: 64}\nfind_lr: false\n")
    assert read_typed_config(run)["optimizer"]["lr"] == 0.2
    found = {"optimizer.lr": {"typed": 0.1, "found": 0.2}}
    (run / "found.json").write_text(json.dumps(found))
    config = read_typed_config(run)
    assert config["optimizer"]["lr"] == 0.1
    assert config["find_lr"] is True
    assert config["data"]["batch_size"] == 64
    assert read_config(run)["optimizer"]["lr"] == 0.2


@pytest.mark.parametrize("found", [{"seed": {"typed": 1}}, {"optimizer.lr": {"found": 1}}])
def test_a_record_of_other_values_is_one_line(found, written):
    run = written("seed: 1\noptimizer: {lr: 0.2}\n")
    (run / "found.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"found\.json: cannot be read: .* is not a value"):
        read_typed_config(run)


def test_the_network_of_a_run_has_data_and_precision(written):
    run = written("model: {a: 1}\ndata: {batch_size: 8}\ntrainer: {precision: auto}\n")
    model, data, precision = read_network(run)
    assert (model["a"], data["batch_size"], precision) == (1, 8, "auto")


@pytest.mark.parametrize("text", ["seed: 1\n", "model: {}\ndata: {}\ntrainer: {precision: auto}\n"])
def test_a_run_without_a_network_is_one_line(text, written):
    with pytest.raises(InputError, match=r"has no model, data\.batch_size or trainer\.precision"):
        read_network(written(text))


@pytest.mark.parametrize("text", ['name: "${"', "model: {~: 1}", 'model: {variant: "a${b"}'])
def test_values_that_omegaconf_refuses_are_one_line(text, written):
    with pytest.raises(InputError, match=r"config\.yaml: ") as refused:
        read_config(written(text))
    assert "\n" not in str(refused.value)


def test_a_found_value_that_omegaconf_refuses_is_one_line(written):
    run = written("optimizer: {lr: 0.2}\n")
    (run / "found.json").write_text(json.dumps({"optimizer.lr": {"typed": "${", "found": 0.2}}))
    with pytest.raises(InputError, match=r"found\.json: cannot be read: ") as refused:
        read_typed_config(run)
    assert "\n" not in str(refused.value)
