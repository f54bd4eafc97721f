"""Numbers agree: every grouping, tree and export of a profile adds up to the same, whatever the profile."""

import csv
import gzip
import io
import json
import random
import re

import pytest

import snapshots

SEEDS = range(6)
GROUPINGS = ["function", "file", "line", "stack", "type", "module"]
UNITS = {"B": 1, "KiB": 1024, "MiB": 1 << 20, "GiB": 1 << 30}


def random_profile(seed):
    """Functions, callers in no other row, recursion, deep and empty stacks; live bytes by line are the sums of stacks."""
    chance = random.Random(seed)
    places = []
    for index in range(chance.randrange(1, 30)):
        native = chance.random() < 0.1
        name = "<native lib%d.so+0x%x>" % (index % 3, index) if native else "f%d" % (index % 20)
        file = "lib%d.so" % (index % 3) if native else chance.choice(
            ["", "/a/b%d.py" % (index % 5), "/x/site-packages/pkg%d/m.py" % (index % 2), "<string>"])
        places.append((name, file, index * 10, "native" if native else "python",
                       chance.sample(range(1, 90), chance.randrange(1, 4))))
    frames, stacks, live = [None], [], {}
    for _ in range(chance.randrange(0, 150)):
        parent = chance.randrange(len(frames))
        if chance.random() < 0.2:
            frames.append([parent, -1, chance.randrange(0, 5), "caller;%d" % chance.randrange(9), "/c/\"d'.py"])
        else:
            function = chance.randrange(len(places))
            frames.append([parent, function, chance.choice(places[function][4])])
    for index, frame in enumerate(frames):
        if frame and frame[1] >= 0 and chance.random() < 0.6:
            count = chance.randrange(1, 1000)
            size = round(chance.expovariate(1 / 5000) * count, 2)
            stacks.append(snapshots.stack(index, size, count, se=size / 7))
            key = frame[1], frame[2]
            live[key] = [live.get(key, [0, 0])[0] + size, live.get(key, [0, 0])[1] + count]
    functions = []
    for index, (name, file, first, kind, lines) in enumerate(places):
        figures = {}
        for line in lines:
            size, count = live.get((index, line), (0, 0))
            figures[line] = snapshots.figures(size, count, size + chance.randrange(10 ** 6), count + chance.randrange(99),
                                              chance.choice([None, chance.random()]))
        total = sum(figure["live_bytes"][0] for figure in figures.values())
        functions.append(snapshots.function(name, file, first, figures, kind=kind, types=[
            {"type": "dict", "bytes": total * chance.random()}] if chance.random() < 0.7 or index == 0 else []))
    document = snapshots.sample()
    document.update(functions=functions, frames=frames, stacks=stacks)
    document["memory"].update(live_bytes=[sum(f["live_bytes"][0] for f in functions), 1.0],
                              live_count=[sum(f["live_count"][0] for f in functions), 1.0])
    return document


@pytest.fixture(params=SEEDS)
def profile(request, snapshot):
    document = random_profile(request.param)
    functions = document["functions"]

    class Profile:
        path = snapshot(document)
        live = document["memory"]["live_bytes"][0]
        blocks = document["memory"]["live_count"][0]
        total = sum(f["total_bytes"][0] for f in functions)
        count = sum(f["count"][0] for f in functions)
        peak = sum(f["peak_live_bytes"] for f in functions)
        stacks = len(document["stacks"])

    return Profile


def close(value):
    return pytest.approx(value, rel=1e-9, abs=0.01)


@pytest.mark.parametrize("by", GROUPINGS)
def test_every_grouping_adds_up(command, profile, by):
    done = command("report", profile.path, "--json", "--by", by, "--top", "0")
    report = json.loads(done.stdout)
    rows = report["rows"]

    assert sum(row["live_bytes"] for row in rows) == close(profile.live) == report["live_bytes"]
    assert report["rows_bytes"] == close(profile.live) and report["rows_count"] == len(rows)
    if by != "type":
        assert sum(row["live_count"] for row in rows) == close(profile.blocks)
    if by in ("function", "file", "line", "module"):
        assert sum(row["total_bytes"] for row in rows) == close(profile.total)
        assert sum(row["count"] for row in rows) == close(profile.count)
    if by in ("function", "file", "module"):
        assert sum(row["peak_live_bytes"] for row in rows) == close(profile.peak)
    assert len({(row["name"], row["file"], row["line"], str(row.get("stack"))) for row in rows}) == len(rows) or by == "function"


