/* DESIGN: profile.proto, written by hand: messages are numbered fields of varints and of bytes, and
 * a message inside another is bytes. Four values a sample, as Go's heap profiles have them:
 * alloc_objects, alloc_space, inuse_objects, inuse_space.
 *
 * What is in use is known by stack; what was allocated only by function and line. So there are
 * samples of both sorts, each with zeros for what it does not know: sums and flat figures are right
 * for all four, and callers are known for what is in use.
 */
#include "export.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "../base/lookup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum pprof_field {
	PPROF_SAMPLE_TYPE = 1,
	PPROF_SAMPLE = 2,
	PPROF_LOCATION = 4,
	PPROF_FUNCTION = 5,
	PPROF_STRING = 6,
	PPROF_TIME_NS = 9,
	PPROF_DURATION_NS = 10,
	PPROF_PERIOD_TYPE = 11,
	PPROF_PERIOD = 12,
	PPROF_DEFAULT_TYPE = 14,
};

struct bytes {
	unsigned char *data;
	size_t length, room;
};

struct pprof {
	struct bytes profile, message, inner; /* the last two: what is being put together */
	struct lookup strings, functions, locations;
	size_t string_count, function_count, location_count;
};

static void pprof_byte(struct bytes *bytes, unsigned char byte)
{
	bytes->data = keep_grow(bytes->data, bytes->length, &bytes->room, 1);
	bytes->data[bytes->length++] = byte;
}

static void pprof_varint(struct bytes *bytes, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		pprof_byte(bytes, (unsigned char)(value | 0x80));
	pprof_byte(bytes, (unsigned char)value);
}

static void pprof_number(struct bytes *bytes, unsigned field, uint64_t value)
{
	pprof_varint(bytes, field << 3);
	pprof_varint(bytes, value);
}

static void pprof_bytes(struct bytes *bytes, unsigned field, const void *data, size_t length)
{
	pprof_varint(bytes, field << 3 | 2);
	pprof_varint(bytes, length);
	for (size_t i = 0; i < length; i++)
		pprof_byte(bytes, ((const unsigned char *)data)[i]);
}

/* Ends a message: it becomes a field of the one it is in, and is empty again. */
static void pprof_end(struct bytes *message, struct bytes *into, unsigned field)
{
	pprof_bytes(into, field, message->data, message->length);
	message->length = 0;
}

static uint64_t pprof_string(struct pprof *pprof, const char *string)
{
	size_t at = lookup_put(&pprof->strings, string, pprof->string_count);

	if (at == pprof->string_count) {
		pprof_bytes(&pprof->profile, PPROF_STRING, string, strlen(string));
		pprof->string_count++;
	}
	return at;
}

static void pprof_value_type(struct pprof *pprof, unsigned field, const char *type,
			     const char *unit)
{
	uint64_t type_string = pprof_string(pprof, type), unit_string = pprof_string(pprof, unit);

	pprof_number(&pprof->message, 1, type_string);
	pprof_number(&pprof->message, 2, unit_string);
	pprof_end(&pprof->message, &pprof->profile, field);
}

static uint64_t pprof_function(struct pprof *pprof, const char *name, const char *file)
{
	uint64_t name_string = pprof_string(pprof, name), file_string = pprof_string(pprof, file);
	char *key = keep_text("%s\n%s", file, name);
	size_t at = lookup_put(&pprof->functions, key, pprof->function_count);

	free(key);
	if (at == pprof->function_count) {
		pprof->function_count++;
		pprof_number(&pprof->message, 1, at + 1);
		pprof_number(&pprof->message, 2, name_string);
		pprof_number(&pprof->message, 3, name_string);
		pprof_number(&pprof->message, 4, file_string);
		pprof_end(&pprof->message, &pprof->profile, PPROF_FUNCTION);
	}
	return at + 1;
}

