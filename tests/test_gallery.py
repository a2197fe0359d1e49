"""Notebooks and gallery, built as a user builds them, and looked at in a browser."""

import ast
import base64
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.image import imread
from numba import config

from tutorials import __main__ as runner

ROOT = Path(__file__).resolve().parent.parent
CI = os.environ.get("CI") == "true"  # there, what is missing is an error
MISSING = [name for name in runner.NOTEBOOKS if importlib.util.find_spec(name) is None]
CHROMIUM = shutil.which("chromium")
BUILT = os.environ.get("MINISHATTER_BUILT")  # a folder where all were built already
NAMES = ([script.stem for script in runner.SCRIPTS] if BUILT
         else ["01_one_layer_by_hand", "03_autocorrelation"][:1 if config.DISABLE_JIT else 2])  # 03 imports its study

extra = pytest.mark.skipif(bool(MISSING) and not CI, reason=f'needs pip install -e ".[notebooks]": no {MISSING}')
browser = pytest.mark.skipif(CHROMIUM is None and not CI, reason="needs the browser chromium")


def python(*arguments, **env):
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, text=True, timeout=600,
                          env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with notebooks/ and html/ of NAMES, at quick size."""
    if BUILT:
        return Path(BUILT)
    out = tmp_path_factory.mktemp("built")
    numbers = [name[:2] for name in NAMES]
    done = python("-m", "tutorials", *numbers, "--quick", "--notebooks", out / "notebooks", "--html", out / "html",
                  MINISHATTER_FIGURES=str(out / "figures"))
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in out.iterdir()) == ["html", "notebooks"]  # figures/ is left as it is
    return out


# Notebooks.


@pytest.fixture(scope="module")
def books(built):
    import nbformat
    assert sorted(path.name for path in (built / "notebooks").iterdir()) == sorted(
        [*(f"{name}.ipynb" for name in NAMES), *runner.STUDIES])
    books = {name: nbformat.read(built / "notebooks" / f"{name}.ipynb", as_version=4) for name in NAMES}
    for book in books.values():
        nbformat.validate(book)
    return books


def outputs(book, kind):
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs
            if output.output_type == kind]


@extra
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_holds_the_script(books, name):
    """Its text and its code, cell by cell, in order; a code cell was run, and in order."""
    script, cells = (ROOT / "tutorials" / f"{name}.py").read_text(), books[name].cells
    assert cells[0].cell_type == "markdown" and cells[0].source == ast.get_docstring(ast.parse(script))
    parts = re.split(r"^# %%( \[markdown\])?\n", script, flags=re.MULTILINE)[1:]
    wanted = [(kind, re.sub("^# ?", "", text, flags=re.MULTILINE) if kind else text)
              for kind, text in zip(parts[::2], parts[1::2])]
    assert [cell.source for cell in cells[2:]] == [text.strip() for _, text in wanted]
    assert [cell.cell_type for cell in cells[2:]] == ["markdown" if kind else "code" for kind, _ in wanted]
    counts = [cell.execution_count for cell in cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@extra
def test_a_notebook_says_what_the_script_says(books, tmp_path):
    said = "".join(output.text for output in outputs(books[NAMES[0]], "stream"))
    done = python(ROOT / "tutorials" / f"{NAMES[0]}.py", MINISHATTER_QUICK="1", MINISHATTER_FIGURES=str(tmp_path))
    assert said == done.stdout and "agrees" in said


@extra
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_its_figure_and_no_noise(books, name, tmp_path):
    """One picture, though the figure was saved too; no warnings, no progress, no values besides, no folder of ours."""
    [picture] = outputs(books[name], "display_data")
    (tmp_path / "figure.png").write_bytes(base64.b64decode(picture.data["image/png"]))
    height, width, _ = imread(tmp_path / "figure.png").shape
    assert width > 500 and height > 200
    assert {output.name for output in outputs(books[name], "stream")} == {"stdout"}
    assert not outputs(books[name], "execute_result") and not outputs(books[name], "error")
    assert str(ROOT) not in str(books[name]) and "minishatter_" not in str(books[name])


@extra
def test_a_reader_who_runs_a_notebook_writes_beside_it(books, built, tmp_path):
    """Not over the repository's figure and table; and has what some notebooks import."""
    for name in runner.STUDIES:
        shutil.copy(built / "notebooks" / name, tmp_path)
    code = "\n".join([books[NAMES[0]].cells[1].source, "from minishatter import running", "print(running.folder())",
                      *(f"import {name.removesuffix('.py')}" for name in runner.STUDIES)])
    env = {name: value for name, value in os.environ.items() if name != "MINISHATTER_FIGURES"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env | {"PYTHONPATH": str(ROOT)}, text=True,
                          capture_output=True, timeout=60)
    assert done.stdout == "figures\n"


@extra
def test_the_same_tutorial_is_the_same_notebook(books):
    from tutorials import gallery
    for name, book in books.items():
        again = gallery.notebook(ROOT / "tutorials" / f"{name}.py")
        assert [cell.id for cell in again.cells] == [cell.id for cell in book.cells]
        assert [cell.source for cell in again.cells] == [cell.source for cell in book.cells]


