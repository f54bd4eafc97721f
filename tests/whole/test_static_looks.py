"""What the library is made of, seen from outside."""

import os
import shutil
import subprocess

import pytest
from harness import LIBRARY, ROOT, profile


def make(*targets, **more):
    return subprocess.run(["make", "-C", str(ROOT), *targets], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **more)


def test_make_verify_finds_libc_alone_and_no_symbol_too_many():
    """Known failure 6: linking libcurl dragged about 30 libraries into every process."""
    done = make("verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_library_but_libc_is_needed():
    said = subprocess.run(["readelf", "-d", LIBRARY], capture_output=True, text=True).stdout
    needed = [line for line in said.splitlines() if "(NEEDED)" in line]
    assert needed and all("libc.so.6" in line or "ld-linux" in line for line in needed), needed


def test_no_python_symbol_is_undefined():
    """Known failures 3 and 15: one build serves every version, and a process without Python."""
    undefined = subprocess.run(["nm", "-D", "--undefined-only", LIBRARY], capture_output=True, text=True).stdout
    assert undefined and not [line for line in undefined.splitlines() if " Py" in line or " _Py" in line]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_plain_command_builds_it_without_a_python_header(one_python, tmp_path, compiler):
    """Known failure 22: building needed Python's headers in one fixed folder."""
    if not shutil.which(compiler):
        pytest.skip("no " + compiler)
    library = tmp_path / "trackleak.so"
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, "trackleak.c", "-ldl", "-pthread"],
                          cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    run = profile(one_python, "kept = []\ndef leak():\n\tfor _ in range(100): kept.append(bytes(5000))\nleak()\n",
                  library=library).check()
    assert run.document("leak")["counted"] >= 100


def test_the_single_file_builds_by_itself(one_python, tmp_path):
    done = make("single")
    assert done.returncode == 0, done.stderr
    (single,) = [path for path in (ROOT / "build").glob("*single*.c")]
    copy, library = tmp_path / "one.c", tmp_path / "trackleak.so"
    copy.write_bytes(single.read_bytes())
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, copy, "-ldl", "-pthread"], check=True, cwd=tmp_path)
    run = profile(one_python, "kept = []\ndef leak():\n\tfor _ in range(100): kept.append(bytes(5000))\nleak()\n",
                  library=library).check()
    assert run.document("leak")["counted"] >= 100


def test_make_run_has_the_programs_own_status_and_needs_a_script(tmp_path):
    script = tmp_path / "program.py"
    script.write_text("import sys; print(sys.argv[1:]); sys.exit(5)\n")
    env = {**os.environ, "TRACKLEAK_LOG_DIR": str(tmp_path / "log"), "TRACKLEAK_STARTUP_DELAY": "0"}
    done = make("run", "SCRIPT=%s" % script, "ARGS=a b", env=env)
    assert "['a', 'b']" in done.stdout and "Error 5" in done.stderr
    assert (tmp_path / "log" / "profiler.json").exists()
    usage = make("run", env=env)
    assert usage.returncode != 0 and "usage" in (usage.stdout + usage.stderr).lower()


def test_help_names_every_target_of_the_makefile():
    import re

    text = (ROOT / "Makefile").read_text()
    promised = ["build", "check", "lint", "deps", "verify", "run", "test", "single", "install", "uninstall", "clean",
                "quickstart", "help", "asan", "ubsan", "tsan"]
    help_text = make("help").stdout
    for target in promised:
        assert re.search(r"^([\w-]+ )*%s( [\w-]+)*:" % target, text, re.M), target
        assert re.search(r"\b%s\b" % target, help_text), target


def test_install_and_uninstall_leave_nothing(tmp_path):
    assert make("install", "DESTDIR=%s" % tmp_path, "PREFIX=/usr/local").returncode == 0
    assert (tmp_path / "usr/local/lib/trackleak.so").exists() and (tmp_path / "usr/local/include/trackleak.h").exists()
    if (ROOT / "trackleak").exists():
        for name in ("bin/trackleak", "share/man/man1/trackleak.1", "share/bash-completion/completions/trackleak",
                     "share/zsh/site-functions/_trackleak", "share/fish/vendor_completions.d/trackleak.fish"):
            assert (tmp_path / "usr/local" / name).exists(), name
    assert make("uninstall", "DESTDIR=%s" % tmp_path, "PREFIX=/usr/local").returncode == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
