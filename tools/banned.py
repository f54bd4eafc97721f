#!/usr/bin/env python3
"""banned.py: no module of the agent calls what could allocate, wait, or take the loader's lock inside the program.

RULES: what is banned, where it is allowed all the same, and why. The agent runs inside malloc, in any thread, at
any moment: in a signal handler, under the loader's lock, in a child of fork. A call is a name with `(` behind it
that is no member (`->malloc(`, `.free(`) and stands neither in a comment nor in a string.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# (names, modules that may, why)
RULES = [
    (
        "malloc calloc realloc free posix_memalign aligned_alloc memalign valloc pvalloc strdup strndup asprintf "
        "vasprintf getline getdelim reallocarray alloca",
        "hooks/hook_malloc",
        "our own blocks come from base/pages: a malloc of ours would be sampled, and may be the call we are in",
    ),
    (
        "printf fprintf dprintf sprintf snprintf vprintf vfprintf vdprintf vsprintf vsnprintf sscanf fopen fdopen "
        "fclose fread fwrite fputs fputc puts putchar perror fflush fgets setvbuf",
        "",
        "stdio locks, allocates and follows the locale: base/text and write(2) do not",
    ),
    ("strerror strerror_r strsignal psignal", "", "may load message catalogues: say errno's number"),
    ("setlocale newlocale strtod strtof atof strtol strtoul strtoull strtoll atoi atol", "",
     "follows the locale or takes half a number: read digits"),
    ("getenv secure_getenv", "process/config agent/lifecycle",
     "the program changes its environment in other threads: read it in the constructor only"),
    ("setenv putenv unsetenv clearenv", "", "the environment is the program's"),
    ("localtime localtime_r gmtime mktime strftime ctime asctime tzset", "",
     "takes libc's time zone lock: base/text has its own calendar"),
    ("assert abort exit quick_exit raise", "hooks/hook_exit", "never end the host"),
    ("signal sigaction sigaltstack", "", "signals are the program's"),
    ("system popen wordexp glob nftw ftw opendir readdir scandir getpwuid getpwnam gethostbyname syslog qsort",
     "", "allocates, and may load modules"),
    ("open openat creat", "base/descriptor", "a file of ours stands at a high number: descriptor_open"),
    ("getaddrinfo", "output/elastic_name", "hangs with the name servers, and may load modules: in a thread of its own only"),
    ("dlopen dlclose dl_iterate_phdr dladdr dladdr1 dlinfo",
     "process/py_layout process/modules hooks/hook_exit agent/lifecycle output/elastic_http", "takes the loader's lock"),
    ("dlsym dlvsym dlerror", "process/real_malloc process/py_layout process/modules process/native_modules process/native_stack agent/lifecycle hooks/hook_exit output/elastic_http",
     "takes the loader's lock"),
    ("pthread_create", "base/thread agent/worker output/elastic_post output/elastic_name",
     "our threads are the worker and, while something is shipped, one more, or two while its name is looked up"),
    ("sleep usleep nanosleep sched_yield", "base/thread base/clock agent/worker", "the host never waits for us"),
    ("strcpy strcat gets strtok", "", "writes past the end, or keeps state"),
    ("pow exp log log2 sqrt floor ceil round fabs fmod exp2 expm1 log1p lround llround", "",
     "the agent is not linked with libm"),
]

STRINGS_AND_COMMENTS = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S
)


def bare(source):
    """The source with comments and strings blanked, lines kept."""
    return STRINGS_AND_COMMENTS.sub(lambda hit: re.sub(r"[^\n]", " ", hit.group()), source)


def main():
    problems, files = [], 0
    rules = [
        (re.compile(r"(?<![\w.>])(?:%s)(?=\s*\()" % "|".join(names.split())), allowed.split(), why)
        for names, allowed, why in RULES
    ]
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        files += 1
        module = path.relative_to(ROOT / "src").with_suffix("").as_posix()
        text = bare(path.read_text(encoding="utf-8"))
        for pattern, allowed, why in rules:
            if module in allowed:
                continue
            for hit in pattern.finditer(text):
                line = text.count("\n", 0, hit.start()) + 1
                problems.append("%s:%d: %s: %s" % (path.relative_to(ROOT), line, hit.group(), why))
    for problem in problems:
        print("banned: %s" % problem, file=sys.stderr)
    if not problems:
        print("banned: %d files, none of the banned calls" % files)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