@extra
def test_a_script_that_fails_is_no_notebook(tmp_path, capfd):
    """What it said is shown, and the next one goes on."""
    (tmp_path / "97_x.py").write_text('"""X\n=\n\nWhy?\n"""\n\n# %%\nraise RuntimeError("on purpose")\n')
    (tmp_path / "98_x.py").write_text('"""X\n=\n\nWhy?\n"""\n\n# %%\nprint("well")\n')
    collected = []
    failed = runner.run_all(sorted(tmp_path.glob("9*.py")), True, 2, ("-m", "tutorials.gallery"),
                            lambda folder: collected.extend(path.name for path in folder.glob("*.ipynb")))
    assert failed == ["97_x"] and collected == ["98_x.ipynb"]
    assert "RuntimeError: on purpose" in capfd.readouterr().err


# Pages.


class Seen(HTMLParser):
    """What a page refers to, and its words."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.words = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "href" and tag == "a":
                self.links.append(value)
            elif name in ("href", "src", "srcset", "data", "action", "poster", "background"):
                self.loads.append(value)

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def pages(built):
    pages = {path.name: path.read_text(encoding="utf-8") for path in (built / "html").iterdir()}
    assert sorted(pages) == sorted(["index.html", *(f"{name}.html" for name in NAMES)])
    return pages


@extra
def test_a_page_is_self_contained(pages):
    """It loads nothing but what it holds, runs nothing, and its links lead to pages that are there."""
    for text in pages.values():
        seen = Seen(text)
        assert seen.loads and all(load.startswith("data:image/png;base64,") for load in seen.loads)
        assert set(seen.links) <= set(pages) and "<script" not in text and "@import" not in text
        assert "url(" not in text and "default-src 'none'" in text


@extra
def test_from_the_index_every_page_can_be_reached(pages):
    assert Seen(pages["index.html"]).links == [f"{name}.html" for name in NAMES]
    assert all("index.html" in Seen(text).links for name, text in pages.items() if name != "index.html")


@extra
def test_the_index_asks_what_the_tutorial_asks():
    import nbformat

    from tutorials import gallery
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(
        "A title\n=======\n\nWhat *is* 2 * 3,\nand **what** does `f'(x)` do\nif x < 1?\n\nMore.")])
    assert gallery.title(book) == "A title"
    assert gallery.question(book) == "What is 2 * 3, and what does f'(x) do if x < 1?"


@extra
@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_text_code_output_and_figure(pages, books, name):
    words, squeezed = Seen(pages[f"{name}.html"]).words, lambda text: re.sub(r"\s+", "", text)
    for cell in books[name].cells[2:]:
        if cell.cell_type == "code":
            assert squeezed(cell.source) in squeezed(words)
        else:
            assert cell.source.split()[-1].strip("*`") in words
    for output in outputs(books[name], "stream"):
        assert output.text in words
    [picture] = outputs(books[name], "display_data")
    assert picture.data["image/png"].replace("\n", "") in pages[f"{name}.html"].replace("\n", "")


FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync --virtual-time-budget=20000 --window-size=1100,1600").split()
LOOK = """<script>addEventListener("load", () => { document.body.dataset.seen = JSON.stringify(
[...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight, i.clientWidth, i.clientHeight]));
})</script>"""


def look(text, folder):
    """(decoded, natural width and height, shown width and height) of each image, as the browser has them."""
    page = folder / "page.html"
    page.write_text(re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', LOOK, text), encoding="utf-8")
    done = subprocess.run([CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()],
                          capture_output=True, text=True, timeout=180)
    seen = re.search('data-seen="([^"]*)"', done.stdout)
    assert seen, done.stderr
    return ast.literal_eval(seen[1].replace("true", "True").replace("false", "False"))


@extra
@browser
@pytest.mark.parametrize("name", ["index", *NAMES])
def test_a_browser_shows_each_figure(pages, name, tmp_path):
    images = look(pages[f"{name}.html"], tmp_path)
    assert len(images) == (len(NAMES) if name == "index" else 1)
    for decoded, width, height, shown_width, shown_height in images:
        assert decoded and width > 200 and height > 100
        assert shown_width > 200 and shown_height > 100
        if name != "index":  # not distorted, up to whole pixels and the border around it
            assert shown_height / shown_width == pytest.approx(height / width, rel=0.1)


@extra
@browser
def test_the_browser_sees_a_picture_that_is_damaged(pages, tmp_path):
    """Or the test above would hold whatever is drawn."""
    damaged = re.sub("(data:image/png;base64,.{40}).*?\"", r'\1AAAA"', pages["index.html"], flags=re.DOTALL)
    assert all(width == 0 for _, width, *_ in look(damaged, tmp_path))


# What is refused.


def test_without_the_extra_one_line_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINISHATTER_QUICK", "1")
    monkeypatch.setitem(sys.modules, "nbclient", None)  # as if it were not installed
    for option in ("--notebooks", "--html"):
        with pytest.raises(SystemExit) as stop:
            runner.main(["01", "--quick", option, str(tmp_path / "out")])
        err = capsys.readouterr().err
        assert stop.value.code == 2 and err.count("\n") == 1
        assert "nbclient" in err and 'pip install -e ".[notebooks]"' in err
    assert list(tmp_path.iterdir()) == []


@extra
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    done = python("-m", "tutorials", "01", "--html", tmp_path / "file" / "out")
    assert done.returncode == 2 and done.stdout.count("\n") == 1 and "name another OUT" in done.stdout


@extra
@pytest.mark.parametrize("text", ['print("no docstring")\n', '"""Title"""\nprint("no cell below")\n'])
def test_a_script_that_is_no_tutorial_is_refused(tmp_path, text):
    from tutorials import gallery
    (tmp_path / "97_x.py").write_text(text)
    with pytest.raises(ValueError, match="script must open with a docstring"):
        gallery.notebook(tmp_path / "97_x.py")
