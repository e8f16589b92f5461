// SPDX-License-Identifier: Apache-2.0
// Records of the most recent exchanges, and of those under way, in memory that all processes of a relay share.
// shared/ring.h explains why a reader never sees half of a record and no writer waits.
#ifndef CC_API_RECORD_H
#define CC_API_RECORD_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum {
  CC_RECORD_SLOT_BYTES = 2048, // of shared memory for each record
  CC_RECORD_CANDIDATES = 16,
  CC_RECORD_ATTEMPTS = 12,
  CC_RECORD_TEXT_BYTES = 958,
  CC_RECORDS_MOST = 1000000,
  CC_RECORD_WORKERS = 256,
  CC_RECORDS_OPEN = 256 // records of exchanges under way, for each worker
};

// A text of a record: where it begins in `text`, plus its size << 16. 0: none.
typedef uint32_t cc_record_text;

struct cc_record_candidate {
  cc_record_text key; // id of the upstream's key; the provider's name if it has none
  cc_record_text model;
  cc_record_text reason; // why it was left out; empty: it was not
  cc_record_text lack;   // the limit or feature in question
  float ready_ms;        // when it could have served, from the begin; below 0: unknown
  int32_t priority;
};

struct cc_record_attempt {
  cc_record_text key;
  cc_record_text model;
  cc_record_text error;
  cc_record_text detail;
  float at_ms;         // from the begin of the exchange
  float total_ms;      // below 0: unknown
  float first_byte_ms; // until the response head; below 0: unknown
  int16_t status;      // 0: none
  bool raced;          // cancelled because another was faster
  bool unsent;
  uint32_t span; // the last four digits of its span id; 0: it is not traced
  uint32_t none; // so that its size is a multiple of eight
};

struct cc_record {
  double number; // counts up from 0
  double at;     // cc_time() at its begin
  double total_ms;
  double first_byte_ms; // 0: none
  double queued_ms;
  double own_ms; // that the relay added to the time of the upstream; below 0: unknown
  double request_bytes;
  double response_bytes;
  double changed_bytes; // below 0: unknown
  double input_tokens;
  double output_tokens;
  double cache_read_tokens;
  double cache_write_5m_tokens;
  double cache_write_1h_tokens;
  double cost;          // below 0: unknown
  double switch_tokens; // below 0: unknown
  cc_record_text id;
  cc_record_text upstream_id; // request id that the provider gave
  cc_record_text client;
  cc_record_text group; // of the client
  cc_record_text endpoint;
  cc_record_text class_name;
  cc_record_text model;
  cc_record_text error;
  cc_record_text provider;
  cc_record_text key;
  cc_record_text sent_model;
  cc_record_text switched;
  cc_record_text trace_id;
  cc_record_text span_id;
  cc_record_text parent_span_id; // of the client's span
  uint32_t generation;           // number of the configuration in force
  int16_t status;
  int16_t worker;      // slot of the process that wrote it
  uint16_t text_bytes; // used of text
  uint8_t candidates;
  uint8_t attempts;
  bool stream;
  bool refused;
  bool usage_known;
  uint8_t tier; // enum cc_tier
  bool fast;
  bool open;
  bool cut;               // not everything had room
  uint16_t attempts_made; // with those that had no room
  char text[CC_RECORD_TEXT_BYTES];
  struct cc_record_candidate candidate[CC_RECORD_CANDIDATES];
  struct cc_record_attempt attempt[CC_RECORD_ATTEMPTS];
};

// Maps memory for the records of so many exchanges, and for those under way in so many workers. Once, before any
// fork. With count 0 nothing is kept. CC_EINVAL for more than CC_RECORDS_MOST or CC_RECORD_WORKERS, CC_ESTATE when done
// before, CC_ESYSTEM.
int cc_records_make(uint32_t count, uint32_t workers);

// How many records are kept; 0: none.
uint32_t cc_records_kept(void);

// The number that the next record gets. The latest cc_records_kept() numbers below it can be read.
double cc_records_next(void);

// Writes a record in the place of the oldest and sets its number and worker. Does nothing without
// cc_records_make.
void cc_record_write(struct cc_record *record);

// Copies the record with this number. CC_ENOTFOUND when it is not kept any more or was lost, CC_ESTATE when it is
// being written: if that is still so a second later, its writer has died.
int cc_record_read(double number, struct cc_record *out);

// The exchanges under way in the worker of this process: cc_open_write sets one of the next list, by index below
// CC_RECORDS_OPEN, cc_open_publish puts a list of so many in the place of the last.
void cc_open_write(uint32_t index, struct cc_record *record);
void cc_open_publish(uint32_t count);

// How many are in the list of a worker, and the one at an index: CC_ENOTFOUND when there is none, or when the next
// list is being written.
uint32_t cc_open_count(uint32_t worker);
int cc_open_read(uint32_t worker, uint32_t index, struct cc_record *out);

#pragma GCC visibility pop
#endif
