// SPDX-License-Identifier: Apache-2.0
// What one pass over the body of a Messages request finds.
#ifndef CC_API_SCAN_H
#define CC_API_SCAN_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum cc_feature {         // what a body asks for
  CC_HAS_SIGNATURES = 1,  // thinking blocks with signatures in the history
  CC_HAS_PDF = 2,         // a document block that is not plain text
  CC_HAS_IMAGE_URL = 4,   // an image by URL
  CC_HAS_TOOL_FORCED = 8, // tool_choice of type any or tool
  CC_HAS_TOOLS = 16,
  CC_HAS_THINKING = 32,
  CC_HAS_CACHE_CONTROL = 64,
  CC_HAS_CACHE_SCOPE = 128, // a cache_control with a scope
  CC_HAS_SAFEGUARDS = 256   // safeguards, the server's part of Claude Code's auto mode
};

enum { CC_MODEL_BYTES = 512, CC_FILE_BYTES = 256 }; // the longest name of a model, id of a file

struct cc_scan {
  struct cc_slice model; // raw text between the quotes
  bool stream;
  uint32_t features;     // enum cc_feature, added up
  double max_tokens;     // 0 when absent
  struct cc_slice file;  // raw text of the first file_id in a content block or its source, of
                         // CC_FILE_BYTES at most
  uint32_t images;       // in base64
  double image_bytes;    // of their base64
  double document_bytes; // of documents in base64
  uint32_t error_offset; // first byte at fault
};

// Validates a text as one JSON object (RFC 8259, strict UTF-8) with one string "model" of 1 to
// CC_MODEL_BYTES, and fills in what routing needs; out's slices point into the text. Else CC_EJSON, CC_EJSON_DEPTH,
// CC_EJSON_OBJECT or CC_EMODEL, with error_offset.
int cc_scan(const char *body, uint32_t size, struct cc_scan *out);

#pragma GCC visibility pop
#endif
