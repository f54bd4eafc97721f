#include "report_session.h"

#include "../base/show.h"

#include <math.h>

#define REPORT_SESSION_COLUMNS 60

void report_session_chart(FILE *out, const struct session *session, size_t columns)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	size_t count = session->sample_count < columns ? session->sample_count : columns;
	double low = INFINITY, high = 0;

	for (size_t i = 0; i < session->sample_count; i++) {
		low = fmin(low, session->samples[i].rss_bytes);
		high = fmax(high, session->samples[i].rss_bytes);
	}
	for (size_t column = 0; column < count; column++) {
		size_t at = column * session->sample_count / count;
		double level =
			high > low ? (session->samples[at].rss_bytes - low) / (high - low) : 0;

		fputs(bars[(size_t)(level * 7.999)], out);
	}
}

static void report_session_alerts(FILE *out, const struct session *session,
				  const struct profile *profile)
{
	double grown = session_rss_grown(session);
	char a[SHOW_WORD], b[SHOW_WORD];

	if (session->rss_threshold_bytes > 0 && grown > session->rss_threshold_bytes)
		fprintf(out, "ALERT  RSS grew by %s, more than %s\n", show_size(a, grown),
			show_size(b, session->rss_threshold_bytes));
	if (session->heap_threshold_bytes > 0 && profile != NULL &&
	    profile->live_bytes.value > session->heap_threshold_bytes)
		fprintf(out, "ALERT  the heap grew by %s, more than %s\n",
			show_size(a, profile->live_bytes.value),
			show_size(b, session->heap_threshold_bytes));
}

void report_session(FILE *out, const struct session *session, const struct profile *profile)
{
	const struct session_sample *last = session->samples + session->sample_count - 1;
	char a[SHOW_WORD], b[SHOW_WORD], c[SHOW_WORD];
	double growth = session_growth(session), most = 0;

	fputs("command: ", out);
	show_plain(out, session->command);
	if (session->status < 0)
		fputs("\nit still runs\n", out);
	else
		fprintf(out, "\nended with %d\n", session->status);
	if (session->sample_count > 0) {
		for (size_t i = 0; i < session->sample_count; i++)
			most = fmax(most, session->samples[i].rss_bytes);
		fprintf(out, "RSS  %s at first, %s at most, %s after %s\n     ",
			show_size(a, session->samples[0].rss_bytes), show_size(b, most),
			show_size(c, last->rss_bytes),
			show_duration((char[SHOW_WORD]){0}, last->time_s));
		report_session_chart(out, session, REPORT_SESSION_COLUMNS);
		if (!isnan(growth))
			fprintf(out, "  %+.1f MB/h", growth);
		fputc('\n', out);
	}
	report_session_alerts(out, session, profile);
	fputc('\n', out);
}
