// SPDX-License-Identifier: Apache-2.0
// Secrets in shared memory (api/secret.h), and why they hold whichever process dies.
//
// A text is in one of a few copies; the state word names it and its version. A writer takes a copy that is
// not in use, fills it, publishes it with one compare-and-swap of the state, and wipes the copy that was read
// until then. Of two writers, the one that publishes last counts. Nobody touches the copy of a living writer,
// so one that was stopped for long does no harm: it publishes a whole text, or it has died and left a copy
// that the next writer takes. Readers copy out and check: a hash over version, expiry and text tells a whole
// text from one that changed meanwhile.
//
// A copy in use has an owner word: the pid of its writer with a time far off, which only matters when pids
// are used again; once published, its version. Which copy is read depends on the state word alone. So a copy
// may be taken when its owner has died or has published it, and the state, read after that, names another
// one: then nobody can publish it any more.
//
// A claim is the same kind of word: a pid and the end of the lease. A process that finds it expired, or its
// owner dead, replaces it with one compare-and-swap. Only its own process ends it: the failure of a process
// whose claim was taken over says nothing about the fetch of the other.
//
// Failures are one word that counts for the version at which they happened: a new version has none, without
// a second store that a death could prevent.
#ifndef CC_SECRET_H
#define CC_SECRET_H
#include "api/secret.h"
#endif
