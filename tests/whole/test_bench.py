"""What the benchmarks make of their figures, and how they go on where they were interrupted (tools/bench)."""

import json
import random
import re
import subprocess
import sys
from xml.dom import minidom

import pytest
from harness import ROOT

sys.path.insert(0, str(ROOT / "tools/bench"))

import chart  # noqa: E402
import interpreters  # noqa: E402
import ratios  # noqa: E402
import scale  # noqa: E402
import steady  # noqa: E402
import variants  # noqa: E402
import workloads  # noqa: E402
from resume import Results  # noqa: E402
from running import Failed, run  # noqa: E402

PLACES = scale.PICTURES["sites"].lines[0].places


def rounds_of(costs, noise=0.0, rounds=9, seed=1):
    chance = random.Random(seed)
    return [[cost + chance.gauss(0, noise) for cost in costs] for _ in range(rounds)]


def test_a_summary_is_the_median_and_the_middle_half():
    assert ratios.summary([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 100.0]) == {"median": 4.0, "low": 2.0, "high": 9.0, "rounds": 7}
    assert ratios.summary([1.5]) == {"median": 1.5, "low": 1.5, "high": 1.5, "rounds": 1}


def test_a_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    assert ratios.geometric_mean([4.0, 0.25]) == pytest.approx(1)
    assert ratios.geometric_mean([1.1, 1.1]) == pytest.approx(1.1)


def test_six_values_can_say_nothing_surely_and_seven_only_by_their_lowest():
    assert ratios.surely_above([5.0] * (ratios.FEWEST - 1)) == float("-inf")
    assert ratios.surely_above([7.0, 1.0, 6.0, 5.0, 4.0, 3.0, 2.0]) == 1.0
    assert ratios.surely_above(list(range(11))) == 1  # (1 + 11) / 2**11 is below 1 %, with the next 55 it is not


def test_what_is_surely_above_is_wrong_as_rarely_as_it_says():
    chance = random.Random(3)
    wrong = sum(ratios.surely_above([chance.gauss(0, 1) for _ in range(9)]) > 0 for _ in range(20000))
    assert wrong <= 20000 * (1 - ratios.CONFIDENCE)


def test_a_flat_line_with_noise_does_not_rise_and_one_that_rises_is_seen_where_it_does():
    assert all(ratios.rises(rounds_of([2, 2, 2, 2, 2], 5, seed=seed), 1.5) == [] for seed in range(20))
    assert ratios.rises(rounds_of([2, 2, 2, 2, 9], 0.5), 1.5) == [4]
    assert ratios.rises(rounds_of([2, 3, 2, 2, 2], 0.1), 1.5) == []


@pytest.mark.parametrize("cost, bends", [
    (lambda x: 5 + x / 100, False),
    (lambda x: 100 + 0 * x, False),
    (lambda x: x ** 0.5, False),  # caches fill, and then it is over
    (lambda x: x ** 2 / 1e6, True),
    (lambda x: x ** 1.3, True),
])
def test_a_line_that_bends_upward_is_told_from_one_that_rises(cost, bends):
    costs = [cost(x) for x in PLACES]
    rise = costs[-1] - costs[0]
    assert bool(ratios.bends(PLACES, rounds_of(costs, 0.005 * rise), scale.BEND_SLACK * abs(rise))) == bends


def test_results_outlive_an_interrupted_run_and_the_line_that_was_cut(tmp_path):
    path = tmp_path / "build" / "results.jsonl"
    first = Results(path)
    first.put(("3.11", "hash", "cpu", "nbody"), {"ratios": [1.5]})
    first.put(("3.11", "hash", "cpu", "mako"), {"why": "does not install"})
    path.write_bytes(path.read_bytes()[:-20])

    again = Results(path)

    assert again[("3.11", "hash", "cpu", "nbody")] == {"ratios": [1.5]}
    assert ("3.11", "hash", "cpu", "mako") not in again
    assert ("3.11", "other", "cpu", "nbody") not in again
    again.put(("3.11", "hash", "cpu", "mako"), {"ratios": [2]})
    assert Results(path)[("3.11", "hash", "cpu", "mako")] == {"ratios": [2]}


def test_a_picture_is_xml_and_holds_every_point():
    drawn = chart.draw("a < b", "x", "y", {"one & two": [(1, 2, 1, 3), (10, 4, 3, 5)], "three": [(1, -1, -2, 0), (10, 1, 0, 2)]},
                       True)
    assert len(minidom.parseString(drawn).getElementsByTagName("circle")) == 4


@pytest.mark.parametrize("name", [*workloads.PYTHON, workloads.START_UP])
def test_every_workload_runs_and_says_what_it_took(name, tmp_path):
    done = run([sys.executable, workloads.write_program(name, tmp_path), "0.001"], {}, tmp_path, 60)
    if name != workloads.START_UP:
        seconds, cpu, peak = workloads.read_figures(done.output)
        assert seconds > 0 and cpu > 0 and peak > 1000


def test_what_hangs_or_fails_is_ended_and_said_in_one_line(tmp_path):
    with pytest.raises(Failed, match="does not end within 1 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path, 1)
    with pytest.raises(Failed, match="^ends with 3: the reason$"):
        run([sys.executable, "-c", "import sys; print('a\\nthe reason', file=sys.stderr); sys.exit(3)"], {}, tmp_path, 60)


def test_a_line_is_judged_by_its_kind_and_not_at_all_by_too_few_rounds():
    flat, rising = scale.PICTURES["live"].lines[0], scale.PICTURES["sites"].lines[0]
    straight = [5 + x / 100 for x in PLACES]
    assert scale.judge(flat, rounds_of([2, 2, 2, 2, 50])) == ("rises at 200,000", False)
    assert scale.judge(flat, rounds_of([2, 2, 2, 2, 2])) == ("flat", True)
    assert scale.judge(flat, rounds_of([2, 2, 2, 2, 50], rounds=6)) == ("not judged: 6 rounds are too few", True)
    assert scale.judge(rising, rounds_of(straight)) == ("does not bend upward", True)
    assert not scale.judge(rising, rounds_of([x ** 2 for x in PLACES]))[1]


def test_a_bench_names_an_interpreter_that_is_not_there():
    done = subprocess.run([sys.executable, ROOT / "tools/bench/compare.py", "--python", "9.9"], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"bench: no interpreter 9\.9; there are 3\..*\n", done.stderr)


def test_processes_that_take_turns_are_told_as_ratios(few_pythons, tmp_path):
    out = tmp_path / "steady.json"
    done = subprocess.run([sys.executable, ROOT / "tools/bench/steady.py", "--python", few_pythons.path, "--only", "numeric",
                           "--variants", "default,dormant", "--sets", "2", "--rounds", "3", "--step", "0.01", "-o", out],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ((name, found),) = json.loads(out.read_text())[few_pythons.name].items()
    assert name == "numeric" and len(found["default"]) == len(found["dormant"]) == 2
    assert all(0.2 < ratio < 5 for ratios_ in found.values() for ratio in ratios_)
    assert re.search(r"^\| numeric \| \d\.\d\d \(\d\.\d\d to \d\.\d\d\) \| ", done.stdout, re.M)


def test_a_worker_that_ends_is_named(tmp_path):
    program = workloads.write_program("numeric", tmp_path, "sys.exit(3)\n")
    how = variants.How()
    with pytest.raises(Failed, match="it ended with 3"):
        steady.Worker(how, interpreters.find_all()[0], program, 0.01, tmp_path / "run").step()
