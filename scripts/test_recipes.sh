#!/usr/bin/env bash
# Runs each recipe of examples/recipes that needs other people's packages in the environment made for it, on this source.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export PYTHONPATH=$PWD/src:$PWD/examples/recipes:$PWD/tests/recipes

failed=0 passed=0
for check in tests/recipes/check_*.py; do
  name=${check#tests/recipes/check_}
  name=${name%.py}
  python=.peers/recipe-$name/bin/python
  if [ ! -x "$python" ]; then
    echo "$name: there is no environment for it: make .peers/recipe-$name/.ready" >&2
    exit 2
  fi
  began=$SECONDS
  if timeout 120 "$python" "$check" >"$log" 2>&1; then
    passed=$((passed + 1))
    echo "$name: passed in $((SECONDS - began)) s"
  else
    failed=$((failed + 1))
    tail -n 60 "$log"
    echo "$name: FAILED after $((SECONDS - began)) s"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
