import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.settings import Settings, SettingsError, load_settings, unknown_variables

README = Path(__file__).parents[2] / "api" / "README.md"
TEXTS = [name for name, field in Settings.model_fields.items() if field.annotation is str]
JSON_LIKE = ["2025.10", "true", "null", "[1]", '{"a": 1}', "1e3"]
UTF8 = st.characters(codec="utf-8", exclude_characters="\0")
NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]


def from_environment(**values: str) -> Settings:
    with mock.patch.dict(os.environ, {f"CIFAKE_{name.upper()}": value for name, value in values.items()}):
        return load_settings()


def test_defaults() -> None:
    assert load_settings().model_dump() == {
        name: field.default for name, field in Settings.model_fields.items()
    }


def test_arguments_override_the_environment() -> None:
    with mock.patch.dict(os.environ, {"CIFAKE_WORKERS": "3", "CIFAKE_THREADS": "7"}):
        found = load_settings(workers=5)
    assert (found.workers, found.threads) == (5, 7)


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(TEXTS), st.sampled_from(JSON_LIKE) | st.text(UTF8, min_size=1))
def test_text_is_read_unchanged(name: str, value: str) -> None:
    assert getattr(from_environment(**{name: value}), name) == value


@settings(derandomize=True, deadline=None)
@given(st.sampled_from(NUMBERS), st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=12))
def test_a_number_is_parsed_or_the_error_names_the_setting(name: str, value: str) -> None:
    try:
        found = getattr(from_environment(**{name: value}), name)
    except SettingsError as error:
        message = str(error)
    else:
        assert found == float(value)
        return
    assert f"CIFAKE_{name.upper()}" in message
    assert message.count("\n") == value.count("\n")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf", "", "1_0x"])
def test_invalid_numbers_are_rejected(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"CIFAKE_{name.upper()}={value}: Input should be"):
        from_environment(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("engine", "abacus"), ("precision", "f64"), ("bind", ""), ("model", "")]
)
def test_invalid_values_are_rejected(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"CIFAKE_{name.upper()}"):
        from_environment(**{name: value})


@pytest.mark.parametrize(
    "values",
    [
        {"max_image_bytes": 11, "max_batch_bytes": 10},
        {"max_image_bytes": 11, "max_batch_bytes": 11, "max_unpacked_bytes": 10},
        {"max_image_pixels": 11, "max_batch_pixels": 10},
        {"max_batches": 5, "threads": 4},
    ],
)
def test_inconsistent_settings_are_rejected(values: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=r"^CIFAKE_MAX_\w+ \(\d+\) must not be above CIFAKE_\w+ \(\d+\)$"):
        load_settings(**values)


@pytest.mark.parametrize(
    "value", ["", "0123456789a", "0" * 65, "0123456789abx", "Any", "sha256:0123456789ab"]
)
def test_invalid_digests_are_rejected(value: str) -> None:
    with pytest.raises(SettingsError, match=f"CIFAKE_MODEL_SHA256={value}: Input should be 12 to 64 hex"):
        from_environment(model_sha256=value)


@pytest.mark.parametrize(
    "value",
    ["", "600", "0/minute", "600/fortnight", "-1/minute", "6e2/minute", "5/minute;0/hour", "None", "6/s;"],
)
def test_invalid_rate_limits_are_rejected(value: str) -> None:
    with pytest.raises(SettingsError, match=f"CIFAKE_RATE_LIMIT={value}: Input should be such as 600/minute"):
        from_environment(rate_limit=value)


def test_rate_limits_are_those_of_the_package_limits() -> None:
    for value in ("none", "600/minute", "10 per second; 5/2 hours"):
        assert from_environment(rate_limit=value).rate_limit == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "page.example",
        "ftp://page.example",
        "https://page.example/",
        "https://.*",
        "https://[a-z]+",
        "*,*",
        "null",
    ],
)
def test_invalid_origins_are_rejected(value: str) -> None:
    """Among them regular expressions, which flask-cors would follow."""
    with pytest.raises(SettingsError) as error:
        from_environment(cors_origins=value)
    assert str(error.value).startswith(
        f"CIFAKE_CORS_ORIGINS={value}: Input should be origins such as https://"
    )


def test_origins_are_a_list() -> None:
    for value in ("none", "*", "https://page.example", "http://localhost:3000, https://a-b.example"):
        assert from_environment(cors_origins=value).cors_origins == value


def test_digests_are_read_in_lower_case() -> None:
    assert from_environment(model_sha256="0123456789ABCDEF").model_sha256 == "0123456789abcdef"


def test_batch_slots_are_a_quarter_of_the_threads() -> None:
    assert [load_settings(threads=threads).batch_slots for threads in (1, 4, 32)] == [1, 1, 8]
    assert load_settings(max_batches=2).batch_slots == 2


def test_the_environment_does_not_configure_flask() -> None:
    from api.app import create_app
    from tests.conftest import MeanPredictor

    with mock.patch.dict(os.environ, {"CIFAKE_DEBUG": "true", "CIFAKE_SECRET_KEY": "x"}):
        app = create_app(predictor=MeanPredictor())
    assert (app.debug, app.secret_key) == (False, None)


def test_readme_lists_every_setting() -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `CIFAKE_")]
    root = f"{README.parents[1]}/"
    assert rows == [
        f"| `CIFAKE_{name.upper()}` | `{str(field.default).removeprefix(root)}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("CIFAKE_WORKRES", "CIFAKE_WORKERS"), ("CIFAKE_MAX_BATCHFILES", "CIFAKE_MAX_BATCH_FILES")],
)
def test_a_misspelt_setting_is_named(name: str, meant: str) -> None:
    with (
        mock.patch.dict(os.environ, {name: "1"}),
        pytest.raises(SettingsError, match=f"{name} is not a setting: did you mean {meant}"),
    ):
        load_settings()


def test_unknown_variables_are_reported() -> None:
    given = {
        "CIFAKE_SOMETHING": "1",
        "CIFAKE_DATA": "data",
        "CIFAKE_SERVICE_HOST": "10.0.0.1",  # Kubernetes sets these for a service `cifake`
        "CIFAKE_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    with mock.patch.dict(os.environ, given, clear=True):
        assert load_settings() == Settings()
        assert unknown_variables() == ["CIFAKE_SOMETHING"]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_no_setting_is_a_misspelling_of_another(name: str) -> None:
    with mock.patch.dict(os.environ, {f"CIFAKE_{name.upper()}": str(Settings.model_fields[name].default)}):
        assert load_settings() == Settings()
