// SPDX-License-Identifier: Apache-2.0
#include "codec/usage.h"
#include "api/error.h"

// The figures of one usage object; a figure is present when its bit is set.
struct figures {
  unsigned known;
  double value[6];
  int tier; // -1: unknown, as for fast
  int fast;
};

// Counters add the figures up for as long as the relay runs: one that no answer can have would spoil them.
static const double MOST_TOKENS = 1e9;

enum { INPUT, OUTPUT, CACHE_READ, CACHE_MADE, CACHE_5M, CACHE_1H };

static const char *const names[] = {
    [INPUT] = "input_tokens",
    [OUTPUT] = "output_tokens",
    [CACHE_READ] = "cache_read_input_tokens",
    [CACHE_MADE] = "cache_creation_input_tokens",
    [CACHE_5M] = "ephemeral_5m_input_tokens",
    [CACHE_1H] = "ephemeral_1h_input_tokens",
};

static bool knows(const struct figures *figures, int figure) {
  return figures->known >> figure & 1;
}

static bool is_object(struct cc_slice value) {
  return value.data[0] == '{';
}

static void read_figure(struct figures *figures, const struct cc_json_member *member, int first,
                        int last) {
  char c = member->value.data[0];
  for (int i = first; i <= last; i++) {
    if (!cc_json_is(member->key, names[i])) continue;
    double value;
    bool number = c >= '0' && c <= '9' && cc_json_whole(member->value, &value);
    if (!number || value > MOST_TOKENS) continue;
    figures->value[i] = value;
    figures->known |= 1u << i;
  }
}

// Starts reading the members of an object that is known to be valid.
static void enter(struct cc_json *json, struct cc_slice object) {
  cc_json_init(json, object.data, object.size);
  cc_json_next(json);
}

static void read_cache_creation(struct figures *figures, struct cc_slice object) {
  struct cc_json json;
  struct cc_json_member member;
  enter(&json, object);
  while (cc_json_next_member(&json, &member) == CC_JSON_KEY)
    read_figure(figures, &member, CACHE_5M, CACHE_1H);
}

// A word that is not known, or null, leaves what was read before.
static void read_service(struct figures *figures, const struct cc_json_member *member) {
  static const char *const tiers[] = {
      [CC_STANDARD] = "standard", [CC_PRIORITY] = "priority", [CC_BATCH] = "batch"};
  if (member->value.data[0] != '"') return;
  if (cc_json_is(member->key, "service_tier"))
    for (int tier = CC_STANDARD; tier <= CC_BATCH; tier++)
      if (cc_json_is(member->value, tiers[tier])) figures->tier = tier;
  if (cc_json_is(member->key, "speed")) figures->fast = cc_json_is(member->value, "fast");
}

static void read_usage(struct figures *figures, struct cc_slice object) {
  struct cc_json json;
  struct cc_json_member member;
  enter(&json, object);
  while (cc_json_next_member(&json, &member) == CC_JSON_KEY) {
    read_figure(figures, &member, INPUT, CACHE_MADE);
    read_service(figures, &member);
    if (cc_json_is(member.key, "cache_creation") && is_object(member.value))
      read_cache_creation(figures, member.value);
  }
}

static void read_message(struct figures *figures, struct cc_slice object) {
  struct cc_json json;
  struct cc_json_member member;
  enter(&json, object);
  while (cc_json_next_member(&json, &member) == CC_JSON_KEY)
    if (cc_json_is(member.key, "usage") && is_object(member.value))
      read_usage(figures, member.value);
}

