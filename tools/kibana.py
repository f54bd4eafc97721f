#!/usr/bin/env python3
"""kibana.py write | check | install: index templates, data view and dashboards (kibana/).

write     makes the files of kibana/ from the two tables below: FIELDS, and PANELS.
check     validates them, without a server: they are what the tables say; every field of docs/FORMAT.md is mapped; each
          line is a saved object whose nested JSON parses, whose references are in the file and whose fields are mapped.
install   puts the template and the lifecycle to ELASTICSEARCH_URL (credentials as for the library), and, where
          KIBANA_URL is set, data view and dashboard there. KIND=elasticsearch or opensearch; else the server is asked.
"""

import base64
import http.client
import json
import os
import re
import ssl
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "kibana"
NAME, PATTERN, VIEW = "trackleak", "trackleak-*", "trackleak-data-view"

FIELDS = {
    "date": "@timestamp time process.start",
    "epoch": "timestamp",
    "keyword": "job_name service.name hostname kind verdict function file via_function via_file program python_version "
               "rss_remedy",
    "boolean": "queued final",
    "long": "line count total_bytes sample_count sample_total_bytes sample_free_bytes peak_single process.pid dump "
            "counted counted_bytes live_bytes live_count generations uncertain_bytes via_line sample_rate sample_bytes "
            "rss_bytes peak_rss_bytes peak_live_bytes functions other_functions live_samples live_capacity lost_samples "
            "thinned agent_bytes min_size documents_queued documents_delivered documents_lost rss_python_live_bytes "
            "rss_python_slack_bytes rss_libc_live_bytes rss_libc_free_bytes rss_maps_bytes rss_files_and_stacks_bytes "
            "rss_agent_bytes rss_rest_bytes",
    "double": "total_mb sample_total_mb sample_free_mb retention_pct avg_size elapsed_seconds live_bytes_se "
              "live_count_se growth_mb_per_hour growth_low growth_high survival_pct survival_seconds last_free_seconds "
              "peak_live_time agent_cpu_seconds sampling_cpu_seconds",
}

# (id, title, form, filter, rows, columns): rows are terms (a pid's too), columns are (calculation, field, label).
PANELS = [
    ("retention", "Retention by function", "line", "kind: function", ["function"],
     [("average", "retention_pct", "retention, %")]),
    ("growth", "Growth by function", "line", "kind: function", ["function"],
     [("average", "growth_mb_per_hour", "MiB per hour")]),
    ("leaks", "Top leaks by rate", "table", "kind: function and verdict: (leaking or growing)",
     ["function", "file", "verdict"],
     [("max", "growth_mb_per_hour", "MiB per hour"), ("max", "growth_low", "at least"),
      ("max", "live_bytes", "live bytes"), ("max", "total_mb", "allocated, MiB"),
      ("average", "retention_pct", "retention, %")]),
    ("memory", "RSS against live bytes, by host", "line", "kind: process", ["hostname"],
     [("max", "rss_bytes", "RSS"), ("max", "live_bytes", "live bytes")]),
    ("jobs", "RSS by job", "line", "kind: process", ["job_name"], [("max", "rss_bytes", "RSS")]),
    ("fleet", "Workers", "table", "kind: process", ["hostname", "process.pid", "verdict"],
     [("max", "rss_bytes", "RSS"), ("max", "live_bytes", "live bytes"), ("max", "lost_samples", "lost samples"),
      ("max", "documents_lost", "lost documents"),
      ("max", "elapsed_seconds", "profiled for, s")]),
]
CONTROLS = [("service.name", "Service"), ("hostname", "Host"), ("process.pid", "Process")]
GRID = {"retention": (0, 0, 24, 14), "growth": (24, 0, 24, 14), "leaks": (0, 14, 48, 16), "memory": (0, 30, 24, 14),
        "jobs": (24, 30, 24, 14), "fleet": (0, 44, 48, 16)}


def types():
    return {field: kind for kind, fields in FIELDS.items() for field in fields.split()}


# Templates

def mapping(kind):
    if kind == "epoch":
        return {"type": "date", "format": "epoch_second"}
    return {"type": "keyword", "ignore_above": 1024} if kind == "keyword" else {"type": kind}


