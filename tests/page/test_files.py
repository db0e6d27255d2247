"""The page's files agree with one another, as far as that can be seen without a browser."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.page.texts import EXPRESSION, SCRIPTS, STATIC, TEXTS, strings, tokens

FIRST_LOAD_BYTES = 80_000
STYLES = {path.name: path.read_text() for path in sorted(STATIC.glob("*.css"))}
MARKUP = (STATIC / "index.html").read_text()
PLURAL_FORMS = {"zero", "one", "two", "few", "many", "other"}
WORDY = ("title", "noscript")  # before the scripts run, or without them
NAMES = ("OpenAPI", "·")  # the same in all languages
LABELS = ("alt", "aria-description", "aria-label", "aria-placeholder", "placeholder", "title")


def keys(section: object, path: str = "") -> Iterator[str]:
    """The keys of all texts, such as `card.title`, and `problems.other.0` of the first of several."""
    if isinstance(section, str) or (isinstance(section, dict) and section.keys() <= PLURAL_FORMS):
        yield path
        return
    names = section if isinstance(section, dict) else range(len(section))
    for name in names:
        yield from keys(section[name], f"{path}.{name}".lstrip("."))


ENTRIES = sorted(keys(TEXTS))


def pattern(literal: str) -> str:
    """What a template literal may become, as a regular expression."""
    return ".+".join(map(re.escape, re.split(EXPRESSION, literal)[::2]))


class Shell(HTMLParser):
    """What index.html has: the keys of its texts, the addresses it names, and what must not be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.addresses: list[str] = []
        self.faults: list[str] = []
        self._wordy = 0  # elements around this place that may have words

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._wordy += tag in WORDY
        for name, value in attributes:
            if name in ("data-text", "data-label"):
                self.keys.append(value or "")
            elif name in ("src", "href"):
                self.addresses.append(value or "")
            elif name == "style" or name.startswith("on") or (name in LABELS and value):
                self.faults.append(f"<{tag} {name}={value!r}>")
        if tag == "style" or (tag == "script" and "src" not in dict(attributes)):
            self.faults.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self._wordy -= tag in WORDY

    def handle_data(self, data: str) -> None:
        words = data.strip()
        if words and not self._wordy and words not in NAMES:
            self.faults.append(words)


@pytest.fixture(scope="module")
def shell() -> Shell:
    parser = Shell()
    parser.feed(MARKUP)
    return parser


def test_the_shell_has_no_words_scripts_or_styles_of_its_own(shell: Shell) -> None:
    assert shell.faults == []
    assert shell.keys


def test_every_text_that_is_asked_for_is_there(shell: Shell) -> None:
    asked = {re.escape(key) for key in shell.keys}
    for code in SCRIPTS.values():
        found = tokens(code)
        asked |= {
            pattern(literal[1:-1])
            for name, mark, literal in zip(found, found[1:], found[2:], strict=False)
            if (name, mark) == ("text", "(") and literal[0] in "\"'`"
        }
    assert [key for key in sorted(asked) if not any(re.fullmatch(key, entry) for entry in ENTRIES)] == []


def test_every_text_is_used(shell: Shell) -> None:
    others = [code for name, code in SCRIPTS.items() if name != "texts.js"]
    used = {pattern(literal) for code in others for literal in strings(code) if "." in literal}
    sections = {section for code in others for section in re.findall(r"\btexts\.([\w.]+)", code)}
    used |= {re.escape(key) for key in shell.keys} | {rf"{re.escape(section)}\..+" for section in sections}
    assert [entry for entry in ENTRIES if not any(re.fullmatch(one, entry) for one in used)] == []


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "texts.js"])
def test_words_for_people_are_in_texts_alone(name: str) -> None:
    assert [one for one in strings(SCRIPTS[name]) if re.match(r"[A-Z][a-z]+,? [a-z]+", one)] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_build_elements_and_no_markup(name: str) -> None:
    wrong = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")
    assert [one for one in wrong if one in "".join(tokens(SCRIPTS[name]))] == []


def relative(addresses: Iterable[str]) -> list[str]:
    """Those of the page's files, without the names of icons in the same file. Fails where one is absolute."""
    found = [address for address in addresses if not address.startswith("#")]
    assert [address for address in found if re.match("/|[a-z]+:", address)] == []
    return found


def imports(name: str) -> tuple[set[str], set[str]]:
    """The modules that a module imports at once, and those that it imports when they are wanted."""
    code = SCRIPTS[name]
    at_once = re.findall(r"""(?:^import|^export|^\}) [^;"]*?(?:from )?"\./([\w.]+)";""", code, re.MULTILINE)
    return {*at_once}, {*re.findall(r"""\bimport\("\./([\w.]+)"\)""", code)}


def loaded_first(shell: Shell) -> set[str]:
    """The files under static/ that the browser loads for `/` before anybody does anything."""
    files = {address.removeprefix("static/") for address in relative(shell.addresses) if "static/" in address}
    while more := {one for name in files & SCRIPTS.keys() for one in imports(name)[0]} - files:
        files |= more
    return files


def test_the_first_load_is_small(shell: Shell) -> None:
    sizes = {name: (STATIC / name).stat().st_size for name in loaded_first(shell)}
    assert sum(sizes.values()) + len(MARKUP.encode()) < FIRST_LOAD_BYTES, sizes


def test_every_name_is_a_file_and_every_file_is_named(shell: Shell) -> None:
    needed = loaded_first(shell).union(*(imports(name)[1] for name in SCRIPTS))
    needed |= {one for code in SCRIPTS.values() for one in re.findall(r"""new URL\("([^"]+\.\w+)",""", code)}
    there = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.*") if path.suffix != ".md"}
    assert needed - there == set()
    words = MARKUP + "".join(SCRIPTS.values())
    assert [path for path in sorted(there) if path != "index.html" and Path(path).name not in words] == []


PHYSICAL = re.compile(
    r"(?:^|[{;\s])((?:margin|padding|border|scroll-margin|scroll-padding)-(?:left|right|top|bottom)[\w-]*"
    r"|left|right|top|bottom|float|(?:border-(?:top|bottom)-(?:left|right)-radius))\s*:"
    r"|text-align:\s*(?:left|right)"
)


@pytest.mark.parametrize("name", STYLES)
def test_styles_are_the_same_in_both_directions_of_writing(name: str) -> None:
    rules = re.sub(r"/\*.*?\*/", "", STYLES[name], flags=re.DOTALL)
    assert [match[0].strip() for match in PHYSICAL.finditer(rules)] == []


@pytest.mark.parametrize("name", STYLES)
def test_styles_load_nothing_from_elsewhere(name: str) -> None:
    assert re.findall(r"@import[^;]*|url\(\s*[\"']?(?:https?:|//)[^)]*", STYLES[name]) == []
