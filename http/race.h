/* SPDX-License-Identifier: MIT */
/*
 * race.h - one connection to whichever of several addresses answers first (RFC 8305, "happy eyeballs"); for this room
 * only.
 *
 * Families take turns. Each address gets 250 ms before the next one starts beside it, or none once it has failed; the
 * first that connects wins, the others are closed.
 */
#ifndef RIVULET_HTTP_RACE_H
#define RIVULET_HTTP_RACE_H

#include "lib/os/net.h"

/*
 * *family: that of the first attempt (0 = that of addrs[0]); then the winner's. each_ms: patience with one address; all
 * together get three times that. A connected descriptor, or -1 and *errnum: why the last one failed, ETIMEDOUT,
 * ECANCELED.
 */
int race_connect(const struct os_addr *addrs, int count, int *family, int64_t each_ms, const atomic_bool *cancel,
                 int *errnum);

#endif
