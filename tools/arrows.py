#!/usr/bin/env python3
"""arrows.py: do all #includes under src/ and cli/ point downward?

A module may include headers of a lower layer, or of a module of its own layer that stands before it in LAYERS.
trackleak.c must include every module, lowest first. A module that is not in LAYERS is an error: give it its place.
"""

import re
import sys
from pathlib import Path

# Lowest first. Folders on one line are sides of one layer and do not know each other.
LAYERS = [
    {"base": "types hash lock thread clock pages math random sort text diag descriptor folder intern"},
    {"process": "config own_code real_malloc py_layout py_lines safe_read py_frame py_class py_type py_tracer modules eh_frame native_modules native_stack script_name proc_memory"},
    {"profile": "sampler governor names stacks sites classes live_blocks frame_memo tallies maps mixed_stack stack_memo blame recorder contexts", "analysis": "growth survival verdict rss_breakdown"},
    {"output": "log_folder log_file snapshot evidence snapshot_work snapshot_live snapshot_sites snapshot_stacks rss_history snapshot_build "
               "table documents snapshot_json snapshot_file event_log elastic_bulk elastic_url elastic_name elastic_http elastic_notices "
               "elastic_queue elastic_post dump"},
    {"agent": "reports pressure control_request control_socket control worker lifecycle"},
    {"hooks": "hook_events hook_mmap hook_create hook_python hook_malloc hook_exit api start"},
]

# The command, cli/. Of the agent it knows what needs nothing else.
COMMAND_LAYERS = [
    {"base": "fail keep region show lookup process terminal upload"},
    {"profile": "profile symbols reader profile_read profile_merge control_client profile_find history service session source rows tree"},
    {"view": "report_head report_session report_table report_tree report_json report_diff screen top_view export export_stacks "
             "export_pprof export_html"},
    {"verbs": "completion verb launch run_settings verb_run verb_ps verb_top verb_report verb_diff verb_snapshot verb_watch verb_control verb_export verb_ship verb_complete"},
    {"": "main"},
]
COMMAND_SHARES = "base/types base/text process/settings output/elastic_bulk output/elastic_url"

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def places(layers):
    """{"base/types": (layer, folder, position)}"""
    return {
        (folder + "/" + module).lstrip("/"): (layer, folder, position)
        for layer, folders in enumerate(layers)
        for folder, modules in folders.items()
        for position, module in enumerate(modules.split())
    }


def includes(path):
    return [(path.parent / name).resolve() for name in INCLUDE.findall(path.read_text(encoding="utf-8"))]


def module_of(path, tree="src"):
    try:
        return path.relative_to(ROOT / tree).with_suffix("").as_posix()
    except ValueError:
        return None


def check_tree(problems, tree, place, shares=()):
    """Every module of src/ or cli/: has it a place, and do its includes point downward?"""
    sources = sorted((ROOT / tree).rglob("*.[ch]"))
    for path in sources:
        here = module_of(path, tree)
        if here not in place:
            problems.append("%s: not in the table of tools/arrows.py" % path.relative_to(ROOT))
            continue
        for target in includes(path):
            if module_of(target) in shares:
                continue
            there = module_of(target, tree)
            name = "%s includes %s" % (path.relative_to(ROOT), there)
            if not target.exists():
                problems.append("%s: no such file" % name)
            elif target.suffix == ".def" or there == here:
                continue
            elif target.suffix == ".c":
                problems.append("%s: only trackleak.c includes .c files" % name)
            elif there not in place:
                problems.append("%s: not in the table of tools/arrows.py" % name)
            elif place[there][0] > place[here][0]:
                problems.append("%s: upward" % name)
            elif place[there][0] == place[here][0] and place[there][1] != place[here][1]:
                problems.append("%s: the two sides of a layer do not know each other" % name)
            elif place[there] > place[here]:
                problems.append("%s: a later module of its own layer" % name)
    return sources


def check(problems):
    place = places(LAYERS)
    sources = check_tree(problems, "src", place)
    command = check_tree(problems, "cli", places(COMMAND_LAYERS), COMMAND_SHARES.split())
    product = ROOT / "trackleak.c"
    if product.exists():
        order = [module_of(path) for path in includes(product) if path.suffix == ".c"]
        layers = [place[module][0] for module in order if module in place]
        if layers != sorted(layers):
            problems.append("trackleak.c: the modules are not included lowest layer first")
        for path in sources:
            if path.suffix == ".c" and module_of(path) not in order:
                problems.append("trackleak.c: does not include %s" % path.relative_to(ROOT))
    return len(sources) + len(command)


def main():
    problems = []
    count = check(problems)
    for problem in problems:
        print("arrows: %s" % problem, file=sys.stderr)
    if not problems:
        print("arrows: %d files, all downward" % count)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
