"""Memory that comes close to the control group's limit brings a dump, so that a kill leaves a picture."""

import pytest

from harness import SAMPLED, profile


@pytest.mark.parametrize("version", [1, 2])
def test_a_dump_at_80_90_and_95_percent_of_the_limit(one_python, cc, tmp_path, version):
    names = {1: ("3:memory:/a", "memory.usage_in_bytes", "memory.limit_in_bytes"),
             2: ("0::/a", "memory.current", "memory.max")}[version]
    (tmp_path / "cgroup").write_text(names[0] + "\n")
    (tmp_path / names[1]).write_text("100\n")
    (tmp_path / names[2]).write_text("1000\n")
    script = r'''
import os, sys, time
def use(figure):
    with open(sys.argv[1] + ".new", "w") as file: file.write(figure)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(2.2)
kept = []
def leak(): kept.append(bytes(5000))
for figure in ("700", "810", "820", "960", "950"):
    leak()
    use(figure)
os.kill(os.getpid(), 9)
'''
    run = profile(one_python, script, [tmp_path / names[1]], settings={**SAMPLED, "DUMP_INTERVAL": 300},
                  env={"FAKE_CGROUP": tmp_path}, preload_also=[cc("fake_cgroup.c", shared=True)])
    assert run.status == -9
    assert [dump.document("leak")["counted"] for dump in run.dumps] == [2, 4]
