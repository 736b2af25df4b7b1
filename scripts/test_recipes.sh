#!/usr/bin/env bash
# Runs each recipe of examples/recipes that needs other people's packages in the environment made for it, on this source.
set -euo pipefail
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export PYTHONPATH=$PWD/src:$PWD/examples/recipes:$PWD/tests/recipes logs

names=$(cd tests/recipes && ls check_*.py | sed 's/^check_//; s/\.py$//')
for name in $names; do
  if [ ! -x ".peers/recipe-$name/bin/python" ]; then
    echo "$name: there is no environment for it: make .peers/recipe-$name/.ready" >&2
    exit 2
  fi
done

run() {
  local name=$1 began=$SECONDS
  if timeout 180 ".peers/recipe-$name/bin/python" "tests/recipes/check_$name.py" >"$logs/$name" 2>&1; then
    echo "$name: passed in $((SECONDS - began)) s" | tee "$logs/$name.passed"
  else
    printf '%s\n%s: FAILED after %s s\n' "$(tail -n 60 "$logs/$name")" "$name" $((SECONDS - began))
  fi
}
export -f run
# Two at a time, the slowest first as it happens: they wait for their own servers for half of the time.
printf '%s\n' $names | xargs -P 2 -I NAME bash -c 'run NAME'

passed=$(find "$logs" -name '*.passed' | wc -l)
failed=$(($(wc -w <<<"$names") - passed))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
