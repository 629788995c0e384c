/* SPDX-License-Identifier: MIT */
#include "lib/base/sha256.h"

#include <stdlib.h>

#include "tests/check.h"

static const char *sum(const void *bytes, size_t n)
{
	static char out[SHA256_HEX_SIZE];
	uint8_t raw[SHA256_SIZE];

	sha256(bytes, n, raw);
	return sha256_hex(out, raw);
}

static const char *mac(const char *key, size_t key_len, const char *text)
{
	static char out[SHA256_HEX_SIZE];
	uint8_t raw[SHA256_SIZE];

	hmac_sha256(key, key_len, text, strlen(text), raw);
	return sha256_hex(out, raw);
}

TEST(published_sums)
{
	CHECK_STR(sum("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	CHECK_STR(sum("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	CHECK_STR(sum("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56),
	          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(a_million_letters)
{
	char *letters = malloc(1000000);

	memset(letters, 'a', 1000000);
	const char *got = sum(letters, 1000000);
	free(letters);
	CHECK_STR(got, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231: 2 (short key), 1 (key of 20), 6 (key longer than a block) */
TEST(published_macs)
{
	char key[131];

	CHECK_STR(mac("Jefe", 4, "what do ya want for nothing?"),
	          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0x0b, 20);
	CHECK_STR(mac(key, 20, "Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	memset(key, 0xaa, sizeof(key));
	CHECK_STR(mac(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First"),
	          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(pieces_make_no_difference)
{
	uint8_t bytes[300], whole[SHA256_SIZE], pieced[SHA256_SIZE];
	struct sha256 s;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		sha256(bytes, n, whole);
		for (size_t step = 1; step <= 130; step += 43) {
			sha256_init(&s);
			for (size_t at = 0; at < n; at += step)
				sha256_add(&s, bytes + at, n - at < step ? n - at : step);
			sha256_end(&s, pieced);
			CHECK_MEM(pieced, whole, SHA256_SIZE);
		}
	}
}

TEST(fast_as_plain)
{
	sha256_blocks_fn *fast = sha256_blocks_fast();
	uint8_t bytes[64 * 9 + 1];
	uint32_t a[8], b[8];

	if (!fast)
		SKIP("this processor has no instructions for it");
	srand(7);
	for (int run = 0; run < 500; run++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rand();
		for (int i = 0; i < 8; i++)
			a[i] = b[i] = (uint32_t)rand() * 2654435761u;
		fast(a, bytes + run % 2, (size_t)run % 10);
		sha256_blocks_plain(b, bytes + run % 2, (size_t)run % 10);
		CHECK_MEM(a, b, sizeof(a));
	}
}

TEST_MAIN
