#!/usr/bin/env bash
# Build the sdist and the wheel, and use each as its user would: installed in a fresh environment, outside this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
unset PYTHONPATH

echo "== sdist and wheel"  # of a copy: an egg-info left here would add the files it names
mkdir "$place/checkout" "$place/tree"
git ls-files -z --cached --others --exclude-standard | tar c --null --files-from - | tar x -C "$place/checkout"
python3 -m build --outdir "$place/dist" "$place/checkout" > "$place/log" || { cat "$place/log"; exit 1; }
tar x -f "$place"/dist/*.tar.gz -C "$place/tree" --strip-components 1

for package in "$place"/dist/*; do
    echo "== $(basename "$package"), installed"
    python3 -m venv "$place/venv" --clear
    python=$place/venv/bin/python
    "$python" -m pip install --quiet "$package[test]"
    mkdir "$place/empty"
    cd "$place/empty"
    "$place/venv/bin/minishatter" --version
    "$place/venv/bin/minishatter" probe --depth 4 --width 9 --points 32 > /dev/null

    # Its files, in the place of those that the sdist's tests and tutorials stood beside.
    rm -rf "$place/tree/minishatter"
    cp -r "$("$python" -c 'import minishatter; print(*minishatter.__path__)')" "$place/tree"
    cd "$place/tree"
    "$python" -m pytest -q tests/test_house.py tests/test_main.py tests/test_coursework.py
    "$python" -m minishatter.coursework release "$place/empty/out"
    cd "$place/empty"
    "$python" -m minishatter.coursework grade out/student | tee "$place/log"
    grep -q "^total  *0 / 100$" "$place/log"
    "$python" -m minishatter.coursework grade "$place/tree" | tee "$place/log"
    grep -q "^total  *100 / 100$" "$place/log"
    cd "$place"
    rm -r "$place/empty"
done
