"""Coursework: hand the package out with holes in it, and grade what comes back.

    manifest.py, questions.py     the tasks and the written questions
    source.py                     find a body, blank it, graft a student's function into the given file
    trials/                       how each task is tried, and what is said about the outcome
    release.py                    `python -m minishatter.coursework release OUT`
    submission.py                 read a folder or a zip file that nobody vouches for
    sandbox.py                    the parent's side of the process that runs a student's function ...
    child.py, jail.py, wire.py    ... its own side, what it gives up before, the arrays in between
    grade.py, results.py          `python -m minishatter.coursework grade SUBMISSION`

Nothing in the rest of the package imports this folder, and its other files carry no mark of it.
"""
