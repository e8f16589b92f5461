// SPDX-License-Identifier: Apache-2.0
// Limits in shared memory (api/shared.h), and why no window of 60 s is ever over a rate, whichever processes
// reserve and whenever one of them dies.
//
// What is kept. For each kind (requests, input tokens, output tokens) there are 61 words, one per second. A
// word holds the lap of its second around the ring, the millisecond of its latest reservation, and the
// amount. It counts until 60 s after its latest reservation, so an amount is never forgotten early, and at
// most one second late. "latest" is the largest time seen: a process with an older time reserves at that one,
// so all share one time line that never goes back.
//
// Reserving. First, read: does it fit? If not, nothing is changed, and the wait is computed. If it seems to
// fit, add the amounts, read again with them included, and take them back if the sum is over the rate or the
// latest second has moved meanwhile. All operations are sequentially consistent.
// Claim: admitted reservations within 60 s of each other never sum to more than the rate. Of these, take the
// one whose last addition came last. Its second read came after the additions of all others. None of them had
// expired for it (they are less than 60 s older, or newer), and none of their words had been reused for a
// later second, since whoever reuses a word moves "latest" first, which it would have seen. So its sum
// included all of them, and was not over.
// Amounts that are added and taken back make other processes see too much for a moment, never too little: one
// that is refused only for that reason tries again, a bounded number of times. A process that is killed in
// between leaves its amount behind for a minute, which is too strict by one request, never too loose. What a
// dead worker had reserved and not sent is given back (reservations.h). No process waits for another.
//
// A reservation that alone is over the rate is let in when the window is empty of its kind.
//
// Committing changes the word of the second in which it was reserved, if that still stands. Output above the
// estimate goes into the second of the commit, as streams may take longer than a window. So real usage above
// the estimate may take a window over its rate; later reservations then wait for it to pass.
//
// Learning. A learned rate counts like a configured one until another is learned; a rate of 0 or less is
// ignored. What remains until the reset is one word per kind: reservations take from it, and it is void after
// the reset. A remainder below 0, or a reset that has passed, is ignored; resets are at most an hour away. Of
// two reports about the same reset (to the second) the smaller remainder counts. A report about an earlier
// reset than the known one is outdated, unless it leaves less: then it replaces the other.
// A reservation knows by their resets which remainders it took from. While they stand, a refund gives back what
// was taken, and a commit the difference, unless the answer has reported a remainder that includes the
// request already.
//
// Time. Gaps of any length are harmless: words of earlier laps do not count. A clock that is behind "latest"
// by more than five minutes has been set back: from then on the difference is added to it, so that the window
// neither empties nor stands still. A time that is no number, negative or beyond a century counts as the
// latest.
#ifndef CC_LIMIT_H
#define CC_LIMIT_H
#include "api/shared.h"

// Gives back what the ended worker of a slot had reserved for requests that it did not send.
void cc_limit_refund_worker(uint32_t slot);

// Fills in what the last 60 s hold; zeros when there is no such limit. For tests.
void cc_limit_usage(int limit, double now_ms, struct cc_rates *used);
#endif
