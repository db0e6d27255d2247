"""The READMEs: their commands run as they stand and print what is shown, and what they name exists."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from api.settings import Settings
from model import ROOT
from tests.benchmarks.servers import free_port
from tests.trees import hackathon_tree
from training.cli import main
from training.evaluation.metrics import wilson_interval

README = ROOT / "README.md"
DOCUMENTS = [
    "README.md",
    "api/README.md",
    "training/README.md",
    "model/MODEL_CARD.md",
    "tests/benchmarks/README.md",
]
EXAMPLES = ROOT / "api" / "examples"
MOST_LINES = 150
START_SECONDS = 60
TOLERANCE = 0.02  # of numbers: int8 is rounded otherwise on other processors
PORT = "8000"
REQUEST_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
OTHER_VARIABLES = {"CIFAKE_DATA"}  # read by the tests
KUBERNETES = {"CIFAKE_PORT", "CIFAKE_SERVICE_HOST"}
WRONG = {"CIFAKE_BATCHSIZE"}  # shown as misspelt


class Block(NamedTuple):
    """Fenced code of a document, and what it prints as the document shows it; empty where it does not."""

    language: str
    code: str
    shown: str


def blocks(document: str) -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    following = [*found[1:], ("", "")]
    return [
        Block(language, code, text if then in ("json", "text") else "")
        for (language, code), (then, text) in zip(found, following, strict=True)
    ]


def commands(document: str) -> list[str]:
    """What a document tells to run, in blocks and in lines: one a string, its variables replaced by 1."""
    text = (ROOT / document).read_text()
    lines = [line for block in blocks(document) if block.language == "sh" for line in block.code.splitlines()]
    return [re.sub(r"\$\w+", "1", line.strip()) for line in lines + re.findall(r"`([^`\n]+)`", text)]


# What runs


class Place(NamedTuple):
    """A folder with what the README's commands need, and the service on another port than it says."""

    folder: Path
    port: int
    log: Path

    def run(self, *command: str) -> str:
        """What a command prints in that folder."""
        here = [part.replace(f"localhost:{PORT}", f"127.0.0.1:{self.port}") for part in command]
        environment = os.environ | {"NO_PROXY": "*"}
        done = subprocess.run(
            here, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, port = tmp_path_factory.mktemp("readme"), free_port()
    (folder / "api").mkdir()
    (folder / "api" / "examples").symlink_to(EXAMPLES)
    log = folder / "log"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "CIFAKE_BIND": f"127.0.0.1:{port}",
        "CIFAKE_WORKERS": "1",
        "CIFAKE_DEVICE": "cpu",
    }
    configuration = str(ROOT / "api" / "gunicorn.conf.py")
    command = [sys.executable, "-m", "gunicorn", "-c", configuration, "api.app:create_app()"]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=file, stdout=file)
    try:
        until = time.monotonic() + START_SECONDS
        while " ready: " not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield Place(folder, port, log)
    finally:
        process.kill()
        process.wait()


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file).astype(int)


