from pathlib import Path

import pytest
from flask import Config

from api.settings import SETTINGS, SettingsError, load_settings

README = Path(__file__).parents[2] / "README.md"


def loaded(**overrides: object) -> Config:
    config = Config(".")
    load_settings(config, overrides)
    return config


def test_defaults() -> None:
    config = loaded()
    assert {setting.name: config[setting.name] for setting in SETTINGS} == {
        setting.name: setting.default for setting in SETTINGS
    }


def test_environment_then_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_WORKERS", "3")
    monkeypatch.setenv("CIFAKE_OUTPUT_DIR", "2025")
    config = loaded()
    assert config["WORKERS"] == 3
    assert config["OUTPUT_DIR"] == "2025"
    assert loaded(WORKERS=5)["WORKERS"] == 5


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "true"])
def test_senseless_numbers_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_MAX_BATCH_FILES", value)
    with pytest.raises(SettingsError, match="CIFAKE_MAX_BATCH_FILES must be a whole number from 1"):
        loaded()


def test_none_is_a_number_of_workers() -> None:
    assert loaded(WORKERS=0)["WORKERS"] == 0
    with pytest.raises(SettingsError, match="CIFAKE_WORKERS must be a whole number from 0"):
        loaded(WORKERS=-1)


def test_readme_lists_every_setting() -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `CIFAKE_")]
    expected = [
        f"| `CIFAKE_{setting.name}` | `{_shown(setting.default)}` | {setting.help} |" for setting in SETTINGS
    ]
    assert rows == expected


def _shown(default: int | str) -> str:
    root = str(README.parent) + "/"
    return str(default).removeprefix(root)
