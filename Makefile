# TrackLeak. `make help` lists the targets and the variables.

PYTHON_VERSION ?=
SCRIPT         ?=
ARGS           ?=
PREFIX         ?= /usr/local
DESTDIR        ?=
CC             ?= cc
CLANG          ?= clang
V              ?= 0
PYTEST_ARGS    ?=
FUZZ_SECONDS   ?= 20
SECONDS        ?=
TRUTH_ARGS     ?=
BENCH_ARGS     ?=

PYTHON  = $(shell tools/pick-python $(PYTHON_VERSION))
CACHE  := $(HOME)/.cache/trackleak
VENV   := $(CACHE)/venv

# Lines about our own work go to stderr: `make run` leaves stdout to the program.
Q   := $(if $(filter 1,$(V)),,@)
say  = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)' >&2)

SOURCES := $(wildcard src/*/*.[ch] src/*/*.def)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion
# -fno-builtin: the compiler may not make a calloc of malloc and memset inside the hook of calloc.
# nodelete: hooks cannot leave a process; now: no lazy binding, which takes the loader's lock, inside a hook.
AGENT_FLAGS := -std=gnu11 -O2 -g -fPIC -shared -fvisibility=hidden -ftls-model=initial-exec -fno-builtin-malloc \
	-fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free $(WARNINGS) \
	-fstack-protector-strong -Wl,--version-script=tools/exports.map -Wl,-soname,trackleak.so \
	-Wl,-z,nodelete,-z,now,-z,relro,-z,noexecstack,--as-needed
AGENT_LIBS := -ldl -pthread

# The command. The agent needs none of its libraries; with TL_SEAMS it shares the agent's modules of text.
COMMAND_SOURCES  := $(wildcard cli/*.[ch] cli/*/*.[ch])
COMMAND_SHARED   := src/base/text.c src/output/elastic_bulk.c src/output/elastic_url.c
COMMAND_PACKAGES := jansson ncursesw popt zlib libcurl libdw
COMMAND_FLAGS     = -std=gnu11 -D_GNU_SOURCE -DTL_SEAMS -O2 -g $(WARNINGS) -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
	$(shell pkg-config --cflags $(COMMAND_PACKAGES))
COMMAND_LIBS      = $(shell pkg-config --libs $(COMMAND_PACKAGES)) -lm -ldl

.PHONY: build command check lint deps verify run bench test unit whole test-long test-foreign single install uninstall clean quickstart help \
	asan ubsan tsan torture storms soak stress-asan stress-ubsan stress-tsan test-services truth fuzz pythons python-freethreaded settings-table format test-es deps-es test-html ship kibana kibana-check \
	kibana-install
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

build: trackleak.so command  ## build ./trackleak.so, and ./trackleak where its libraries are (the default)

command:
	@missing=$$(tools/deps missing command); \
	if [ -z "$$missing" ]; then \
		$(MAKE) --no-print-directory -q trackleak || $(MAKE) --no-print-directory trackleak; \
	else echo "  ./trackleak, the command, is not built: missing$$missing (make deps installs them)" >&2; fi

