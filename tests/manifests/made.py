"""What a program has made of a corpus, to be compared with what another call made."""

import json


def contents(folder):
    """Everything in a folder but times."""
    found = {path.name: path.read_text() for path in folder.iterdir()}
    side_car = json.loads(found.pop("manifest.jsonl.meta.json"))
    changing = ("seconds", "versions", "parts")
    return found, {key: value for key, value in side_car.items() if key not in changing}
