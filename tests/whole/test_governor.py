"""MAX_OVERHEAD: a burst of samples is thinned, and the estimates stay true."""

from harness import profile

# 20,000 blocks are kept while many more come and go, for three seconds: the worker looks once a second.
SCRIPT = r'''
import time
kept = []
def keep():
    kept.append(bytes(300))
def churn(until):
    while time.monotonic() < until:
        for _ in range(1000):
            bytes(400)
start = time.monotonic()
for step in range(100):
    for _ in range(200):
        keep()
    churn(start + (step + 1) * 0.035)
'''
BLOCK = 300 + 33
SETTINGS = {"SAMPLE_BYTES": 2000, "SEED": 7}


def test_a_burst_raises_t_and_n_and_leaves_the_estimates_true(few_pythons):
    run = profile(few_pythons, SCRIPT, settings={**SETTINGS, "MAX_OVERHEAD": 1}).check()
    kept = next(d for d in run.dump.functions if d["function"] == "keep")

    assert kept["sample_bytes"] >= 4 * 2000
    assert kept["sample_rate"] * 2000 == kept["sample_bytes"] * 50
    # By chance 1 in 16,000 is further off; the seed is fixed.
    assert abs(kept["live_bytes"] - 20000 * BLOCK) < 4 * kept["live_bytes_se"], kept
    assert abs(kept["live_count"] - 20000) < 4 * kept["live_count_se"], kept


def test_no_overhead_is_no_governor(one_python):
    run = profile(one_python, SCRIPT, settings={**SETTINGS, "MAX_OVERHEAD": 0}).check()

    assert {d["sample_bytes"] for d in run.dump.functions} == {2000}


# Two quiet seconds, then a hundred times as many allocations for ten: at level 0 they would cost half a core and more.
BURST = r'''
import time
def churn(until, pause):
    while time.monotonic() < until:
        for _ in range(1000):
            bytes(400)
        time.sleep(pause)
start = time.monotonic()
churn(start + 2, 0.02)
churn(start + 12, 0)
'''


def test_ten_seconds_of_a_hundredfold_rate_cost_less_than_twice_the_setting(one_python):
    run = profile(one_python, BURST, settings={**SETTINGS, "MAX_OVERHEAD": 1}).check()
    process = run.dump.process

    assert process["sample_bytes"] > 2000
    assert 0 < process["sampling_cpu_seconds"] < 0.02 * 12