def assert_alike(printed: str, shown: str) -> None:
    """The same but for the last digits of its numbers, and the ids of requests."""
    printed, shown = (REQUEST_ID.sub("an id", text) for text in (printed, shown))
    assert NUMBER.sub("#", printed.strip()) == NUMBER.sub("#", shown.strip())
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (printed, shown)]
    assert numbers[0] == pytest.approx(numbers[1], rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_requests_and_the_client_print_what_is_shown(place: Place) -> None:
    """Those of the README, and those of the service's own, which shows no answers."""
    asked = [
        block for block in blocks("README.md") if block.code.startswith("curl") or block.language == "python"
    ]
    assert [block.language for block in asked] == ["sh", "sh", "python"]
    for block in asked:
        command = ("sh", "-ec") if block.language == "sh" else (sys.executable, "-c")
        assert_alike(place.run(*command, block.code), block.shown)
    assert json.loads((place.folder / "outputs" / "demo_prediction.json").read_bytes())
    drawn, committed = (pixels(folder / "heatmap.png") for folder in (place.folder, EXAMPLES))
    assert np.abs(drawn - committed).mean() < 255 * TOLERANCE
    [ready] = [line for line in place.log.read_text().splitlines() if " ready: " in line]
    [told] = re.findall(r"`(ready: .*)`", README.read_text())
    assert ready.split(" on ")[0].endswith(told.split(" on ")[0].replace(PORT, str(place.port)))

    [more] = [block for block in blocks("api/README.md") if "curl" in block.code and "/ID" not in block.code]
    answers = place.run("sh", "-ec", more.code).splitlines()
    assert len(answers) == more.code.count("curl ")
    assert all("prediction" in answer for answer in answers)


RECIPES = [block.code for block in blocks("api/README.md") if block.language == "python"]


@pytest.mark.parametrize("code", RECIPES, ids=lambda code: code.split(maxsplit=2)[1])
def test_recipes_in_python(code: str, place: Place) -> None:
    shutil.copy(ROOT / "api" / "client" / "cifake_client.py", place.folder)
    for module in re.findall(r"^(?:import|from) (?!cifake_client)(\w+)", code, re.MULTILINE):
        pytest.importorskip(module)
    if "cifake_client" in code:
        pytest.importorskip("httpx")
    assert re.search("REAL|cat.png", place.run(sys.executable, "-c", code))


def test_the_hackathon_in_five_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: each would import PyTorch anew."""
    [block] = [block for block in blocks("README.md") if block.code.startswith("python -m training")]
    lines = [shlex.split(line) for line in block.code.splitlines()]
    assert len(lines) == 5
    hackathon_tree(tmp_path / "data" / "hackathon")
    monkeypatch.chdir(tmp_path)
    # In the hackathon's archive, unlike here, the labels are found inverted.
    monkeypatch.setattr("training.commands.runs.detect_positive_class", lambda dataset, args: "FAKE")
    for line in lines:
        assert line[:3] == ["python", "-m", "training"]
        assert main(line[3:]) == 0
    [archive] = re.findall(r"`(\S+\.zip)`", README.read_text())
    assert Path(archive).is_file()


def test_no_block_is_left_out() -> None:
    """What installs is not run here; that its targets and files exist is tested below."""
    for block in blocks("README.md"):
        if block.language == "sh":
            assert block.code.startswith(("make", "docker", "curl", "python -m training")), block.code


# What the example pictures are


def ball() -> np.ndarray:
    """A sphere in the light of a lamp at the upper left, drawn at 256x256 and averaged."""
    y, x = (np.mgrid[:256, :256] - 127.5) / 128
    z = np.sqrt(np.clip(0.75**2 - x**2 - y**2, 0, None))
    light = np.clip((0.6 * z - 0.5 * x - 0.6 * y) / 0.75, 0, 1)[..., None]
    ground = np.array([150, 170, 190]) * (1 - 0.3 * y[..., None])
    drawn = np.where(z[..., None] > 0, (0.15 + 0.85 * light) * np.array([220, 120, 40]), ground)
    return drawn.reshape(32, 8, 32, 8, 3).mean((1, 3)).round().astype(np.uint8)


def test_the_ball_is_drawn_by_code() -> None:
    assert np.abs(pixels(EXAMPLES / "ball.png") - ball()).max() <= 1


def test_the_cat_is_made_as_the_model_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    [block] = [block for block in blocks("model/MODEL_CARD.md") if block.language == "python"]
    monkeypatch.chdir(tmp_path)
    exec(block.code, {})
    assert np.abs(pixels(tmp_path / "cat.png") - pixels(EXAMPLES / "cat.png")).max() <= 1


# What is said of larger pictures


def card_table(first_column: str) -> list[list[str]]:
    """The cells of the model card's table of that first column, its header left out."""
    text = (ROOT / "model" / "MODEL_CARD.md").read_text()
    [table] = re.findall(rf"^\| {first_column} \|.*\n\|[-:|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [line.strip("| ").split(" | ") for line in table.splitlines()]


def test_the_sets_of_larger_pictures_add_up() -> None:
    """The commands that made each set's numbers need the network; this holds what follows from them."""
    total, grand = np.zeros(3, int), {}
    for name, pictures, real, by_content in card_table("larger pictures"):
        called, shown = real.split(": ")
        low, high = wilson_interval(int(called), int(pictures))
        share = int(called) / int(pictures)
        assert shown == f"{share:.1%} ({low * 100:.1f} to {high * 100:.1f}%)".replace("%", " %")
        numbers = np.array([pictures, called, by_content], int)
        if name.startswith("all "):
            assert numbers.tolist() == total.tolist()
            grand[name], total = numbers, total * 0
        else:
            total += numbers
    assert grand.keys() == {"all photographs", "all generated"}


def test_the_photographs_are_answered_as_the_model_card_shows(tmp_path: Path) -> None:
    """Those that are installed: scikit-learn's two, and with scikit-image its own."""
    rows = {name: cells for name, *cells in card_table("photograph")}
    packages = [("sklearn", "datasets/images"), ("skimage", "data")]
    found = []
    for package, folder in packages:
        if spec := find_spec(package):
            found += [path for path in (Path(spec.origin).parent / folder).iterdir() if path.name in rows]
    assert {"china.jpg", "flower.jpg"} <= {path.name for path in found}
    report = tmp_path / "report.json"
    assert main(["predict", "--json", str(report), "--device", "cpu", *map(str, found)]) == 0
    for answer in json.loads(report.read_bytes())["files"]:
        size, label, confidence, by_content = rows[Path(answer["file"]).name]
        shown = float(confidence.removesuffix(" %")) / 100
        assert answer["prediction"] == pytest.approx(shown if label == "REAL" else 1 - shown, abs=TOLERANCE)
        assert [str(answer["width"]), str(answer["height"])] == re.findall(r"\d+", size)
        assert answer["out_of_domain_reason"] == "size"
        assert answer["in_domain_by_content"] == (by_content == "yes")

    [_, pictures, real, in_domain] = next(
        row for row in card_table("larger pictures") if "scikit-image" in row[0]
    )
    cells = rows.values()
    assert int(pictures) == len(rows)
    assert int(real.split(":")[0]) == sum(label == "REAL" for _, label, _, _ in cells)
    assert int(in_domain) == sum(by_content == "yes" for _, _, _, by_content in cells)


# What is named exists


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def anchors(document: Path) -> set[str]:
    """What a link can lead to in a document, as GitHub names its headings."""
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    links = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_variables_exist(document: str) -> None:
    settings = {f"CIFAKE_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"\bCIFAKE_[A-Z0-9_]*[A-Z0-9]", (ROOT / document).read_text()))
    assert named - settings <= OTHER_VARIABLES | KUBERNETES | WRONG


def help_of(command: str, capsys: pytest.CaptureFixture) -> str:
    """What a command of `python -m training` says of itself."""
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    told = capsys.readouterr()
    assert ended.value.code == 0, told.err
    return told.out


def training_commands(document: str) -> list[list[str]]:
    """The arguments of each `python -m training` of a document."""
    found = (re.search(r"\bpython -m training (.*)", command) for command in commands(document))
    return [shlex.split(one[1], comments=True) for one in found if one]


@pytest.mark.parametrize("document", ["README.md", "training/README.md", "model/MODEL_CARD.md"])
def test_commands_and_their_options_exist(document: str, capsys: pytest.CaptureFixture) -> None:
    named = [arguments for arguments in training_commands(document) if arguments[0].islower()]
    assert named
    for command, *arguments in named:
        told = help_of(command, capsys)
        for argument in arguments:
            if argument.startswith("--"):
                assert re.search(rf"{argument}\b", told), f"{command} {argument}"


def test_the_trainings_options_exist(capsys: pytest.CaptureFixture) -> None:
    """Also those that its text names without a command; and its table of commands is whole."""
    text = (ROOT / "training" / "README.md").read_text()
    [table] = re.findall(r"^\| command \| \|$.*?^$", text, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert sorted(listed) == sorted(re.findall(r"^    (\w+)", help_of("", capsys), re.MULTILINE))
    told = "".join(help_of(command, capsys) for command in listed)
    for option in re.findall(r"`(--[\w-]+)", text):
        assert re.search(rf"{option}\b", told), option


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_modules_and_files_exist(document: str) -> None:
    makefile, dockerfile, project = (
        (ROOT / name).read_text() for name in ("Makefile", "Dockerfile", "pyproject.toml")
    )
    for command in commands(document):
        if target := re.match(r"make ([a-z]+)", command):
            assert re.search(rf"^{target[1]}:", makefile, re.MULTILINE), command
        if module := re.search(r"python -m (tests[\w.]*)", command):
            assert find_spec(module[1]), command
        if group := re.search(r"--group (\w+)", command):
            assert re.search(rf"^{group[1]} = \[", project, re.MULTILINE), command
        if target := re.search(r"--target (\w+) -t", command):
            assert f" AS {target[1]}\n" in dockerfile, command
        if file := re.search(r"\brequirements[\w-]*\.txt", command):
            assert (ROOT / file[0]).is_file(), command
        if "docker compose" in command:
            assert (ROOT / "compose.yaml").is_file()


@pytest.mark.parametrize(
    ("heading", "source"),
    [
        ("Is this small picture a photograph?", "model/MODEL_CARD.md"),
        ("How good it is", "model/MODEL_CARD.md"),
        ("How fast it is", "tests/benchmarks/README.md"),
    ],
)
def test_excerpts_say_what_the_whole_tables_say(heading: str, source: str) -> None:
    section = README.read_text().split(f"# {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert rows
    whole = (ROOT / source).read_text()
    for row in rows:
        name, *values = row.strip("| ").split(" | ")
        assert " | ".join(values if len(values) == 1 else [name, *values]) in whole, row
