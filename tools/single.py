#!/usr/bin/env python3
"""single.py trackleak.c OUTPUT: pours the agent into one C file that builds with no other file of ours.

Each #include "..." is replaced by the file it names: a header once (its guard goes with it), a .c file once, a
.def file each time. The same checkout always gives the same bytes.
"""

import os
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def pour(path, root, done, lines):
    for line in path.read_text(encoding="utf-8").splitlines():
        hit = INCLUDE.match(line)
        if not hit:
            lines.append(line)
            continue
        target = (path.parent / hit.group(1)).resolve()
        if target.suffix != ".def":
            if target in done:
                continue
            done.add(target)
        name = target.relative_to(root).as_posix()
        lines.append("/* ---- %s ---- */" % name)
        pour(target, root, done, lines)
        lines.append("/* ---- end of %s ---- */" % name)


def main(source, output):
    source = Path(source).resolve()
    root = source.parent
    license_text = (root / "LICENSE").read_text(encoding="utf-8").strip()
    lines = ["/* TrackLeak in one file, poured by `make single`. Build it with", " *",
             " *\tcc -shared -fPIC -O2 -o trackleak.so %s -ldl -pthread" % Path(output).name, " *"]
    lines += [(" * " + line).rstrip() for line in license_text.splitlines()]
    lines.append(" */")
    pour(source, root, {source}, lines)
    part = output + ".part"
    Path(part).write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(part, output)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.split(":")[0])
    main(sys.argv[1], sys.argv[2])
