"""Bad input: one clear line on stderr, status 2, never a crash."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

import snapshots


@pytest.mark.parametrize("words, says", [
    ([], "usage"), (["nope"], "no such verb"), (["report", "--nope"], "unknown option"),
    (["report", "--by", "colour"], "one of function"), (["report", "--sort", "x"], "one of size"),
    (["report", "--older", "-1"], "not a number"), (["report", "--min-size", "4q"], "not a number"),
    (["report", "--include", "("], "--include ("), (["report", "a", "b"], "one word too many"),
    (["report", "/nowhere/at/all"], "No such file"), (["report", ""], "empty name"), (["report", "999999999"], "no process"),
    (["diff", "a"], "usage"), (["export", "x"], "--to"), (["export", "x", "--to", "pdf"], "one of pprof"),
    (["run"], "usage"), (["run", "no-such-program"], "no such program"), (["run", "/etc/passwd"], "/etc/passwd"),
    (["run", "--sample-rate", "0", "true"], "TRACKLEAK_SAMPLE_RATE"), (["run", "--kill", "true"], "--duration"),
    (["watch"], "usage"), (["watch", "999999999"], "no process"), (["watch", "1", "x"], "not a number"),
    (["ps", "x"], "one word too many"), (["help", "nope"], "no such verb"),
], ids=lambda value: "_".join(value) if isinstance(value, list) else None)
def test_bad_words_get_one_line(refused, words, says):
    assert says in refused(*words)


@pytest.mark.parametrize("text, says", [
    (b"", "empty"), (b"\x00\xff\xfe", "not a snapshot"), (b"{}", "not a snapshot"), (b"[]", "not a snapshot"),
    (b'{"format": "trackleak-snapshot"', "cut short"), (b'{"format":"trackleak-snapshot"}', "without a version"),
    (b'{"format":"trackleak-snapshot","version":2}', "use a newer one"),
    (b'{"format":"trackleak-snapshot","version":1}', "process, dump, memory"), (b"[" * 100000, "not a snapshot"),
])
def test_a_foreign_or_cut_file_gets_one_line(refused, tmp_path, text, says):
    path = tmp_path / "snapshot-1.json"
    path.write_bytes(text)
    assert says in refused("report", path)


def test_a_snapshot_of_a_gigabyte_gets_one_line_and_takes_no_memory(refused, tmp_path):
    path = tmp_path / "snapshot-1.json"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    began = time.monotonic()
    for words in (["report", path], ["export", path, "--to", "html"], ["diff", path, path]):
        assert "larger than 512 MiB" in refused(*words)
    assert time.monotonic() - began < 5, "it was read"
    # Large arrays in places where no large array belongs, or cut short: no tree is made of them.
    for text, says in ((b'{"frames":[%s', "cut short"), (b'{"unknown":[%s0]}', "a snapshot of TrackLeak\n"),
                       (b'{"process":[%s0]}', "a snapshot of TrackLeak\n")):
        path.write_bytes(text % (b"[0,0,1]," * (6 << 20)))
        done = subprocess.run(["sh", "-c", 'ulimit -v 250000 && exec "$0" "$@"', str(snapshots.COMMAND), "report", str(path)],
                              capture_output=True, text=True)
        assert done.returncode == 2 and says in done.stderr, (done.stderr, "48 MiB of text in 250,000 KiB")


def test_what_is_no_file_is_not_waited_for(refused, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refused("report", tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    assert "no snapshot in this folder" in refused("report", tmp_path / "empty")


@pytest.mark.parametrize("path, value", [
    (["frames", 2], [7, 0, 12]), (["frames", 2], [2, 0, 12]), (["frames", 2], [0, 99, 12]), (["frames", 2], [0, -1, 1]),
    (["frames", 2], [0, 0, -5]), (["frames", 2], {}), (["frames"], {}), (["stacks", 0, "frame"], 99),
    (["stacks", 0, "frame"], -1), (["stacks", 0, "live_bytes"], [-1, 0]), (["stacks", 0, "live_bytes"], 5),
    (["functions", 0, "line"], "x"), (["functions", 0, "function"], 5), (["functions", 0], 5),
    (["functions", 0, "types"], [3]), (["memory", "rss_bytes"], "much"), (["dump"], []),
])
def test_a_hostile_snapshot_gets_one_line(refused, snapshot, path, value):
    document = snapshots.sample()
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    refused("report", snapshot(document), "--tree")


def test_a_stack_of_a_million_frames_does_not_overflow_ours(refused, snapshot):
    document = snapshots.sample()
    document["frames"] = [None] + [[i, 0, 1] for i in range(1000000)]
    document["stacks"] = [snapshots.stack(1000000, 5, 1)]
    assert "depth" in refused("report", snapshot(document), "--tree")


def test_a_snapshot_with_any_bytes_broken_never_crashes_the_command(command, tmp_path):
    whole, path, chance = json.dumps(snapshots.sample()).encode(), tmp_path / "broken.json", random.Random(8)
    for round_ in range(60):
        text = bytearray(whole[:chance.randrange(len(whole))] if round_ % 3 == 0 else whole)
        for _ in range(chance.randrange(1, 8)):
            text[chance.randrange(len(text))] = chance.choice(b'0123456789[]{},:"-nt\\x')
        path.write_bytes(text)
        for words in (["report", path, "--tree"], ["report", path, "--by", "stack"], ["export", path, "--to", "html"]):
            done = command(*words)
            assert done.returncode in (0, 2), (words, bytes(text))


def test_a_pipe_that_is_closed_early_ends_the_command_in_silence(command, snapshot):
    done = command("report", snapshot())
    assert done.returncode in (0, -signal.SIGPIPE)
