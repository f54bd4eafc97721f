/* links: ../cli/profile/reader.c ../cli/profile/symbols.c ../cli/profile/profile_read.c ../cli/profile/profile.c ../cli/profile/rows.c ../cli/profile/tree.c ../cli/base/keep.c ../cli/base/region.c ../cli/base/fail.c ../cli/base/lookup.c base/text.c */
/* profile_parse: whatever a snapshot holds, reading and grouping it stays inside its arrays. */
#include "../../cli/base/region.h"
#include "../../cli/profile/profile_read.h"
#include "../../cli/profile/rows.h"
#include "../../cli/profile/tree.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] =
		"{\"format\":\"trackleak-snapshot\",\"version\":1,\"process\":{},"
		"\"dump\":{},\"memory\":{},";
	struct rows_choice choice = {.by = size % 2 != 0 ? ROWS_STACK : ROWS_LINE,
				     .max_size = INFINITY};
	char text[4096], why[PROFILE_READ_WHY];
	struct region *region;
	struct profile *profile;

	if (size > sizeof(text) - sizeof(head))
		return 0;
	/* Most inputs get past the head, which a fuzzer would take long to guess. */
	memcpy(text, head, sizeof(head));
	memcpy(text + sizeof(head) - 1, data, size);
	text[sizeof(head) - 1 + size] = '\0';
	region = region_new();
	region_use(region);
	profile = profile_parse(text, sizeof(head) - 1 + size, "fuzz", why);
	if (profile != NULL) {
		rows_of(profile, &choice);
		tree_of(profile, &choice);
	}
	region_use(NULL);
	region_free(region);
	return 0;
}