static uint64_t pprof_location(struct pprof *pprof, const char *name, const char *file,
			       uint32_t line)
{
	uint64_t function = pprof_function(pprof, name, file);
	char key[64];
	size_t at;

	snprintf(key, sizeof(key), "%llu:%u", (unsigned long long)function, line);
	at = lookup_put(&pprof->locations, key, pprof->location_count);
	if (at == pprof->location_count) {
		pprof->location_count++;
		pprof_number(&pprof->inner, 1, function);
		pprof_number(&pprof->inner, 2, line);
		pprof_number(&pprof->message, 1, at + 1);
		pprof_end(&pprof->inner, &pprof->message, 4);
		pprof_end(&pprof->message, &pprof->profile, PPROF_LOCATION);
	}
	return at + 1;
}

/* `places`: location ids, innermost first. */
static void pprof_sample(struct pprof *pprof, struct bytes *places, const double values[4])
{
	struct bytes numbers = {0};

	for (size_t i = 0; i < 4; i++)
		pprof_varint(&numbers, (uint64_t)llround(fmin(values[i], 9e18)));
	pprof_end(places, &pprof->message, 1);
	pprof_end(&numbers, &pprof->message, 2);
	pprof_end(&pprof->message, &pprof->profile, PPROF_SAMPLE);
	free(numbers.data);
}

static void pprof_put_stacks(struct pprof *pprof, const struct profile *profile)
{
	struct bytes places = {0};

	for (size_t i = 0; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];
		const double values[4] = {0, 0, stack->live_count.value, stack->live_bytes.value};
		size_t at = stack->frame;

		do {
			const struct profile_frame *frame = &profile->frames[at];

			pprof_varint(&places,
				     pprof_location(pprof, frame->name, frame->file, frame->line));
			at = frame->parent;
		} while (at != 0);
		pprof_sample(pprof, &places, values);
	}
}

static void pprof_put_line(struct pprof *pprof, const struct profile_function *function,
			   uint32_t line, const struct figures *figures)
{
	const double values[4] = {figures->count.value, figures->total_bytes.value, 0, 0};
	struct bytes places = {0};

	pprof_varint(&places, pprof_location(pprof, function->name, function->file, line));
	pprof_sample(pprof, &places, values);
	free(places.data);
}

/* One gzip stream. */
static void pprof_write(FILE *out, const struct bytes *bytes)
{
	z_stream stream = {0};
	unsigned char *packed;
	size_t room;

	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		fail("there is not enough memory");
	room = deflateBound(&stream, bytes->length);
	packed = keep_alloc(room, 1);
	stream.next_in = bytes->data;
	stream.avail_in = (uInt)bytes->length;
	stream.next_out = packed;
	stream.avail_out = (uInt)room;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		fail("the profile is too large for pprof");
	fwrite(packed, 1, stream.total_out, out);
	deflateEnd(&stream);
	free(packed);
}

void export_pprof(FILE *out, const struct profile *profile)
{
	struct pprof pprof = {0};

	pprof_string(&pprof, ""); /* the first one must be */
	pprof_value_type(&pprof, PPROF_SAMPLE_TYPE, "alloc_objects", "count");
	pprof_value_type(&pprof, PPROF_SAMPLE_TYPE, "alloc_space", "bytes");
	pprof_value_type(&pprof, PPROF_SAMPLE_TYPE, "inuse_objects", "count");
	pprof_value_type(&pprof, PPROF_SAMPLE_TYPE, "inuse_space", "bytes");
	pprof_put_stacks(&pprof, profile);
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *function = &profile->functions[i];

		for (size_t l = 0; l < function->line_count; l++)
			pprof_put_line(&pprof, function, function->lines[l].line,
				       &function->lines[l].figures);
		if (function->line_count == 0)
			pprof_put_line(&pprof, function, function->line, &function->figures);
	}
	pprof_number(&pprof.profile, PPROF_TIME_NS, (uint64_t)(fmin(profile->time, 9e9) * 1e9));
	pprof_number(&pprof.profile, PPROF_DURATION_NS,
		     (uint64_t)(fmin(profile->elapsed_s, 9e9) * 1e9));
	pprof_value_type(&pprof, PPROF_PERIOD_TYPE, "space", "bytes");
	pprof_number(&pprof.profile, PPROF_PERIOD, (uint64_t)fmin(profile->sample_bytes, 9e18));
	pprof_number(&pprof.profile, PPROF_DEFAULT_TYPE, pprof_string(&pprof, "inuse_space"));
	pprof_write(out, &pprof.profile);
}
