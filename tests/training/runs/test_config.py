"""`config.yaml`: what is written is read, and what is wrong in it is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_archs.training.runs.config import RunConfig, changes, read_config
from keras_archs.training.tuning.recipes import RECIPES
from tests.support.runs import a_config

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_written_is_read(path: Path, name: str) -> None:
    recipe = replace(RECIPES[name], epochs=3, learning_rate=1e-5)
    config = a_config(method="fine-tune", recipe=recipe, time_limit=90.0, image_size=96)
    config.write(path)
    assert read_config(path) == config


def test_a_head_has_no_recipe(path: Path) -> None:
    config = a_config()
    config.write(path)
    assert read_config(path) == config
    assert config.recipe is None


def test_numbers_may_be_written_as_people_do(path: Path) -> None:
    a_config(method="fine-tune", recipe=replace(RECIPES["fine-tune"], learning_rate=0.25)).write(path)
    path.write_text(path.read_text().replace("learning_rate: 0.25", "learning_rate: 1e-3"))
    recipe = read_config(path).recipe
    assert recipe is not None and recipe.learning_rate == 0.001


def set_to(*keys: str, to: object) -> Change:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to("colour", to="red"), "colour is unknown"),
        (set_to("data", "colour", to="red"), r"data\.colour is unknown"),
        (set_to("recipe", "learning_rat", to=1), r"recipe\.learning_rat is unknown"),
        (set_to("recipe", "augmentation", "flop", to=1), r"recipe\.augmentation\.flop is unknown"),
        (set_to("recipe", "epochs", to="many"), r"recipe\.epochs must be a valid integer.*; got 'many'"),
        (set_to("recipe", "learning_rate", to=-1), r"recipe: learning_rate .* must be a number above 0; got -1"),
        (set_to("recipe", "augmentation", "crop", to="round"), r"recipe\.augmentation\.crop must be .*; got 'round'"),
        (set_to("seed", to=-1), "seed must be greater than or equal to 0; got -1"),
        (set_to("method", to="guess"), "method must be 'head', 'fine-tune' or 'from-scratch'; got 'guess'"),
        (set_to("name", to="../x"), "name: a model's name must be"),
        (set_to("recipe", to=None), "fine-tune and from-scratch have a recipe"),
        (set_to("weights", to=None), "head and fine-tune have weights"),
        (lambda document: document.pop("network"), "network is missing"),
        (lambda document: document["data"].pop("classes"), r"data\.classes is missing"),
    ],
)
def test_a_wrong_key_is_named(path: Path, change: Change, message: str) -> None:
    a_config(method="fine-tune", recipe=RECIPES["fine-tune"]).write(path)
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ValueError, match=f"config.yaml is no configuration of a run: {message}"):
        read_config(path)


def test_all_wrong_keys_are_named_at_once(path: Path) -> None:
    path.write_text("name: flowers\nseed: x\n")
    with pytest.raises(ValueError, match=r"data is missing; method is missing;.*seed must be a valid integer"):
        read_config(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "is no YAML file"),
        (b"\xff\xfe\xff", "is no YAML file"),
        (b"", "the file must be"),
        (b"- a\n", "the file must be"),
        (b"!!python/object/apply:os.system [id]", "is no YAML file"),
    ],
)
def test_another_file_is_refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_config(path)


def changed(config: RunConfig, **fields: Any) -> RunConfig:
    return config.model_copy(update={"data": config.data.model_copy(update=fields)})


def test_changes_of_data_and_packages_are_said_in_words() -> None:
    config = a_config()
    assert changes(config, config) == []
    more = changed(config, digest="other", images={"train": 9, "validation": 2})
    assert changes(config, more) == ["photos has changed: 11 images of 2 classes, and 8 of 2 before"]
    assert changes(config, changed(config, digest="other")) == [
        "photos has changed: other files, or files of other sizes"
    ]
    newer = config.model_copy(update={"packages": {"keras": "4.0", "jax": "1.0"}})
    assert changes(config, newer) == ["other packages: keras 4.0 (before: 3.0), jax 1.0 (before: none)"]
