"""Coursework: hand the package out with holes in it, and grade what comes back.

    manifest.py    the tasks: which functions, in which order, for how many points
    questions.py   the written questions, with their solutions
    source.py      find a body, blank it, graft a student's function into the given file
    cases.py       how inputs are drawn for a task, and how its function is called on them
    compare.py     what is said when arrays differ: shapes, norms, an index, never the array
    release.py     `python -m minishatter.coursework release OUT`
    submission.py  read a folder or a zip file that nobody vouches for
    sandbox.py     the parent's side of the child process that runs a student's function ...
    child.py       ... the child's side
    jail.py        ... what the child gives up before it meets the student's code
    wire.py        ... and the plain arrays between them
    grade.py       `python -m minishatter.coursework grade SUBMISSION`
    results.py     results.json, JUnit, a table

Nothing in the rest of the package imports this folder, and its other files carry no mark of it.
"""
