"""What the documents beside the code say of it: links, versions, moved names, and where the suite runs."""

import configparser
import importlib
import re
from pathlib import Path

import pytest

import minishatter

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(path.name for path in ROOT.iterdir() if path.suffix in {".md", ".cff"} or path.name == "LICENSE")
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
MOVED = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", CHANGES, flags=re.MULTILINE)
SETTINGS = configparser.ConfigParser()
SETTINGS.read(ROOT / "setup.cfg", encoding="utf-8")


def links(name):
    """The targets of a document's links that are files here."""
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = (target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text))
    return {target for target in targets if target and "://" not in target}


def exists(name):
    """Does a dotted name lead to something that can be imported?"""
    module, _, rest = name.partition(".")
    thing = importlib.import_module(module)
    for part in rest.split("."):
        try:
            thing = getattr(thing, part)
        except AttributeError:
            module = getattr(thing, "__name__", "")
            try:
                thing = importlib.import_module(f"{module}.{part}")
            except ModuleNotFoundError:
                return False
    return True


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_linked_from_the_readme(name):
    assert name == "README.md" or name in links("README.md")


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(".md")])
def test_every_link_leads_to_a_file(name):
    assert [target for target in links(name) if not (ROOT / target).exists()] == []


def test_every_file_of_the_core_has_a_room():
    """The table in CONTRIBUTING.md names each once; the image wing and the coursework are rooms as they are."""
    rooms = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Rooms")[2].partition("\n\n**")[0]
    named = re.findall(r"`(\w+)`", rooms)
    assert sorted(named) == sorted(name for name in minishatter.READING_ORDER if "." not in name)


def test_the_changelog_has_the_packages_version():
    """First what is not released, then the release that this is; the citation says the same."""
    headings = re.findall(r"^## (\S+)", CHANGES, flags=re.MULTILINE)
    assert headings[:2] == ["Unreleased", minishatter.__version__]
    assert f"\nversion: {minishatter.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_changelog_has_moved_names():
    assert len(MOVED) > 15


@pytest.mark.parametrize("old, new", MOVED)
def test_a_moved_name_is_where_the_changelog_says_and_no_longer_where_it_was(old, new):
    assert exists(new) and not exists(old)


@pytest.mark.parametrize("name, there", [("minishatter.nets.resnet", True), ("minishatter.images.train", True),
                                         ("minishatter.layers.Conv2d", False), ("minishatter.batch", False)])
def test_names_that_are_there_are_told_from_others(name, there):
    assert exists(name) == there


# What is installed, and where the suite runs.


def test_a_wheel_has_the_files_of_the_package_that_are_not_python():
    packed = {path for package, patterns in SETTINGS["options.package_data"].items()
              for pattern in patterns.split(",") for path in ROOT.joinpath(*package.split(".")).glob(pattern.strip())}
    there = {path for path in (ROOT / "minishatter").rglob("*")
             if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__"}
    assert packed == there


def classified():
    """The versions of Python in setup.cfg's classifiers, oldest first."""
    found = re.findall(r":: (3\.\d+)$", SETTINGS["metadata"]["classifiers"], flags=re.MULTILINE)
    return sorted(found, key=lambda version: int(version.partition(".")[2]))


def test_the_workflow_runs_the_oldest_and_the_newest_python():
    """Read without a YAML parser, which the suite does not need otherwise."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    versions = re.findall(r'^ *python: \[(.*)\]$', workflow, flags=re.MULTILINE)
    assert versions == [", ".join(f'"{version}"' for version in (classified()[0], classified()[-1]))]
    assert SETTINGS["options"]["python_requires"] == f">={classified()[0]}"
    assert "run: .ci/run" in workflow and "python -m pytest" in workflow