def template():
    properties = {field: mapping(kind) for field, kind in types().items()}
    properties["types"] = {"properties": {"type": mapping("keyword"), "bytes": mapping("long")}}
    text = {"match_mapping_type": "string", "mapping": mapping("keyword")}
    return {
        "index_patterns": [PATTERN],
        "priority": 200,  # above the built-in templates, which have 100
        "data_stream": {},
        "template": {
            "settings": {"number_of_shards": 1, "number_of_replicas": 1},
            "mappings": {"dynamic_templates": [{"strings": text}], "date_detection": False,
                         "properties": dict(sorted(properties.items()))},
        },
        "_meta": {"description": "Dumps of TrackLeak: one document for each function, one for each process."},
    }


def ilm():
    rollover = {"max_age": "30d", "max_primary_shard_size": "20gb"}
    return {"policy": {"phases": {"hot": {"actions": {"rollover": rollover}},
                                  "delete": {"min_age": "60d", "actions": {"delete": {}}}}}}


def ism():
    return {"policy": {
        "description": "TrackLeak: a new index each month, kept for two more.",
        "default_state": "hot",
        "states": [
            {"name": "hot", "actions": [{"rollover": {"min_index_age": "30d", "min_primary_shard_size": "20gb"}}],
             "transitions": [{"state_name": "delete", "conditions": {"min_rollover_age": "60d"}}]},
            {"name": "delete", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": [PATTERN, ".ds-" + PATTERN], "priority": 100}],
    }}


# Saved objects

def compact(value):
    return json.dumps(value, separators=(",", ":"))


def reference(name, kind="index-pattern", target=VIEW):
    return {"id": target, "name": name, "type": kind}


def data_view(versions):
    return {"id": VIEW, "type": "index-pattern", "references": [], **versions,
            "attributes": {"title": PATTERN, "timeFieldName": "@timestamp"}}


def lens_type(field):
    return {"keyword": "string", "date": "date", "boolean": "boolean"}.get(types()[field], "number")


def lens_column(calculation, field, label):
    return {"label": label, "customLabel": True, "dataType": "number", "operationType": calculation, "sourceField": field,
            "isBucketed": False, "scale": "ratio", "params": {"emptyAsNull": True}}


def lens_terms(field, first, size):
    return {"label": field, "dataType": lens_type(field), "operationType": "terms", "scale": "ordinal",
            "sourceField": field, "isBucketed": True,
            "params": {"size": size, "orderBy": {"type": "column", "columnId": first}, "orderDirection": "desc",
                       "otherBucket": False, "missingBucket": False, "parentFormat": {"id": "terms"}}}


def lens(panel):
    name, title, form, query, rows, columns = panel
    metrics = ["metric-%d" % n for n in range(len(columns))]
    buckets = ["row-%d" % n for n in range(len(rows))]
    found = {bucket: lens_terms(field, metrics[0], 10 if form == "line" else 50) for bucket, field in zip(buckets, rows)}
    found.update({metric: lens_column(*column) for metric, column in zip(metrics, columns)})
    order = buckets + metrics
    if form == "line":
        found["time"] = {"label": "@timestamp", "dataType": "date", "operationType": "date_histogram",
                         "sourceField": "@timestamp", "isBucketed": True, "scale": "interval",
                         "params": {"interval": "auto", "includeEmptyRows": False, "dropPartials": False}}
        order = buckets + ["time"] + metrics
        shown = {"preferredSeriesType": "line", "legend": {"isVisible": True, "position": "bottom"},
                 "valueLabels": "hide", "fittingFunction": "Linear",
                 "layers": [{"layerId": "layer", "layerType": "data", "seriesType": "line", "xAccessor": "time",
                             "splitAccessor": buckets[0], "accessors": metrics}]}
    else:
        shown = {"layerId": "layer", "layerType": "data", "columns": [{"columnId": column} for column in order],
                 "sorting": {"columnId": metrics[0], "direction": "desc"}}
    state = {"visualization": shown, "query": {"query": query, "language": "kuery"}, "filters": [],
             "datasourceStates": {"formBased": {"layers": {
                 "layer": {"columns": found, "columnOrder": order, "incompleteColumns": {}}}}},
             "internalReferences": [], "adHocDataViews": {}}
    return {"id": "trackleak-" + name, "type": "lens", "coreMigrationVersion": "8.8.0", "typeMigrationVersion": "8.9.0",
            "references": [reference("indexpattern-datasource-layer-layer")],
            "attributes": {"title": "TrackLeak: " + title, "description": "", "state": state,
                           "visualizationType": "lnsXY" if form == "line" else "lnsDatatable"}}


def classic_aggregation(number, kind, schema, params):
    return {"id": str(number), "enabled": True, "type": kind, "schema": schema, "params": params}


def classic_state(panel):
    name, title, form, _query, rows, columns = panel
    aggregations = [classic_aggregation(n, {"average": "avg"}.get(kind, kind), "metric",
                                        {"field": field, "customLabel": label})
                    for n, (kind, field, label) in enumerate(columns, 1)]
    terms = {"orderBy": "1", "order": "desc", "size": 10 if form == "line" else 50, "otherBucket": False,
             "missingBucket": False}
    buckets = [("terms", "group" if form == "line" else "bucket", {**terms, "field": field}) for field in rows]
    if form == "line":
        buckets.insert(0, ("date_histogram", "segment", {
            "field": "@timestamp", "interval": "auto", "min_doc_count": 1, "drop_partials": False,
            "useNormalizedOpenSearchInterval": True, "extended_bounds": {}}))
    aggregations += [classic_aggregation(n, *bucket) for n, bucket in enumerate(buckets, len(columns) + 1)]
    params = {"perPage": 20, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False,
              "totalFunc": "sum", "percentageCol": "", "sort": {"columnIndex": None, "direction": None}}
    if form == "line":
        label = {"show": True, "rotate": 0, "filter": True, "truncate": 100}
        params = {
            "type": "line", "addTooltip": True, "addLegend": True, "legendPosition": "bottom", "times": [],
            "addTimeMarker": False, "grid": {"categoryLines": False}, "labels": {},
            "categoryAxes": [{"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True, "style": {},
                              "scale": {"type": "linear"}, "labels": label, "title": {}}],
            "valueAxes": [{"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": True,
                           "style": {}, "scale": {"type": "linear", "mode": "normal"}, "labels": label,
                           "title": {"text": columns[0][2]}}],
            "seriesParams": [{"show": True, "type": "line", "mode": "normal", "valueAxis": "ValueAxis-1",
                              "drawLinesBetweenPoints": True, "lineWidth": 2, "interpolate": "linear",
                              "showCircles": True, "data": {"id": str(n), "label": column[2]}}
                             for n, column in enumerate(columns, 1)],
            "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"}}
    return {"title": "TrackLeak: " + title, "type": form, "aggs": aggregations, "params": params}


SEARCH = "kibanaSavedObjectMeta.searchSourceJSON.index"


def visualization(name, title, state, query=""):
    source = {"query": {"query": query, "language": "kuery"}, "filter": []}
    references = []
    if state["type"] != "input_control_vis":
        source["indexRefName"] = SEARCH
        references = [reference(SEARCH)]
    else:
        references = [reference("control_%d_index_pattern" % n) for n in range(len(CONTROLS))]
    return {"id": "trackleak-" + name, "type": "visualization", "references": references,
            "migrationVersion": {"visualization": "7.8.0"},
            "attributes": {"title": "TrackLeak: " + title, "visState": compact(state), "uiStateJSON": "{}",
                           "description": "", "version": 1,
                           "kibanaSavedObjectMeta": {"searchSourceJSON": compact(source)}}}


def classic_controls():
    controls = [{"id": "control-%d" % n, "fieldName": field, "label": label, "type": "list", "parent": "",
                 "options": {"type": "terms", "multiselect": True, "dynamicOptions": True, "size": 5,
                             "order": "desc"},
                 "indexPatternRefName": "control_%d_index_pattern" % n} for n, (field, label) in enumerate(CONTROLS)]
    state = {"title": "TrackLeak: Drill down", "type": "input_control_vis", "aggs": [],
             "params": {"controls": controls, "updateFiltersOnChange": True, "useTimeFilter": True,
                        "pinFilters": False}}
    return visualization("controls", "Drill down", state)


def dashboard(kind, names, offset, extra, versions):
    panels, references = [], []
    for number, name in enumerate(names):
        x, y, w, h = GRID[name] if name in GRID else (0, 0, 48, offset)
        grid = {"x": x, "y": y + (offset if name in GRID else 0), "w": w, "h": h, "i": str(number)}
        panel = {"panelIndex": str(number), "gridData": grid, "embeddableConfig": {},
                 "panelRefName": "panel_%d" % number, "version": "8.9.0" if kind == "lens" else "7.10.2"}
        prefix = ""
        if kind == "lens":
            panel["type"], prefix = "lens", "%d:" % number
        panels.append(panel)
        references.append(reference("%spanel_%d" % (prefix, number), kind, "trackleak-" + name))
    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {"id": "trackleak-dashboard", "type": "dashboard", **versions,
            "references": references + extra.pop("references", []),
            "attributes": {"title": "TrackLeak", "description": "Memory leaks of Python programs, by function.",
                           "panelsJSON": compact(panels), "timeRestore": True, "timeFrom": "now-24h", "timeTo": "now",
                           "optionsJSON": compact({"useMargins": True, "hidePanelTitles": False}), "version": 1,
                           "kibanaSavedObjectMeta": {"searchSourceJSON": compact(source)}, **extra}}


def kibana_controls():
    panels = {"control-%d" % n: {
        "order": n, "width": "medium", "grow": True, "type": "optionsListControl",
        "explicitInput": {"id": "control-%d" % n, "fieldName": field, "title": label, "enhancements": {}},
    } for n, (field, label) in enumerate(CONTROLS)}
    return {"controlGroupInput": {"controlStyle": "oneLine", "chainingSystem": "HIERARCHICAL",
                                  "panelsJSON": compact(panels), "ignoreParentSettingsJSON": "{}"},
            "references": [reference("controlGroup_control-%d:optionsListDataView" % n) for n in range(len(CONTROLS))]}


def objects(kind):
    names = [panel[0] for panel in PANELS]
    if kind == "kibana":
        versions = {"coreMigrationVersion": "8.8.0"}
        found = [data_view({**versions, "typeMigrationVersion": "8.0.0"})]
        found += [lens(panel) for panel in PANELS]
        found.append(dashboard("lens", names, 0, kibana_controls(), {**versions, "typeMigrationVersion": "8.9.0"}))
    else:
        found = [data_view({"migrationVersion": {"index-pattern": "7.6.0"}})]
        found += [visualization(panel[0], panel[1], classic_state(panel), panel[3]) for panel in PANELS]
        found.append(classic_controls())
        found.append(dashboard("visualization", ["controls"] + names, 5, {},
                               {"migrationVersion": {"dashboard": "7.3.0"}}))
    summary = {"excludedObjects": [], "excludedObjectsCount": 0, "exportedCount": len(found),
               "missingRefCount": 0, "missingReferences": []}
    return "".join(compact(item) + "\n" for item in found + [summary])


def files():
    def pretty(value):
        return json.dumps(value, indent=2) + "\n"

    return {
        "elasticsearch-template.json": pretty(template()),
        "elasticsearch-ilm.json": pretty(ilm()),
        "opensearch-template.json": pretty(template()),
        "opensearch-ism.json": pretty(ism()),
        "kibana.ndjson": objects("kibana"),
        "opensearch-dashboards.ndjson": objects("opensearch"),
    }


# The check

def documented_fields():
    """Every field of docs/FORMAT.md's documents."""
    text = (ROOT / "docs/FORMAT.md").read_text(encoding="utf-8")
    section = text[text.index("## profiler.jsonl"):text.index("## events.log")]
    for cell in re.findall(r"^\| (`[^|]*`) \|", section, re.M):
        yield from re.findall(r"`([^`]+)`", cell)


def nested(value):
    """All that is in it, with the JSON inside strings called *JSON and visState opened."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if isinstance(inside, str) and (key.endswith("JSON") or key == "visState"):
                inside = json.loads(inside)
            yield key, inside
            yield from nested(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from nested(inside)


# What a saved object's attributes may be, after Kibana's own schemas (main and 8.x, read in November 2026), which forbid
# others: so an import would fail. OpenSearch Dashboards' mappings have the same for the three types that it knows.
SEARCH_SOURCE = {"searchSourceJSON": str}
ATTRIBUTES = {
    "index-pattern": {"title": str, "type": str, "typeMeta": str, "timeFieldName": str, "sourceFilters": str, "fields": str,
                      "fieldFormatMap": str},
    "visualization": {"title": str, "description": str, "version": int, "kibanaSavedObjectMeta": SEARCH_SOURCE,
                      "uiStateJSON": str, "visState": str, "savedSearchRefName": str},
    "dashboard": {"title": str, "description": str, "kibanaSavedObjectMeta": SEARCH_SOURCE, "timeRestore": bool,
                  "timeFrom": str, "timeTo": str, "refreshInterval": {"pause": bool, "value": int}, "panelsJSON": str,
                  "optionsJSON": str, "hits": int, "version": int,
                  "controlGroupInput": {"panelsJSON": str, "controlStyle": str, "chainingSystem": str,
                                        "ignoreParentSettingsJSON": str}},
    "lens": {"title": str, "description": str, "visualizationType": str, "uiStateJSON": str,
             "state": {"visualization": dict, "query": dict, "filters": list, "datasourceStates": dict,
                       "internalReferences": list, "adHocDataViews": dict}},
}


def check_attributes(where, attributes, allowed, problems):
    for key, value in attributes.items():
        kind = allowed.get(key)
        if isinstance(kind, dict) and isinstance(value, dict):
            check_attributes("%s.%s" % (where, key), value, kind, problems)
        elif kind is None or isinstance(kind, dict) or type(value) is not kind:
            problems.append("%s: %s is no attribute that can be imported" % (where, key))


def check_grid(where, panels, problems):
    """48 columns; no panel on another."""
    taken = set()
    for panel in panels:
        grid = panel["gridData"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        if taken & cells or grid["x"] + grid["w"] > 48 or grid["i"] != panel["panelIndex"]:
            problems.append("%s: panel %s stands on another, or over the edge" % (where, grid["i"]))
        taken |= cells


def check_lens(where, item, problems):
    """What is shown is a column that is computed, of the one layer that the reference is for."""
    state = item["attributes"]["state"]
    (layer, computed), = state["datasourceStates"]["formBased"]["layers"].items()
    shown = state["visualization"]
    layers = shown["layers"] if "layers" in shown else [shown]
    wanted = {column for one in layers for column in
              [*one.get("accessors", []), *[c["columnId"] for c in one.get("columns", [])],
               *[one[key] for key in ("xAccessor", "splitAccessor") if key in one]]}
    if wanted != set(computed["columns"]) or sorted(computed["columnOrder"]) != sorted(computed["columns"]):
        problems.append("%s: columns shown and computed differ" % where)
    if {one["layerId"] for one in layers} != {layer} or \
            [r["name"] for r in item["references"]] != ["indexpattern-datasource-layer-" + layer]:
        problems.append("%s: the layer and its reference differ" % where)


def check_objects(name, text, problems):
    lines = text.splitlines()
    found = [json.loads(line) for line in lines]
    *items, summary = found
    ids = {(item["type"], item["id"]) for item in items}
    if summary.get("exportedCount") != len(items) or len(ids) != len(items):
        problems.append("%s: the summary or the ids are wrong" % name)
    for item in items:
        where = "%s: %s %s" % (name, item["type"], item["id"])
        names = [r["name"] for r in item["references"]]
        if not item["attributes"].get("title") or len(set(names)) != len(names):
            problems.append("%s: no title, or a reference twice" % where)
        problems += ["%s: %s is in no file" % (where, r["id"]) for r in item["references"]
                     if (r["type"], r["id"]) not in ids]
        check_attributes(where, item["attributes"], ATTRIBUTES[item["type"]], problems)
        if item["type"] == "dashboard":
            check_grid(where, json.loads(item["attributes"]["panelsJSON"]), problems)
        if item["type"] == "lens":
            check_lens(where, item, problems)
        inside = list(nested(item["attributes"]))
        problems += ["%s: %s is not mapped" % (where, field) for key, field in inside
                     if key in ("sourceField", "fieldName", "field") and field not in types()]
        problems += ["%s: %s has no reference" % (where, value) for key, value in inside
                     if key in ("panelRefName", "indexRefName", "indexPatternRefName")
                     and value not in [n.split(":")[-1] for n in names]]
    queries = [panel[3] for panel in PANELS]
    for query in queries:
        problems += ["%s: %s is not mapped" % (name, field) for field in re.findall(r"(\w[\w.]*):", query)
                     if field not in types()]


def check():
    problems = []
    for name, text in files().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            problems.append("kibana/%s is not what tools/kibana.py says: run `make kibana`" % name)
        if name.endswith(".ndjson"):
            check_objects(name, text, problems)
    known = set(types()) | {"_id", "types", "labels.KEY"}
    problems += ["docs/FORMAT.md: %s is not mapped" % field for field in documented_fields() if field not in known]
    for problem in problems:
        print("kibana: %s" % problem, file=sys.stderr)
    if not problems:
        print("kibana: %d files, %d fields, all valid" % (len(files()), len(types())))
    return bool(problems)


# Installing

class Unusable(Exception):
    """One line for the user."""


def secret(name):
    path = os.environ.get(name + "_FILE")
    if os.environ.get(name) or not path:
        return os.environ.get(name, "")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable("%s_FILE: %s" % (name, error)) from None


class Target:
    """A server at a URL, with the credentials and certificates of the environment."""

    def __init__(self, variable):
        url = urlsplit(os.environ.get(variable, ""))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise Unusable("%s is no http or https URL" % variable)
        self.prefix = url.path.rstrip("/")
        if self.prefix.endswith("/_bulk"):
            self.prefix = self.prefix[:-len("/_bulk")]
        self.host, self.has_login = url.hostname, bool(url.username)
        try:
            self.port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            raise Unusable("%s: the port is no number" % variable) from None
        self.headers = {}
        key = secret("ELASTICSEARCH_API_KEY")
        user = os.environ.get("ELASTICSEARCH_USERNAME") or unquote(url.username or "")
        password = secret("ELASTICSEARCH_PASSWORD") or unquote(url.password or "")
        if key:
            self.headers["Authorization"] = "ApiKey " + (base64.b64encode(key.encode()).decode() if ":" in key else key)
        elif user:
            self.headers["Authorization"] = "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
        self.context = self.tls() if url.scheme == "https" else None

    @staticmethod
    def tls():
        try:
            context = ssl.create_default_context(cafile=os.environ.get("ELASTICSEARCH_CA_FILE") or None)
            certificate = os.environ.get("ELASTICSEARCH_CLIENT_CERT")
            if certificate:
                context.load_cert_chain(certificate, os.environ.get("ELASTICSEARCH_CLIENT_KEY") or None)
        except OSError as error:
            raise Unusable("the certificates cannot be read: %s" % error) from None
        if os.environ.get("ELASTICSEARCH_SSL_VERIFY", "1").lower() in ("0", "false", "no", "off"):
            print("warning: ELASTICSEARCH_SSL_VERIFY is off", file=sys.stderr)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def ask(target, method, path, body=None, headers=None):
    """(status, answer as JSON or {})"""
    connection = (http.client.HTTPSConnection(target.host, target.port, timeout=30, context=target.context)
                  if target.context else http.client.HTTPConnection(target.host, target.port, timeout=30))
    try:
        connection.request(method, target.prefix + path, body, {**target.headers, "Content-Type": "application/json",
                                                         **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unusable("%s:%d: %s" % (target.host, target.port, error)) from None
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, {}


def must(status, answer, what):
    if status >= 300:
        raise Unusable("%s: HTTP %d %s" % (what, status, compact(answer)[:300]))
    print("kibana: %s: done" % what)


def install():
    target = Target("ELASTICSEARCH_URL")
    kind = os.environ.get("KIND")
    if not kind:
        status, answer = ask(target, "GET", "/")
        version = answer.get("version", {}) if status == 200 else {}
        kind = "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
    body = template()
    if kind == "opensearch":
        status, answer = ask(target, "PUT", "/_plugins/_ism/policies/" + NAME, (FOLDER / "opensearch-ism.json").read_text())
        lifecycle = status < 300 or status == 409  # it is there already
    else:
        status, answer = ask(target, "PUT", "/_ilm/policy/" + NAME, (FOLDER / "elasticsearch-ilm.json").read_text())
        lifecycle = status < 300
        if lifecycle:
            body["template"]["settings"]["index.lifecycle.name"] = NAME
    print("kibana: lifecycle: %s" % ("done" if lifecycle else "not on this server (HTTP %d)" % status))
    must(*ask(target, "PUT", "/_index_template/" + NAME, json.dumps(body)), "%s template" % kind)
    if not os.environ.get("KIBANA_URL"):
        print("kibana: no KIBANA_URL: data view and dashboard are not installed")
        return 0
    install_objects(target, kind)
    return 0


def install_objects(target, kind):
    screen = Target("KIBANA_URL")
    if not screen.has_login:
        screen.headers = target.headers
    name = "opensearch-dashboards.ndjson" if kind == "opensearch" else "kibana.ndjson"
    border = "trackleak-objects-8d1f0c"
    body = ('--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n'
            "Content-Type: application/ndjson\r\n\r\n%s\r\n--%s--\r\n"
            % (border, name, (FOLDER / name).read_text(encoding="utf-8"), border)).encode()
    must(*ask(screen, "POST", "/api/saved_objects/_import?overwrite=true", body,
              {"Content-Type": "multipart/form-data; boundary=" + border, "kbn-xsrf": "true", "osd-xsrf": "true"}), name)


def write():
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    verbs = {"write": write, "check": check, "install": install}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        sys.exit(__doc__.splitlines()[0])
    try:
        sys.exit(verbs[sys.argv[1]]())
    except Unusable as error:
        print("kibana: %s" % error, file=sys.stderr)
        sys.exit(2)
