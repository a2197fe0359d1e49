"""Who am I, and who called me? The grader runs its own files only, and none that a submission brings along.

`python -m` looks for modules in the current folder first. If that folder is a submission,
then its files are what Python runs as the grader, or as NumPy; so this is imported, and
asked, before anything else of the grader. `python -P -m` does not look there.
"""

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]  # the reference: the folder in which this file is


class WrongDoor(RuntimeError):
    """The grader was started from a place where it cannot know what it runs."""


def enter():
    """Look for no module in the current folder from here on; raises WrongDoor if one has come from there.

    The folder that holds the grader is no stranger.
    """
    package = sys.modules.get(__package__.partition(".")[0])
    found = Path(package.__file__).resolve().parent
    if found != PACKAGE:
        raise WrongDoor(f"the grader is {PACKAGE}, but the package minishatter came from {found}; {ADVICE}")
    here = Path.cwd().resolve()
    if here == PACKAGE.parent:
        return
    strangers = _modules_of(here, directly=True)
    if strangers:
        raise WrongDoor(f"these modules came from the current folder: {', '.join(strangers)}; {ADVICE}")
    sys.path[:] = [place for place in sys.path if Path(place or os.curdir).resolve() != here]


def refuse_own(submission):
    """Raises WrongDoor if the working folder, the grader or a module in use lies in the submission, or is it."""
    place, here = Path(submission).resolve(), Path.cwd().resolve()
    if not place.is_dir():
        return
    if here == place or place in here.parents:
        raise WrongDoor(f"the working folder {here} belongs to the submission; {ADVICE}")
    if PACKAGE == place or place in PACKAGE.parents:
        raise WrongDoor(f"the grader itself lies in the submission {place}; grade a copy without it")
    if here == place.parent and place.name == PACKAGE.name and place != PACKAGE:
        raise WrongDoor(f"the working folder {here} belongs to the submission; {ADVICE}")
    strangers = _modules_of(place)
    if strangers:
        raise WrongDoor(f"these modules came from the submission: {', '.join(strangers)}; {ADVICE}")


ADVICE = "start it from the grader's own folder, or from elsewhere with python -P -m minishatter.coursework"


def _modules_of(folder, directly=False):
    """The imported modules whose file lies in a folder; directly: those that `import` finds with it on the path."""
    found = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or "." in name and directly:
            continue
        path = Path(file).resolve()
        origin = path.parent.parent if path.name.startswith("__init__.") else path.parent
        if origin == folder if directly else folder in path.parents:
            found.append(name)
    return found
