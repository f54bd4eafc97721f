/* links: ../cli/profile/profile_read.c ../cli/profile/profile.c ../cli/profile/rows.c ../cli/profile/tree.c ../cli/base/keep.c ../cli/base/fail.c ../cli/base/lookup.c base/text.c */
/* profile_parse: whatever a snapshot holds, reading and grouping it stays inside its arrays. */
#include "../../cli/profile/profile_read.h"
#include "../../cli/profile/rows.h"
#include "../../cli/profile/tree.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* The command keeps what it reads until it ends. */
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] =
		"{\"format\":\"trackleak-snapshot\",\"version\":1,\"process\":{},"
		"\"dump\":{},\"memory\":{},";
	struct rows_choice choice = {.by = size % 2 != 0 ? ROWS_STACK : ROWS_LINE,
				     .max_size = INFINITY};
	char text[4096], why[PROFILE_READ_WHY];
	struct profile *profile;

	if (size > sizeof(text) - sizeof(head))
		return 0;
	/* Most inputs get past the head, which a fuzzer would take long to guess. */
	memcpy(text, head, sizeof(head));
	memcpy(text + sizeof(head) - 1, data, size);
	profile = profile_parse(text, sizeof(head) - 1 + size, "fuzz", why);
	if (profile != NULL) {
		rows_of(profile, &choice);
		tree_of(profile, &choice);
	}
	return 0;
}
