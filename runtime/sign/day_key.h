// SPDX-License-Identifier: Apache-2.0
// The signing keys of AWS Signature Version 4. A key depends on secret key, day, region and service, so each thread
// keeps the few it used last.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key
#ifndef CC_SIGN_DAY_KEY_H
#define CC_SIGN_DAY_KEY_H
#include "sign/digest.h"

enum { CC_DAY_KEYS = 16, CC_DAY = 8 }; // a day is 8 digits, "20150830"

// Writes the key to out, which the caller wipes. A kept key is wiped when 16 others were used after it, when a key of
// another day is derived, and by cc_sign_forget (api/crypto.h).
void cc_day_key(const struct cc_signer *signer, const char day[CC_DAY],
                uint8_t out[CC_DIGEST_SIZE]);

// For tests: the number of keys that this thread has derived, and of those that it keeps.
unsigned cc_day_keys_derived(void);
unsigned cc_day_keys_kept(void);
#endif
