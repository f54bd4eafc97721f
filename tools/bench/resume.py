"""resume: results that outlive an interrupted run. One JSON line for each, so what was being written when it ended is
the only thing that can be lost."""

import hashlib
import json


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


class Results:
    def __init__(self, path):
        self.path, self.found = path, {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self.found[tuple(entry["key"])] = entry["value"]
                except (ValueError, KeyError, TypeError):
                    pass  # the line that was cut

    def __contains__(self, key):
        return key in self.found

    def __getitem__(self, key):
        return self.found[key]

    def put(self, key, value):
        self.found[key] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_cut = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
        with open(self.path, "a", encoding="utf-8") as lines:
            lines.write("\n" * is_cut + json.dumps({"key": key, "value": value}) + "\n")