trackleak: $(COMMAND_SOURCES) $(COMMAND_SHARED) $(wildcard cli/view/*.html) src/process/settings.def src/base/types.h Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(COMMAND_FLAGS) $(CFLAGS) -o $@ $(filter %.c,$(COMMAND_SOURCES)) $(COMMAND_SHARED) $(LDFLAGS) $(COMMAND_LIBS)

trackleak.so: trackleak.c $(SOURCES) tools/exports.map Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(AGENT_FLAGS) $(CFLAGS) -o $@ trackleak.c $(LDFLAGS) $(AGENT_LIBS)

check:  ## say what is there, what is missing, and what that would cost
	@tools/deps check $(PYTHON)

deps:  ## install what is missing (apt, dnf, yum, apk, pacman; as root or by sudo)
	@tools/deps install run test command

verify: build  ## look at the library: linked libraries, exported and undefined symbols
	@CC="$(CC)" tools/verify.py
	@python3 tools/hot_paths.py trackleak.so

# GNU make ends with 2 when a recipe fails, whatever its status. Only under -q (asking whether something is to be
# done) does it end with 1, so that is how the usage line gets the status it promises.
ifneq ($(filter run,$(MAKECMDGOALS)),)
ifeq ($(strip $(SCRIPT)),)
MAKEFLAGS += -q
$(shell echo 'usage: make run SCRIPT=app.py [ARGS="..."] [PYTHON_VERSION=3.12]' >&2)
endif
endif

run: deps-run build  ## run SCRIPT under the profiler
	@LD_PRELOAD="$(CURDIR)/trackleak.so$${LD_PRELOAD:+:$$LD_PRELOAD}" $(PYTHON) "$(SCRIPT)" $(ARGS)

test: deps-test build unit whole torture-short  ## unit and whole tests, on every interpreter found

.PHONY: deps-run deps-test deps-lint deps-html
deps-run deps-test deps-lint deps-html: deps-%:
	@tools/deps install $*

# A unit test names the sources it is linked with in its first line. FLAVOUR: asan, ubsan, tsan or none.
FLAVOUR       ?= plain
UNIT_FLAGS    := -std=gnu11 -DTL_SEAMS -Isrc $(WARNINGS) -g
FLAGS_plain   := -O1
FLAGS_asan    := -O1 -fsanitize=address -fno-omit-frame-pointer
FLAGS_ubsan   := -O1 -fsanitize=undefined,float-cast-overflow -fno-sanitize-recover=all -DTL_UBSAN
FLAGS_tsan    := -O1 -fsanitize=thread
UNIT_TESTS    := $(patsubst tests/unit/%.c,build/$(FLAVOUR)/%,$(wildcard tests/unit/*_test.c))
links          = $(addprefix src/,$(shell sed -n '1s,^/\* links:\(.*\)\*/.*,\1,p' $(1)))

build/$(FLAVOUR)/%_test: tests/unit/%_test.c $(wildcard tests/unit/*.h) $(SOURCES) Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_FLAGS) $(FLAGS_$(FLAVOUR)) $(CFLAGS) -o $@ $< $(call links,$<) -lcmocka $(AGENT_LIBS)

unit: deps-test $(UNIT_TESTS)  ## the modules by themselves (cmocka)
	@tools/run-unit $(UNIT_TESTS)

asan ubsan tsan:  ## the unit tests under gcc's sanitizers
	$(Q)$(MAKE) --no-print-directory unit FLAVOUR=$@

# Several checkouts share it, maybe at once: it is made anew only when what it holds is not what is asked for.
$(VENV)/ready: tools/requirements.txt
	$(call say,VENV,$(VENV))
	$(Q)mkdir -p $(CACHE)
	$(Q)flock $(VENV).lock sh -ec 'cmp -s $< $(VENV)/requirements.txt || { python3 -m venv --clear $(VENV); \
		$(VENV)/bin/pip install -q --disable-pip-version-check -r $<; cp $< $(VENV)/requirements.txt; }; touch $@'

PYTEST = PYTHONDONTWRITEBYTECODE=1 PYTHON_VERSION=$(PYTHON_VERSION) $(VENV)/bin/python -m pytest \
	-p no:cacheprovider tests/whole tests/cli $(PYTEST_ARGS)

# The agent with locks that others see.
build/locks/trackleak.so: trackleak.c tests/targets/pthread_lock.h $(SOURCES) Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(AGENT_FLAGS) $(CFLAGS) -include tests/targets/pthread_lock.h -o $@ trackleak.c $(LDFLAGS) $(AGENT_LIBS)

# Four at once also on two cores: most tests wait for a program's clock.
whole: deps-test build build/locks/trackleak.so $(VENV)/ready  ## the library under real interpreters (pytest)
	@$(PYTEST) -n 4

test-long: deps-test build build/locks/trackleak.so unit $(VENV)/ready  ## the same, in full length, on every interpreter
	@TRACKLEAK_TEST_PYTHONS=all $(PYTEST) -n 2 --long

# The agent with a fault plan in it: the Nth of its own calls to the system fails.
build/torture/trackleak.so: trackleak.c tests/torture/fault_plan.h $(SOURCES) Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(AGENT_FLAGS) $(CFLAGS) -include tests/torture/fault_plan.h -o $@ trackleak.c $(LDFLAGS) $(AGENT_LIBS)

torture: build/torture/trackleak.so  ## fail each of our own calls to the system, one after the other: the host must not notice
	@python3 tests/torture/run.py $(CURDIR)/$< $(PYTHON)

.PHONY: torture-short
torture-short: build/torture/trackleak.so
	@python3 tests/torture/run.py $(CURDIR)/$< $(PYTHON) 2

VERSIONS ?= 3.8 3.11 3.13
MODULES  ?= all
MODES    ?= default exhaustive
test-foreign: build  ## glibc's malloc tests and CPython's own suite, with the library and without; hours (MODULES=must: less)
	@status=0; export PYTHONDONTWRITEBYTECODE=1; \
	CC="$(CC)" python3 tools/foreign/glibc.py $(CURDIR)/trackleak.so || status=1; \
	python3 tools/foreign/cpython.py $(CURDIR)/trackleak.so \
		--versions "$(VERSIONS)" --modules "$(MODULES)" --modes "$(MODES)" || status=1; exit $$status

storms: deps-test build $(VENV)/ready  ## forks, threads, signals, exits and unloaded libraries by the thousand (some minutes an interpreter)
	@$(PYTEST) -n 2 --long -k test_storms

soak: build  ## SECONDS (1800) of mixed load at rate 1, a dump every second: our memory and descriptors stay flat
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/soak/run.py $(CURDIR)/trackleak.so $(PYTHON) $(or $(SECONDS),1800)

# The whole agent and a program that presses it, as one translation unit under a sanitizer. -Wno-tsan: TSan does not know
# fences, but what they order here is atomic.
build/stress/%: tests/stress/stress.c tests/stress/hooks.h trackleak.c $(SOURCES) Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -g -fno-builtin $(WARNINGS) $(if $(filter tsan,$*),-Wno-tsan) $(FLAGS_$*) $(CFLAGS) \
		-include tests/stress/hooks.h -o $@ $< $(AGENT_LIBS)

stress-asan stress-ubsan stress-tsan: stress-%: build/stress/%  ## SECONDS (60) of the whole agent under a sanitizer: threads, forks, dumps, frees
	@tools/run-stress $< $(or $(SECONDS),60)

truth: deps-test build $(VENV)/ready  ## score the verdict on the programs of tests/corpus, on every interpreter found
	@PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python tests/corpus/score.py $(TRUTH_ARGS)

build/detect_time: tests/detect/detect_time.c tests/unit/verdict_play.h $(SOURCES) Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_FLAGS) -O2 $(CFLAGS) -o $@ $< $(call links,$<)

.PHONY: detect-time
detect-time: build/detect_time build  ## how long until a leak is named: table, and docs/detect-time.svg; some minutes
	@python3 tools/detect_time.py $< --real $(PYTHON) $(CURDIR)/trackleak.so

# SERVERS: of opensearch, opensearch-tls, elasticsearch-tls (these by default), opensearch-1, opensearch-3, elasticsearch-7,
# elasticsearch-9; or all.
SERVERS ?=
test-es: deps-test deps-es build $(VENV)/ready  ## ship to real servers, which are fetched (once) and started here
	@PYTHONDONTWRITEBYTECODE=1 TEST_PYTHON="$(PYTHON)" TEST_SERVERS="$(SERVERS)" \
		$(VENV)/bin/python -m pytest -p no:cacheprovider tests/es $(PYTEST_ARGS)

# SECONDS: how long each service is under load; 10 are enough to see that it works.
SERVICES_PYTHON = $(CACHE)/services-$(notdir $(PYTHON))-$(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
test-services: build $(VENV)/ready  ## gunicorn, uvicorn, celery and worker pools under load for SECONDS (120) each
	@test $(SERVICES_PYTHON)/ready -nt tests/services/requirements.txt || { $(PYTHON) -m venv --clear $(SERVICES_PYTHON) && \
		$(SERVICES_PYTHON)/bin/python -m pip install -q --disable-pip-version-check -r tests/services/requirements.txt && \
		touch $(SERVICES_PYTHON)/ready; }
	@PYTHONDONTWRITEBYTECODE=1 SERVICES_PYTHON=$(SERVICES_PYTHON)/bin/python SECONDS=$(or $(SECONDS),120) \
		$(VENV)/bin/python -m pytest -p no:cacheprovider tests/services $(PYTEST_ARGS)

deps-es:  ## install what test-es needs: Java 17, Maven, openssl
	@tools/deps install es

# Not part of `make test`: it takes a browser.
test-html: deps-test deps-html build $(VENV)/ready  ## the page of `trackleak export --to html` in a headless Chromium
	$(Q)$(VENV)/bin/pip install -q --disable-pip-version-check 'selenium>=4'
	@PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python -m pytest -p no:cacheprovider tests/html $(PYTEST_ARGS)

ship: command  ## send the queued documents of FILE=profiler.jsonl to ELASTICSEARCH_URL; safe to repeat
	@./trackleak ship $(FILE)

kibana:  ## write the templates and dashboards of kibana/ anew
	@python3 tools/kibana.py write

kibana-check:  ## validate them, without a server
	@PYTHONDONTWRITEBYTECODE=1 python3 tools/kibana.py check

kibana-install:  ## put them in, at ELASTICSEARCH_URL and KIBANA_URL
	@PYTHONDONTWRITEBYTECODE=1 python3 tools/kibana.py install

fuzz: $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))  ## FUZZ_SECONDS of libFuzzer for each parser, on from where the last run was
	@for fuzzer in $^; do \
		printf '  %-7s %s\n' FUZZ $$fuzzer >&2; \
		corpus=$(CACHE)/fuzz/$$(basename $$fuzzer); mkdir -p $$corpus; \
		$$fuzzer $$corpus -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/ -verbosity=0 -print_final_stats=1 || exit 1; \
	done

build/fuzz/%: tests/fuzz/%.c $(SOURCES) $(COMMAND_SOURCES) Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(UNIT_FLAGS) -D_GNU_SOURCE -DREGION_FIRST=0 -O1 -fsanitize=fuzzer,address,undefined -o $@ $< $(call links,$<) $(AGENT_LIBS) \
		$(if $(findstring cli/,$(call links,$<)),$(COMMAND_LIBS))

lint: deps-lint build $(VENV)/ready  ## the code's own rules: arrows, banned calls, settings table, format, compilers, analysers
	@CC='$(CC)' CLANG='$(CLANG)' CLANG_FORMAT='$(VENV)/bin/clang-format' tools/lint

format: $(VENV)/ready  ## put the C files into the project's form
	$(Q)$(VENV)/bin/clang-format -i $(filter %.c %.h,$(SOURCES)) $(COMMAND_SOURCES) trackleak.c $(wildcard tests/*/*.[ch]) $(wildcard tools/bench/*.c)

settings-table:  ## write the settings table of README.md anew
	$(Q)python3 tools/settings_table.py

# BENCH_PYTHONS: interpreters by path or (part of a) name of tests/whole/interpreters.py; by default the one of
# PYTHON_VERSION. Peers and benchmarks come from PyPI and Debian into the cache.
BENCH_PYTHONS ?= $(PYTHON)
BENCH = PYTHONDONTWRITEBYTECODE=1 CC="$(CC)" $(VENV)/bin/python tools/bench/$(1).py \
	$(foreach python,$(BENCH_PYTHONS),--python "$(python)") $(BENCH_ARGS)
.PHONY: bench-steady bench-pyperformance bench-scale
bench: build $(VENV)/ready  ## what profiling costs, we and our peers, as ratios to the plain run; some half an hour an interpreter
	@$(call BENCH,compare)

bench-steady: build $(VENV)/ready  ## the same of processes that live side by side and take turns: for a machine that is not quiet; some 10 minutes an interpreter
	@$(call BENCH,steady)

bench-pyperformance: build $(VENV)/ready  ## the default set of pyperformance with us and without; some half an hour an interpreter, resumable
	@$(call BENCH,run_pyperformance)

bench-scale: build $(VENV)/ready  ## cost against threads, live samples, sites, rate and depth: docs/SCALE.md with pictures; some minutes
	@$(call BENCH,scale)

# Not part of `make test`: the limits are for one compiler and one libc.
.PHONY: bench-instructions
bench-instructions: build  ## instructions that the library adds to fixed work, by callgrind, against tools/instructions.json; two minutes
	@CC="$(CC)" PYTHONDONTWRITEBYTECODE=1 python3 tools/bench_instructions.py $(BENCH_ARGS)

single:  ## pour the agent into one C file, build/trackleak_single.c
	$(Q)mkdir -p build
	$(call say,POUR,build/trackleak_single.c)
	$(Q)python3 tools/single.py trackleak.c build/trackleak_single.c
	$(call say,CC,build/trackleak_single.so)
	$(Q)$(CC) -shared -fPIC -O2 -o build/trackleak_single.so build/trackleak_single.c -ldl -pthread

quickstart: deps-run build  ## half a minute: profile test_leaks.py and show its table
	@tools/quickstart $(PYTHON)

DOCUMENTS = README.md LICENSE $(wildcard docs/*.md) $(wildcard docs/schema/*.json)

# Where the shells look, below /usr and /usr/local.
COMPLETION_BASH = share/bash-completion/completions/trackleak
COMPLETION_ZSH  = share/zsh/site-functions/_trackleak
COMPLETION_FISH = share/fish/vendor_completions.d/trackleak.fish

install: build  ## into PREFIX (below DESTDIR)
	$(Q)install -D -m 0755 trackleak.so "$(DESTDIR)$(PREFIX)/lib/trackleak.so"
	$(Q)install -D -m 0644 trackleak.h "$(DESTDIR)$(PREFIX)/include/trackleak.h"
	$(Q)if [ -x trackleak ]; then \
		install -D -m 0755 trackleak "$(DESTDIR)$(PREFIX)/bin/trackleak"; \
		install -D -m 0644 docs/trackleak.1 "$(DESTDIR)$(PREFIX)/share/man/man1/trackleak.1"; \
		install -D -m 0644 cli/completion/trackleak.bash "$(DESTDIR)$(PREFIX)/$(COMPLETION_BASH)"; \
		install -D -m 0644 cli/completion/trackleak.zsh "$(DESTDIR)$(PREFIX)/$(COMPLETION_ZSH)"; \
		install -D -m 0644 cli/completion/trackleak.fish "$(DESTDIR)$(PREFIX)/$(COMPLETION_FISH)"; \
	fi
	$(Q)install -d "$(DESTDIR)$(PREFIX)/share/doc/trackleak"
	$(Q)install -m 0644 $(DOCUMENTS) "$(DESTDIR)$(PREFIX)/share/doc/trackleak"
	$(call say,DONE,$(DESTDIR)$(PREFIX)/lib/trackleak.so)

uninstall:  ## undo install
	$(Q)rm -f "$(DESTDIR)$(PREFIX)/lib/trackleak.so" "$(DESTDIR)$(PREFIX)/include/trackleak.h" \
		"$(DESTDIR)$(PREFIX)/bin/trackleak" \
		"$(DESTDIR)$(PREFIX)/share/man/man1/trackleak.1" "$(DESTDIR)$(PREFIX)/$(COMPLETION_BASH)" \
		"$(DESTDIR)$(PREFIX)/$(COMPLETION_ZSH)" "$(DESTDIR)$(PREFIX)/$(COMPLETION_FISH)"
	$(Q)rm -rf "$(DESTDIR)$(PREFIX)/share/doc/trackleak"

pythons:  ## unpack Debian's 3.13, 3.14 and 3.15 into the cache, for the tests
	@tools/get-pythons $(CACHE)/pythons

python-freethreaded:  ## build a free-threaded 3.13 of Debian's source into the cache (some minutes), for the tests
	@tools/get-freethreaded $(CACHE)/freethreaded

clean:  ## remove what was built
	$(Q)rm -rf build trackleak.so trackleak

help:  ## this page
	@echo 'usage: make [TARGET] [VARIABLE=value]'
	@echo
	@sed -n 's/^\([a-z -]*\):.*  ## \(.*\)/\1\t\2/p' Makefile | sort | awk -F'\t' '{ printf "  %-20s %s\n", $$1, $$2 }'
	@echo
	@echo '  SCRIPT=app.py         what `make run` runs; ARGS="--port 8000" are its arguments'
	@echo '  PYTHON_VERSION=3.12   the interpreter that run and test use (default: python3 on PATH)'
	@echo '  PREFIX=/usr/local     where install puts the library; DESTDIR=/tmp/stage goes before it'
	@echo '  CC=gcc CLANG=clang    the compilers; CFLAGS and LDFLAGS are added to ours'
	@echo '  PYTEST_ARGS="-k fork" which of the whole tests; FUZZ_SECONDS=20 for each fuzzer'
	@echo '  VERSIONS="3.11" MODULES="must, or test_os ..." MODES="default" which part of CPython'"'"'s suite test-foreign runs'
	@echo '  SECONDS=60            how long soak, stress-asan (-ubsan, -tsan) and each service of test-services take'
	@echo '  BENCH_PYTHONS="3.11.7-shared 3.14" the interpreters of bench, bench-pyperformance and bench-scale (which takes one);'
	@echo '                        BENCH_ARGS="--rounds 3" what else they are told (tools/bench/compare.py --help)'
	@echo '  TRUTH_ARGS="--python 3.11" which part of the corpus (tests/corpus/score.py --help)'
	@echo '  FILE=profiler.jsonl   what `make ship` sends; SERVERS="opensearch elasticsearch-9" picks those of test-es'
	@echo '  V=1                   show the commands'
	@echo
	@echo 'examples:'
	@echo '  make run SCRIPT=test_leaks.py ARGS=30'
	@echo '  TRACKLEAK_LOG_DIR=/tmp/logs TRACKLEAK_DUMP_INTERVAL=10 make run SCRIPT=app.py PYTHON_VERSION=3.12'
	@echo '  make test PYTHON_VERSION=3.11 PYTEST_ARGS="-k retention"'
