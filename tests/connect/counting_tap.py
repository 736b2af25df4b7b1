"""A Singer tap that counts: a program for tests, of the standard library only.

Its config says how far (``count``), after how many records a state is written (``every``), and in which file it notes
where it began (``seen``). ``key_of_failure`` says at which record it fails: a name that
sounds secret, so that it is no part of what tells one run from another.
"""

from __future__ import annotations

import json
import sys


def write(**message: object) -> None:
    print(json.dumps(message))


def content_of(option: str) -> dict[str, object]:
    if option not in sys.argv:
        return {}
    with open(sys.argv[sys.argv.index(option) + 1], encoding="utf-8") as file:  # noqa: PTH123
        found: dict[str, object] = json.load(file)
        return found


def main() -> None:
    config, state = content_of("--config"), content_of("--state")
    count, every, first = (int(str(each)) for each in (config["count"], config.get("every", 1), state.get("next", 0)))
    fails_at = int(str(config.get("key_of_failure") or -1))
    if "seen" in config:
        with open(str(config["seen"]), "a", encoding="utf-8") as seen:  # noqa: PTH123
            seen.write(json.dumps({"next": first}) + "\n")
    for stream in ("numbers", "others"):
        write(type="SCHEMA", stream=stream, schema={}, key_properties=["id"])
    for number in range(first, count):
        if number == fails_at:
            sys.exit("as it was told")
        write(type="RECORD", stream="numbers", record={"id": number}, time_extracted="2024-01-01T00:00:00Z")
        write(type="RECORD", stream="others", record={"id": number})
        if (number + 1) % every == 0 or number + 1 == count:
            write(type="STATE", value={"next": number + 1})


if __name__ == "__main__":
    main()