def test_a_choice_and_its_opposite_make_the_whole(command, profile):
    def live(*words):
        return sum(row["live_bytes"] for row in json.loads(
            command("report", profile.path, "--json", "--by", "stack", "--top", "0", *words).stdout)["rows"])

    assert live("--include", "f1") + live("--exclude", "f1") == close(profile.live)
    assert live("--min-size", "5000.0001") + live("--max-size", "5000") == close(profile.live)


@pytest.mark.parametrize("threshold", ["0", "5"])
def test_every_branch_of_the_tree_is_the_sum_of_its_own(command, profile, threshold):
    lines = command("report", profile.path, "--tree", "--threshold", threshold).stdout.splitlines()
    branches = []
    for line in lines:
        found = re.match(r"^( *)-> ([0-9.]+)% \(([0-9.]+) (\w+), ([0-9,]+)\)", line)
        if found:
            branches.append((len(found[1]) // 2, float(found[2]), float(found[3]) * UNITS[found[4]]))
    top = [share for depth, share, _ in branches if depth == 0]
    if profile.live > 0:
        # Shares are rounded to 0.01, each.
        assert sum(top) == pytest.approx(100, abs=0.006 * len(top))
        assert sum(size for depth, _, size in branches if depth == 0) == pytest.approx(profile.live, rel=0.01)
    for index, (depth, share, _) in enumerate(branches):
        below = []
        for under, part, _ in branches[index + 1:]:
            if under <= depth:
                break
            if under == depth + 1:
                below.append(part)
        if below and depth < 22:  # deeper levels are not moved further to the right
            assert sum(below) == pytest.approx(share, abs=0.006 * (len(below) + 1))


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, value) of a message of protobuf: a number, or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        yield key >> 3, value


def numbers(data):
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def test_pprof_adds_up(command, profile, tmp_path):
    path = tmp_path / "p.pb.gz"
    assert command("export", profile.path, "--to", "pprof", "-o", path).returncode == 0
    message = gzip.decompress(path.read_bytes())
    samples = [dict(fields(value)) for number, value in fields(message) if number == 2]
    sums = [sum(column) for column in zip(*(numbers(sample[2]) for sample in samples))]
    locations = {dict(fields(value))[1] for number, value in fields(message) if number == 4}

    wanted = (profile.count, profile.total, profile.blocks, profile.live)
    assert all(abs(found - value) <= len(samples) for found, value in zip(sums, wanted)), (sums, wanted)
    assert all(set(numbers(sample[1])) <= locations for sample in samples)


def test_the_other_exports_add_up(command, profile):
    def export(form):
        return command("export", profile.path, "--to", form).stdout

    folded = [int(line.rsplit(" ", 1)[1]) for line in export("folded").splitlines()]
    assert sum(folded) == pytest.approx(profile.live, abs=profile.stacks) and len(folded) == profile.stacks
    speedscope = json.loads(export("speedscope"))["profiles"][0]
    assert sum(speedscope["weights"]) == close(profile.live)
    assert speedscope["endValue"] == pytest.approx(profile.live, abs=0.01)
    events = json.loads(export("gprof2dot"))["events"]
    assert sum(event["cost"][0] for event in events) == close(profile.live)
    assert sum(event["cost"][1] for event in events) == close(profile.blocks)
    rows = list(csv.DictReader(io.StringIO(export("csv"), newline="")))
    assert sum(float(row["live_bytes"]) for row in rows) == pytest.approx(profile.live, abs=len(rows))
    assert sum(float(row["total_bytes"]) for row in rows) == pytest.approx(profile.total, abs=len(rows))
    assert sum(float(row["count"]) for row in rows) == pytest.approx(profile.count, abs=len(rows))
    page = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', export("html"), re.S)[1])
    assert page["live_bytes"] == close(profile.live)
    assert sum(stack[1] for stack in page["stacks"]) == pytest.approx(profile.live, abs=profile.stacks)
    for key, value in (("live", profile.live), ("allocated", profile.total), ("peak", profile.peak), ("blocks", profile.blocks)):
        assert sum(function[key] for function in page["functions"]) == close(value)


def test_a_difference_is_the_difference_of_the_sums(command, snapshot):
    before, after = random_profile(1), random_profile(2)
    paths = snapshot(before, "before.json"), snapshot(after, "after.json")
    wanted = after["memory"]["live_bytes"][0] - before["memory"]["live_bytes"][0]

    for by in GROUPINGS:
        report = json.loads(command("diff", *paths, "--json", "--by", by, "--top", "0").stdout)
        assert report["difference_bytes"] == close(wanted)
        assert sum(row["difference_bytes"] for row in report["rows"]) == close(wanted)
