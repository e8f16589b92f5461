// SPDX-License-Identifier: Apache-2.0
// Secrets: what relay.h says about cc_secret and its kin, and nothing more. This page tells why it
// holds between processes, whenever one of them dies.
//
// A text is in one of a few copies; the state word names it and its version. A writer takes a copy
// that is not in use, fills it, publishes it with one compare-and-swap of the state, and wipes the
// copy that was read until then. Of two writers who publish, the later one counts. Nobody touches
// the copy of a writer who lives, so one that was away for long harms nobody: it publishes a whole
// text, or has died and left a copy that the next one takes. Readers copy out and check: a hash
// over version, expiry and text tells a whole text from one that was changed meanwhile.
//
// A copy in use has an owner word: the pid of its writer with a time far off, which is only there
// for pids that are used again; and once published, its version. Which copy is read is the state's
// word alone. So a copy may be taken when its owner has died or has published it, and the state,
// looked at after that, names another: nobody can publish it any more.
//
// A claim is the same kind of word: pid and the end of the lease. Whoever finds it over, or its
// process dead, replaces it with one compare-and-swap. It is ended by its own process only: the
// failure of one whose claim was taken over says nothing about the fetch of the other.
//
// What is told about failures is one word, and counts for the version at which they happened only:
// a new version has none, without a second store that a death could prevent.
#ifndef CC_SECRET_H
#define CC_SECRET_H
#include "api/secret.h"
#endif
