#!/usr/bin/env bash
# Builds the wheel and the source archive, the same twice, installs the wheel into an empty environment with no extra, and
# runs the core's tests there without the source.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for folder in dist again; do
  .venv/bin/python -m build --no-isolation --outdir "$scratch/$folder" . >"$scratch/build.log" || { cat "$scratch/build.log"; exit 1; }
done
for file in "$scratch"/dist/*; do
  cmp "$file" "$scratch/again/$(basename "$file")" || { echo "built twice, it is not the same"; exit 1; }
done
wheel=$(echo "$scratch"/dist/mainstem-*.whl)
.uv/bin/uv venv --quiet --python .venv/bin/python "$scratch/venv"
.uv/bin/uv pip sync --quiet --python "$scratch/venv/bin/python" --require-hashes requirements/wheel.txt
.uv/bin/uv pip install --quiet --python "$scratch/venv/bin/python" --no-deps "$wheel"
"$scratch/venv/bin/python" - "$wheel" <<'PYTHON'
import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
assert "mainstem/py.typed" in names, names
assert {"mainstem/web/templates/base.html", "mainstem/web/static/page.css"} <= {*names}, names
assert all(name.startswith(("mainstem/", "mainstem-")) for name in names), names
PYTHON

mkdir "$scratch/away"
cp -r tests pyproject.toml "$scratch/away"
cd "$scratch/away"
# Left out: what is about the extras, the repository or the type checkers as a whole file; single tests bear the mark.
"$scratch/venv/bin/python" -m pytest -q -n 2 -p no:cacheprovider -o pythonpath= -m "not extras and not alone" tests \
  --ignore tests/brokers --ignore tests/cli --ignore tests/crash --ignore tests/poison --ignore tests/frames --ignore tests/observe --ignore tests/test_own_frames.py --ignore tests/power --ignore tests/plan --ignore tests/progress/test_bars_and_logs.py --ignore tests/ray_runner --ignore tests/web --ignore tests/postgres_server.py \
  --ignore tests/store/test_calls_done_once.py --ignore tests/store/test_postgres_store.py --ignore tests/test_postgres_connection.py \
  --ignore tests/test_postgres_errors.py --ignore tests/test_postgres_server.py \
  --ignore tests/connect --ignore tests/typing --ignore tests/stages/test_validate_records.py \
  --ignore tests/test_records.py --ignore tests/test_typecheck.py --ignore tests/test_typing.py \
  --ignore tests/test_retry.py --ignore tests/test_package.py --ignore tests/test_layers.py --ignore tests/test_docs.py --ignore tests/test_examples.py \
  --ignore tests/test_user_import.py --ignore tests/test_data_export.py --ignore tests/test_live_metrics.py --ignore tests/test_flights_benchmark.py
