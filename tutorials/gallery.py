"""The tutorials as notebooks with their outputs, and as a gallery of web pages. Needs the extra `notebooks`.

`python -m tutorials --notebooks OUT` and `--html OUT` run this file once for each script,
in a process and a folder of its own, and make the pages from the notebooks that come back.
"""

import ast
import base64
import html
import io
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image
from pygments.formatters import HtmlFormatter

FOLDER = Path(__file__).resolve().parent
THUMBNAIL = (640, 400)  # the most, in pixels; shown at half of it, so that fine screens have all they can show

BESIDE = """import os
os.environ.setdefault("MINISHATTER_FIGURES", "figures")  # beside this notebook; the repository's stay as they are"""

# A page may not load anything, from anywhere, nor run a script: what it shows is in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
{body}
</body>
</html>
"""

STYLE = """
body { max-width: 62rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; color: #222; background: #fff;
       font: 1.05rem/1.55 Georgia, "DejaVu Serif", serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 1.2rem 0 1rem; }
a { color: #0072B2; }
nav { display: grid; grid-template-columns: 1fr auto 1fr; gap: 1rem; font-size: .95rem; border-bottom: 1px solid #ddd;
      padding-bottom: .4rem; }
nav a:last-child { text-align: right; }
pre, code { font: .82rem/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.rendered_html p, .rendered_html ul { max-width: 44rem; }
.input { margin: .6rem 0; border-left: 3px solid #0072B2; background: #f6f8fa; overflow-x: auto; }
.input pre, .output pre { margin: 0; padding: .55rem .8rem; }
.output pre { white-space: pre-wrap; }
.output { margin: .6rem 0; border-left: 3px solid #D55E00; overflow-x: auto; }
.output img { display: block; max-width: 100%; height: auto; padding: .4rem .8rem; box-sizing: border-box; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border: 1px solid #ddd; padding: .2rem .5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1.2rem; padding: 0; }
.cards a { display: block; border: 1px solid #ddd; border-radius: 6px; padding: .8rem; color: inherit;
           text-decoration: none; }
.cards a:hover { border-color: #0072B2; }
.cards img { width: 100%; height: 11rem; object-fit: contain; }
.cards h2 { font-size: 1.05rem; line-height: 1.3; margin: .5rem 0 .3rem; }
.cards p { font-size: .9rem; line-height: 1.4; margin: 0; }
"""


# Notebooks.


def notebook(script: Path) -> nbformat.NotebookNode:
    """The script as a notebook without outputs: its docstring is the first text, and its figure goes beside it."""
    book = jupytext.reads(script.read_text(encoding="utf-8"), fmt="py:percent")
    opening, *cells = book.cells
    docstring = ast.get_docstring(ast.parse(opening.source))
    if opening.cell_type != "code" or docstring is None or len(ast.parse(opening.source).body) > 1:
        raise ValueError(f"script must open with a docstring, and a cell below it; {script.name} does not")
    book.cells = [nbformat.v4.new_markdown_cell(docstring), nbformat.v4.new_code_cell(BESIDE), *cells]
    for number, cell in enumerate(book.cells):
        cell.id = f"{script.name[:2]}-{number}"  # jupytext's are random: the same tutorial is the same notebook
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return book


class Kernel(AsyncKernelManager):
    """The Python that runs this file, whatever Jupyter has installed under the same name."""

    def _kernel_spec_manager_default(self):
        return KernelSpecManager(kernel_dirs=[])


def execute(book: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells and keep what they print and draw. What Jupyter writes besides, and the figure, go to `folder`."""
    os.environ |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "TQDM_DISABLE": "1",
                   "MINISHATTER_FIGURES": str(folder), "IPYTHONDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder),
                   "PYTHONPATH": os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))}
    options = ["--InteractiveShell.ast_node_interactivity=none",  # as in a script, only what is printed is shown
               "--InteractiveShell.colors=nocolor", "--log-level=ERROR"]
    client = NotebookClient(book, kernel_manager_class=Kernel, timeout=None, record_timing=False,
                            extra_arguments=options, resources={"metadata": {"path": str(FOLDER.parent)}})
    return client.execute()


# Pages.


def title(book: nbformat.NotebookNode) -> str:
    """The first line of the notebook."""
    return book.cells[0].source.partition("\n")[0]


def question(book: nbformat.NotebookNode) -> str:
    """The first paragraph below the title, on one line, without the marks of Markdown."""
    text = " ".join(book.cells[0].source.split("\n\n")[1].split())
    return re.sub(r"([*`]+)(\S.*?)\1", r"\2", text)


def figure(book: nbformat.NotebookNode) -> bytes:
    """The last picture of the notebook, a PNG."""
    pictures = [output.data["image/png"] for cell in book.cells for output in cell.get("outputs", [])
                if "image/png" in output.get("data", {})]
    if not pictures:
        raise ValueError(f"book must have a figure; {title(book)!r} has none")
    return base64.b64decode(pictures[-1])


def thumbnail(book: nbformat.NotebookNode) -> str:
    """The figure made small, as a data URI."""
    small, file = Image.open(io.BytesIO(figure(book))), io.BytesIO()
    small.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    small.convert("RGB").save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def page(heading: str, body: str) -> bytes:
    """A whole page, self-contained."""
    style = STYLE + HtmlFormatter(style="tango").get_style_defs(".highlight")
    return PAGE.format(policy=POLICY, title=html.escape(heading), style=style, body=body).encode()


def tutorial(book: nbformat.NotebookNode, before: str, after: str) -> bytes:
    """The page of one tutorial: text, code, output, figure; `before` and `after` name the neighbouring pages."""
    exporter = HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True,
                            exclude_anchor_links=True)
    shown = nbformat.from_dict(book | {"cells": [cell for cell in book.cells if cell.source != BESIDE]})
    body, _ = exporter.from_notebook_node(shown)
    body = body.replace("No description has been provided for this image", html.escape(title(book)))
    links = [f'<a href="{name}.html">{html.escape(name.replace("_", " "))}</a>' if name else "<span></span>"
             for name in (before, after)]
    return page(title(book), f'<nav>{links[0]}<a href="index.html">all tutorials</a>{links[1]}</nav>\n{body}')


def pages(books: dict[str, nbformat.NotebookNode], size: str) -> dict[str, bytes]:
    """{file name: page} of the whole gallery, for notebooks {name of the script: notebook}; size: how they were run."""
    names = ["", *books, ""]
    made = {f"{name}.html": tutorial(books[name], before, after)
            for before, name, after in zip(names, names[1:], names[2:])}
    cards = "\n".join(f'<a href="{name}.html"><img src="{thumbnail(book)}" alt="">'
                      f'<h2>{name[:2]}&ensp;{html.escape(title(book))}</h2><p>{html.escape(question(book))}</p></a>'
                      for name, book in books.items())
    return made | {"index.html": page("minishatter: the tutorials", f"""<h1>minishatter: the tutorials</h1>
<p>The Shattered Gradients Problem (Balduzzi et al., ICML 2017) as an executable edition. Each page is a script of
the repository, with what it printed and drew at {size}.</p>
<div class="cards">
{cards}
</div>""")}


if __name__ == "__main__":  # one script, run by `python -m tutorials`
    script, out = Path(sys.argv[1]), Path(os.environ["MINISHATTER_FIGURES"])
    nbformat.write(execute(notebook(script), out), out / f"{script.stem}.ipynb")
