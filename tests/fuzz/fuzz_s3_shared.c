/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a shared file of credentials, as an answer with keys, and as an answer that refuses them. Nothing may
 * crash; a value is a piece of the text, without blanks at its ends; no message repeats what it was made of.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "s3/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const sections[] = { "default", "profile work", "work" };
	static const char *const keys[] = { "aws_access_key_id", "aws_secret_access_key", "role_arn", "a" };
	char *text = malloc(size + 1);
	struct s3_keys *found = NULL;
	struct err e = ERR_INIT;

	memcpy(text, data, size);
	text[size] = '\0';
	for (int s = 0; s < 3; s++) {
		bool has = s3_ini_has_section(text, sections[s]);

		for (int k = 0; k < 4; k++) {
			char *value = s3_ini_value(text, sections[s], keys[k]);

			assert(!value || (has && strstr(text, value) && strstr(text, keys[k]) && !strchr(value, '\n')));
			assert(!value || !value[0] || (value[0] != ' ' && value[strlen(value) - 1] != ' '));
			free(value);
		}
	}
	if (s3_keys_from_json((const char *)data, size, "fuzz", &found, &e) == 0) {
		assert(found->access_key_id[0] && found->secret[0] && (!found->token || found->token[0]));
		s3_keys_release(found);
	} else {
		assert(!found && e.text[0]);
	}
	free(text);
	return 0;
}
