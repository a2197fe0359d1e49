"""Coursework: hand the package out with holes in it, and grade what comes back.

    manifest.py, questions.py, release.py, trials/     what is asked, what is handed out, how it is tried
    submission.py, source.py, apart.py                 read what comes back, in a process of its own
    sandbox.py, furniture.py, worker.py                run a student's function: the parent's side ...
    child.py, jail.py, seccomp.py, proof.py, wire.py   ... and its own: what it gives up, the proof, the arrays
    door.py, command.py, grade.py, attempt.py, results.py   `python -m minishatter.coursework grade SUBMISSION`

Nothing in the rest of the package imports this folder, and its other files carry no mark of it.
"""