static void apply(const struct figures *figures, struct cc_usage *usage) {
  const double *value = figures->value;
  if (knows(figures, INPUT)) usage->input = value[INPUT];
  if (knows(figures, OUTPUT)) usage->output = value[OUTPUT];
  if (knows(figures, CACHE_READ)) usage->cache_read = value[CACHE_READ];
  if (knows(figures, CACHE_5M)) usage->cache_5m = value[CACHE_5M];
  if (knows(figures, CACHE_1H)) usage->cache_1h = value[CACHE_1H];
  if (figures->tier >= 0) usage->tier = (uint8_t)figures->tier;
  if (figures->fast >= 0) usage->fast = figures->fast > 0;
  if (!knows(figures, CACHE_MADE)) return;
  double made = value[CACHE_MADE];
  bool split = knows(figures, CACHE_5M) || knows(figures, CACHE_1H);
  if (!split && usage->cache_1h > made) usage->cache_1h = made;
  if (!split || usage->cache_5m + usage->cache_1h < made) usage->cache_5m = made - usage->cache_1h;
}

// The members at the top of an answer.
struct answer {
  struct figures figures;
  struct cc_slice type; // a text with quotes, or empty
  bool typed;           // has a type of any kind but null
  bool error;           // "error" is an object
  bool content;         // "content" is a list
  bool count;           // "input_tokens" is a number
};

static void read_member(struct answer *answer, const struct cc_json_member *member) {
  struct cc_slice value = member->value;
  char first = value.data[0];
  if (cc_json_is(member->key, "type")) {
    answer->typed = first != 'n';
    answer->type = first == '"' ? value : cc_slice("", 0);
  }
  if (cc_json_is(member->key, "error")) answer->error = first == '{';
  if (cc_json_is(member->key, "content")) answer->content = first == '[';
  if (cc_json_is(member->key, "input_tokens")) answer->count = first >= '0' && first <= '9';
  if (first != '{') return;
  if (cc_json_is(member->key, "usage")) read_usage(&answer->figures, value);
  if (cc_json_is(member->key, "message")) read_message(&answer->figures, value);
}

// False when text is not one JSON object; out has then what could be read. Clients skip a BOM.
static bool read_answer(struct cc_slice text, struct answer *out) {
  struct cc_json json;
  struct cc_json_member member;
  int token;
  *out = (struct answer){.figures = {.tier = -1, .fast = -1}};
  uint32_t bom = text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  cc_json_init(&json, text.data + bom, text.size - bom);
  if (cc_json_next(&json) != CC_JSON_OBJECT) return false;
  while ((token = cc_json_next_member(&json, &member)) == CC_JSON_KEY)
    read_member(out, &member);
  return token > 0 && cc_json_next(&json) == CC_JSON_END;
}

bool cc_usage_read(struct cc_slice text, struct cc_usage *usage) {
  struct answer answer;
  if (!read_answer(text, &answer)) return false;
  apply(&answer.figures, usage);
  return answer.figures.known != 0;
}

static bool is_error(const struct answer *answer) {
  return answer->type.size && cc_json_is(answer->type, "error");
}

// Some gateways leave the type out of a message; clients do not need it.
static bool is_asked_for(const struct answer *answer, enum cc_success success) {
  if (success == CC_SUCCESS_OBJECT) return true;
  if (success == CC_SUCCESS_COUNT) return answer->count;
  if (!answer->typed) return answer->content;
  return answer->type.size && cc_json_is(answer->type, "message");
}

int cc_usage_judge(struct cc_slice text, enum cc_success success, struct cc_usage *usage,
                   bool *known) {
  struct answer answer;
  if (!read_answer(text, &answer)) return CC_ENOTJSON;
  if (is_error(&answer) && answer.error) return CC_ESTREAM_ERROR;
  if (!is_asked_for(&answer, success)) return CC_ENOMESSAGE;
  apply(&answer.figures, usage);
  *known |= answer.figures.known != 0;
  return CC_OK;
}

int cc_usage_judge_start(struct cc_slice text, enum cc_success success) {
  struct answer answer;
  read_answer(text, &answer);
  if (is_error(&answer)) return CC_ESTREAM_ERROR;
  bool undecided = success != CC_SUCCESS_MESSAGE || !answer.typed;
  return undecided || is_asked_for(&answer, success) ? CC_OK : CC_ENOMESSAGE;
}
