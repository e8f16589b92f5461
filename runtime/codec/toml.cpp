// SPDX-License-Identifier: Apache-2.0
// The only C++ file: Debian has no TOML parser for C. toml++ bounds no sizes, frees what it built
// recursively and searches its tables one by one, so the text is measured first. Some of its
// assertions fail on malformed text that it refuses a little later.
extern "C" {
#include "relay.h"
}
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>

#define TOML_EXCEPTIONS        0
#define TOML_MAX_NESTED_VALUES 64
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ASSERT(condition) static_cast<void>(0)
#undef NDEBUG
#include <toml++/toml.h>

namespace {

enum {
  MOST_VALUES = 65536,
  MOST_TABLES = 20000,
  MOST_MEMBERS = 16384,
  MOST_DOTS = 32,
  DEEPEST = 32
};

// A lexer that knows just enough to count values, and what makes tables: headers and dots in keys.
class Measure {
public:
  explicit Measure(std::string_view text) : text_(text) {}

  const char *fault(uint32_t &line) {
    while (at_ < text_.size() && !reason_)
      step();
    line = line_;
    return reason_;
  }

private:
  void step() {
    char c = text_[at_];
    if (c == '"' || c == '\'') return string(c);
    if (c == '#') return comment();
    at_++;
    if (c == '.') dots_++;
    if (c == '.' || (c == '[' && fresh_)) tables_++;
    if (std::strchr("=,[]{}\n", c) != nullptr) dots_ = 0;
    if (c == '=' || c == ',' || c == '[') values_++;
    fresh_ = c == '\n' || (fresh_ && (c == ' ' || c == '\t'));
    judge();
    if (c == '\n') line_++;
  }

  void judge() {
    if (values_ > MOST_VALUES) reason_ = "more than 65536 values";
    if (tables_ > MOST_TABLES) reason_ = "more than 20000 tables";
    if (dots_ > MOST_DOTS) reason_ = "a key with more than 32 dots";
  }

  void comment() {
    at_ = text_.find('\n', at_);
    if (at_ == std::string_view::npos) at_ = text_.size();
  }

  void string(char quote) {
    bool many = text_.substr(at_, 3) == std::string(3, quote);
    at_ += many ? 3 : 1;
    while (at_ < text_.size() && !closes(quote, many)) {
      if (text_[at_] == '\n' && !many) return;
      if (text_[at_] == '\n') line_++;
      at_ += text_[at_] == '\\' && quote == '"' ? 2 : 1;
    }
    at_ = std::min(text_.size(), at_ + (many ? 3 : 1));
    for (int extra = 0; many && extra < 2 && at_ < text_.size() && text_[at_] == quote; extra++)
      at_++;
  }

  bool closes(char quote, bool many) const {
    return many ? text_.substr(at_, 3) == std::string(3, quote) : text_[at_] == quote;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t values_ = 0;
  size_t tables_ = 0;
  size_t dots_ = 0;
  bool fresh_ = true; // nothing but blanks so far on this line
  const char *reason_ = nullptr;
  uint32_t line_ = 1;
};

class Writer {
public:
  bool node(const toml::node &node, int depth) {
    if (depth > DEEPEST) return refuse("values nested deeper than 32 levels", node);
    out_ += "{\"line\":" + std::to_string(node.source().begin.line) + ",";
    bool fits = true;
    if (const toml::table *table = node.as_table())
      fits = members(*table, depth);
    else if (const toml::array *array = node.as_array())
      fits = items(*array, depth);
    else
      scalar(node);
    out_ += '}';
    return fits;
  }

  const std::string &text() const {
    return out_;
  }
  const char *reason() const {
    return reason_;
  }
  uint32_t line() const {
    return line_;
  }

private:
  bool refuse(const char *reason, const toml::node &node) {
    reason_ = reason;
    line_ = node.source().begin.line;
    return false;
  }

  bool members(const toml::table &table, int depth) {
    if (table.size() > MOST_MEMBERS) return refuse("more than 16384 members", table);
    out_ += "\"table\":{";
    const char *comma = "";
    for (auto &&[key, value] : table) {
      out_ += comma;
      comma = ",";
      string(key.str());
      out_ += ':';
      if (!node(value, depth + 1)) return false;
    }
    out_ += '}';
    return true;
  }

  bool items(const toml::array &array, int depth) {
    if (array.size() > MOST_MEMBERS) return refuse("more than 16384 members", array);
    out_ += "\"list\":[";
    const char *comma = "";
    for (auto &&item : array) {
      out_ += comma;
      comma = ",";
      if (!node(item, depth + 1)) return false;
    }
    out_ += ']';
    return true;
  }

  void scalar(const toml::node &node) {
    if (const auto *text = node.as_string()) return typed("string", text->get());
    if (const auto *whole = node.as_integer())
      return typed("integer", std::to_string(whole->get()));
    if (const auto *number = node.as_floating_point()) return typed("float", real(number->get()));
    if (const auto *flag = node.as_boolean())
      return typed("boolean", flag->get() ? "true" : "false");
    std::ostringstream date;
    if (const auto *day = node.as_date()) date << day->get();
    if (const auto *time = node.as_time()) date << time->get();
    if (const auto *both = node.as_date_time()) date << both->get();
    typed("date", date.str());
  }

  static std::string real(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.17g", value);
    return text;
  }

  void typed(const char *type, std::string_view text) {
    out_ += std::string("\"type\":\"") + type + "\",\"text\":";
    string(text);
  }

  void string(std::string_view text) {
    out_ += '"';
    for (char c : text) {
      char code[8];
      snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
      if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\')
        out_ += code;
      else
        out_ += c;
    }
    out_ += '"';
  }

  std::string out_;
  const char *reason_ = nullptr;
  uint32_t line_ = 0;
};

int give(int status, std::string_view text, char **out, uint32_t *out_size) {
  *out = static_cast<char *>(std::malloc(text.size() + 1));
  if (*out == nullptr) std::abort();
  std::memcpy(*out, text.data(), text.size());
  (*out)[text.size()] = '\0';
  *out_size = static_cast<uint32_t>(text.size());
  return status;
}

} // namespace

extern "C" int cc_toml(const char *text, uint32_t size, char **out, uint32_t *out_size,
                       uint32_t *line) {
  std::string_view view(text, size);
  *line = 0;
  if (const char *fault = Measure(view).fault(*line)) return give(CC_ELIMIT, fault, out, out_size);
  *line = 0;
  toml::parse_result result = toml::parse(view);
  if (!result) {
    *line = result.error().source().begin.line;
    return give(CC_EINVAL, result.error().description(), out, out_size);
  }
  Writer writer;
  if (!writer.node(result.table(), 0)) {
    *line = writer.line();
    return give(CC_ELIMIT, writer.reason(), out, out_size);
  }
  return give(CC_OK, writer.text(), out, out_size);
}
