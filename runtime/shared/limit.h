// SPDX-License-Identifier: Apache-2.0
// Limits: what relay.h says about cc_limit and its kin. This page tells why no window of 60 s is
// ever over a rate, whichever processes book and whenever one of them dies.
//
// What is kept. For each kind (requests, input tokens, output tokens) 61 words, one a second. A
// word holds the lap of its second around the ring, the millisecond of its latest booking, and the
// amount. A word counts until 60 s after its latest booking, so an amount is never forgotten early
// and at most one second late. "latest" is the largest time seen: who comes with an older one books
// at that one, so all processes share one time line that never goes back.
//
// Booking. First look: does it fit? If not, nothing is touched and the wait is told. If it seems
// to, add the amounts, look again with them included, and take them back if the sum is over or if
// the latest second has moved meanwhile. All operations are sequentially consistent.
// Claim: admitted bookings within 60 s of each other never sum to more than the rate. Of these
// take the one whose last addition came last. Its second look came after all the others'
// additions. None of them had expired for it (they are less than 60 s older, or newer), and none
// of their words had been reused for a later second, for whoever reuses a word moves "latest"
// before, which it would have seen. So its sum had all of them, and was not over.
// Amounts that are added and taken back make others see too much for a moment, never too little:
// who is refused only because of that tries again, a bounded number of times. A process that is
// killed in between leaves its amount behind for a minute: too strict by one request, never too
// loose; what it had booked and not yet sent comes back (reservations.h). Nobody waits for anybody.
//
// A booking that alone is more than the rate is let in when the window is empty of its kind.
//
// Settling changes the word of the second it was booked in, if that still stands; output above the
// estimate goes into the second of the settling, for streams may take longer than a window. Real usage
// above the estimate may so take a window over its rate; later bookings then wait for it to pass.
//
// Learning. A learned rate counts like a configured one until another is learned; a rate of 0 or
// less teaches nothing. What remains until the reset is one word for each kind, taken from at each
// booking and void after the reset. A remainder below 0, or a reset that has passed, teaches
// nothing; resets are at most an hour away. Of two reports about the same reset (to the second)
// the smaller remainder counts. A report about an earlier reset than the one known is old news,
// unless it leaves less: then it replaces the other.
// A reservation knows by their resets which remainders it took from. While they stand, a release gives back
// what was taken, and a settling the difference, unless the answer has told a remainder that counts the
// request already.
//
// Time. Gaps of any length are harmless: words of earlier laps do not count. A clock that is
// behind "latest" by more than five minutes has been set back: the difference is added to it from
// then on, so that the window neither empties nor stands still. A time that is no number, negative
// or beyond a century counts as the latest.
#ifndef CC_LIMIT_H
#define CC_LIMIT_H
#include "api/limit.h"

// The worker of a slot has ended: gives back what it had reserved for requests that it did not send.
void cc_limit_refund_worker(uint32_t slot);

// Fills in what the last 60 s hold; 0 for a limit that there is not. For tests.
void cc_limit_usage(int limit, double now_ms, struct cc_rates *used);
#endif
