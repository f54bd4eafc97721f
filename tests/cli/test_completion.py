"""Completion: what `trackleak complete` offers, held against each verb's --help, and the shells that ask it."""

import os
import re
import shutil
import subprocess

import pytest

from snapshots import COMMAND, ROOT
from terminal import Terminal

SCRIPTS = ROOT / "cli" / "completion"


@pytest.fixture
def offers(command):
    """offers("report", "--by", "") is what may stand for the last word."""

    def ask(*words, **more):
        done = command("complete", "--", *words, **more)
        assert (done.returncode, done.stderr) == (0, "")
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    return ask


def verbs(command):
    return re.findall(r"^  (\w+) +\S", command("help").stdout, re.M)


def test_every_verb_and_every_option_of_its_help_is_offered(command, offers):
    assert offers("") == verbs(command) + ["help"] and offers("help", "") == verbs(command)
    assert offers("re") == ["report"] and offers("nope", "") == []
    for verb in verbs(command):
        help_ = command("help", verb).stdout
        options = re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", help_, re.M)
        assert len(options) > 0
        if verb != "complete":  # its words are other verbs'
            assert sorted(offers(verb, "--")) == sorted(options), verb
            assert all(set(offers(verb, option, "-")) <= {":files", *offers(verb, "-")} for option in options)
            assert [o for o in options if o.startswith("--no")] == sorted(offers(verb, "--no"), key=options.index)


def test_every_value_that_is_one_of_some_words_is_offered_and_taken(command, offers, snapshot):
    path, seen = snapshot(), set()
    for verb in verbs(command):
        for option, choices in re.findall(r"(--[a-z-]+)=WHAT +(.*(?:\n {20,}\S.*)*)", command("help", verb).stdout):
            words = choices.replace(",", " ").split()
            seen.add((verb, option))
            assert offers(verb, option, "") == words
            assert offers(verb, option + "=") == [option + "=" + word for word in words]  # zsh, fish
            assert offers(verb, option, "=", words[1]) == [words[1]]  # bash
            for word in words if verb in ("report", "export") else ():
                assert command(verb, path, option, word, text=False).returncode == 0, (verb, option, word)
    assert seen == {("report", "--by"), ("report", "--sort"), ("diff", "--by"), ("diff", "--against"), ("watch", "--sort"),
                    ("export", "--to")}


@pytest.mark.parametrize("words, wanted", [
    (["run", ""], [":commands", ":files"]), (["run", "python3", "--"], [":files"]), (["run", "--output", ""], [":files"]),
    (["run", "--duration", ""], []), (["run", "--", "a"], [":commands", ":files"]), (["ship", "a", "b", ""], [":files"]),
    (["ps", ""], []), (["export", "-o", ""], [":files"]), (["export", "-o", "x", ""], [":files"]), (["report", "a", ""], []),
    (["report", "--top", "5", ""], [":files"]), (["control", "1", ""], ["status", "pause", "resume", "baseline", "set"]),
    (["control", "1", "p"], ["pause"]), (["watch", "1", ""], []), (["snapshot", ""], []), (["report", "--no-such", ""], [":files"]),
], ids=lambda value: "_".join(value) or "nothing")
def test_arguments_are_files_programs_or_words(offers, tmp_path, words, wanted):
    assert [word for word in offers(*words, env={"XDG_RUNTIME_DIR": str(tmp_path)}) if not word.isdigit()] == wanted


def test_processes_are_offered_by_number_with_their_command(command, offers, tmp_path):
    (tmp_path / "trackleak").mkdir()
    program = subprocess.Popen(["sleep", "1000"])
    try:
        for pid in (program.pid, 999999999):
            (tmp_path / "trackleak" / ("%d.sock" % pid)).touch()
        environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
        pid = str(program.pid)
        for words in (["snapshot"], ["control"], ["watch"], ["top"], ["report"], ["export", "--to", "csv"], ["diff", "a.json"]):
            assert pid in offers(*words, "", env=environment) and "999999999" not in offers(*words, "", env=environment), words
            assert offers(*words, pid, env=environment)[0] == pid
        assert "%s\tsleep 1000\n" % pid in command("complete", "--", "snapshot", "", env=environment).stdout
        assert pid not in offers("watch", pid, "", env=environment)
    finally:
        program.kill()
        program.wait()


BASH = """source %s
for words in "$@"; do
	eval "COMP_WORDS=($words)"
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_trackleak 2>/dev/null
	printf '%%s|' "${COMPREPLY[@]}"
	echo
done"""


def test_bash_completes_words(command, tmp_path):
    (tmp_path / "a file.json").touch()
    lines = ["trackleak rep", "trackleak report --by s", "trackleak report --by = s", "trackleak export 'a f'", "trackleak nope ''"]
    done = subprocess.run(["bash", "-c", BASH % (SCRIPTS / "trackleak.bash"), "bash", *(line.replace("trackleak", str(COMMAND), 1) for line in lines)],
                          capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["report|", "stack|", "stack|", "a file.json|", "|"], done.stderr


def test_bash_completes_on_the_tab_key(command, tmp_path):
    (tmp_path / "a file.json").touch()
    (tmp_path / "rc").write_text("PS1='$ '\nbind 'set enable-bracketed-paste off'\nsource %s\n" % (SCRIPTS / "trackleak.bash"))
    bash = Terminal([shutil.which("bash"), "--noprofile", "--rcfile", tmp_path / "rc", "-i"], folder=tmp_path, columns=100,
                    PATH="%s:%s" % (COMMAND.parent, os.environ["PATH"]))
    try:
        bash.wait("$")
        for typed, shown in (("rep\t--by=mod\ta\t", r"$ trackleak report --by=module a\ file.json"), ("dif\t--ag\tprev\t", "$ trackleak diff --against previous"),
                             ("export a\\ f\t", r"$ trackleak export a\ file.json"), ("run sha256s\t", "$ trackleak run sha256sum")):
            bash.press("trackleak " + typed)
            bash.wait(shown)
            bash.press("\x15")  # forget the line
    finally:
        bash.close()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_is_one_of_its_shell(shell):
    if not shutil.which(shell):
        pytest.skip("no %s here" % shell)
    done = subprocess.run([shell, "-n", str(SCRIPTS / ("trackleak." + shell))], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_completes(command, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("no fish here")
    script = "source %s; complete -C 'trackleak report --by s'; complete -C 'trackleak ship Mak'" % (SCRIPTS / "trackleak.fish")
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, "PATH": "%s:%s" % (COMMAND.parent, os.environ["PATH"]), "HOME": str(tmp_path)})
    assert done.stdout.split() == ["stack", "Makefile"], done.stderr
