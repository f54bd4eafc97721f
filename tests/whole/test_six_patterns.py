"""test_leaks.py, the sample that users run first, reads as its names promise."""

import pytest
from harness import MIB, ROOT, line_of, profile, stacks_of

SAMPLE = ROOT / "test_leaks.py"


def held(run):
    """What the program itself says it holds, by pattern."""
    lines = run.stdout.split("bytes that each pattern still holds:\n")[1].splitlines()
    return {name: int(size) for name, size in (line.split() for line in lines)}


def check_patterns(run, python):
    least = 85 if python.free_threaded else 95  # a free-threaded list is copied as it grows
    for pattern in ("leaky_list", "leaky_cache"):
        assert least <= run.row(pattern).retention <= 100, pattern
    assert 85 <= run.row("kept_strings").retention <= 100
    assert 0 <= run.row("healthy_temp").retention <= 5
    buffer, text = run.row("growing_buffer"), SAMPLE.read_text()
    assert text.splitlines()[buffer.line - 1].strip() == "leaked_buffer.extend(CHUNK)"
    warned = run.row("warn_on_write")
    assert "warnings.warn(" in text.splitlines()[warned.line - 1]
    assert warned.retention >= 25 and warned.total_mb > 1  # a registry that is rebuilt as it grows, and temporaries
    for pattern in ("leaky_list", "leaky_cache", "kept_strings", "healthy_temp"):
        assert run.row(pattern).file.endswith("test_leaks.py")


def test_the_six_patterns_at_default_settings_after_the_start_up_delay(few_pythons):
    # Nothing is set but where the logs go: the delay is 10 s, the run 15 s.
    run = profile(few_pythons, SAMPLE, settings={"STARTUP_DELAY": None, "DUMP_INTERVAL": None, "QUIET": None}).check()
    check_patterns(run, few_pythons)
    assert len(run.tables) == 1, "a run shorter than the interval dumps at exit"


def test_the_six_patterns_from_the_first_instruction_hold_what_the_program_says(python):
    run = profile(python, SAMPLE, ["1"], settings={"SEED": 1}).check()
    check_patterns(run, python)
    for pattern, size in held(run).items():
        document = run.document(pattern)
        if pattern == "healthy_temp":
            # A block of 32 bytes that CPython keeps in a free list is memory in use, and where it was sampled it
            # stands for as much as a sample does: nothing is what the estimate says within its own error.
            assert document["live_bytes"] - document["live_bytes_se"] < 100000
        elif pattern != "warn_on_write":  # the registry's own size is another matter
            error = 3.5 * document["live_bytes_se"] + 0.03 * size
            assert abs(document["live_bytes"] - size) <= error, pattern


def test_warnings_are_visible_with_their_stack(few_pythons):
    run = profile(few_pythons, SAMPLE, ["0"]).check()
    assert ["warn_on_write", "main", "<module>"] in stacks_of(run.snapshot(), "warn_on_write")


@pytest.mark.long
def test_the_six_patterns_over_two_minutes_of_dumps(few_pythons):
    run = profile(few_pythons, SAMPLE, ["120"], settings={"STARTUP_DELAY": None, "DUMP_INTERVAL": 20},
                  timeout=180).check()
    assert len(run.tables) >= 5
    check_patterns(run, few_pythons)
    for earlier, later in zip(run.tables, run.tables[1:]):
        assert later.row("leaky_list").count > earlier.row("leaky_list").count
        assert later.row("leaky_list").total_mb * MIB > 0


def test_the_marks_of_this_file_stand_in_the_sample():
    assert line_of("x = 1  # mark\n", "mark") == 1
    for pattern in ("leaky_list", "leaky_cache", "healthy_temp", "warn_on_write", "kept_strings", "growing_buffer"):
        assert "def %s(" % pattern in SAMPLE.read_text()
