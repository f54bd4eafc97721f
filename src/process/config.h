/* config: the settings in force, read once from the environment.
 *
 * Runs      config_load in the constructor only (getenv is safe there); the values are constant
 *           afterwards, but for dump_interval_s, sample_rate, sample_bytes and max_overhead, which
 *           the worker changes when it is asked to (agent/control) and only the worker reads then.
 * Promises  a bad value costs one line that names the variable, the value and the default used;
 *           never the program.
 *
 * The settings are listed once, in settings.def: the fields of struct config, their parsing and the
 * table of README.md come from there.
 */
#ifndef TL_PROCESS_CONFIG_H
#define TL_PROCESS_CONFIG_H

#include "../base/types.h"

struct config {
	/* Numbers and on/off values, one for each NUMBER, REAL or SWITCH row of settings.def. */
	uint64_t dump_interval_s; /* 0: only at exit */
	uint64_t sample_rate;     /* N: one in N allocations of min_size or more, >= 1 */
	uint64_t min_size;        /* bytes, >= 1 */
	uint64_t startup_delay_s;
	uint64_t sample_bytes; /* T: mean bytes between byte samples, >= 1 */
	double max_overhead;   /* percent of one core, 0 = no governor */
	uint64_t max_size;     /* bytes, largest block in the event log; UINT64_MAX: none */
	double older_s;
	uint64_t top;
	uint64_t stack_depth; /* 1 to 512 */
	uint64_t table_size;  /* live samples, >= 1000 */
	uint64_t log_max_mb, log_keep;
	uint64_t log_mode; /* read as octal */
	uint64_t seed;     /* meaningful when has_seed */
	bool has_seed;
	bool events, native, python, precise, any, quiet, disable, follow;

	/* Texts, our own copies, never NULL. */
	const char *log_dir; /* as set; the folder really used is log_file's business */
	const char *json_log, *event_log;
	const char *job_name;
	const char *app, *labels;

	const char *runtime_dir; /* XDG_RUNTIME_DIR, absolute; "": none */

	bool python_uses_malloc; /* PYTHONMALLOC, CPython's own setting, gives everything to libc */
	bool python_uses_mimalloc; /* and this: large blocks do not reach libc either */

	/* Shipping (read here so that the banner tells the truth; used by the Elasticsearch
	 * modules). */
	bool elasticsearch, elasticsearch_ssl_verify;
	const char *elasticsearch_url, *elasticsearch_index;
	const char *elasticsearch_username, *elasticsearch_password, *elasticsearch_api_key;
	const char *elasticsearch_password_file, *elasticsearch_api_key_file;
	const char *elasticsearch_ca_file, *elasticsearch_client_cert, *elasticsearch_client_key;
};

TL_DATA struct config config;

/* Fills `config`. Lines about bad values go through diag, unless `silent` (a process that will stay
 * dormant). */
TL_INTERNAL void config_load(bool silent);
/* The banner of a process that is profiled, with the values in force, as one text. `log_dir` is the
 * folder really used, the other two the full paths. Credentials never appear. */
struct text;
TL_INTERNAL void config_banner(struct text *text, const char *log_dir, const char *json_log,
			       const char *event_log);

#endif
