// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"
#include "api/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/edit_model.h"
#include <cmocka.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// Operations as text: "field=json" sets, "field" removes, "-path" removes at a path.
static int ask(struct cc_edits *edits, const char *text, const char *op) {
  const char *equals = strchr(op, '=');
  size_t size = strlen(text);
  if (*op == '-') return cc_edits_remove_path(edits, text, size, cc_slice_text(op + 1));
  if (!equals) return cc_edits_remove(edits, text, size, cc_slice_text(op));
  return cc_edits_set(edits, text, size, cc_slice(op, (size_t)(equals - op)),
                      cc_slice_text(equals + 1));
}

static void expect(const char *text, const char *const *ops, const char *expected) {
  struct cc_edits edits = {0};
  struct cc_buffer view = {0};
  for (size_t i = 0; i < 6 && ops[i]; i++)
    assert_int_equal(ask(&edits, text, ops[i]), CC_OK);
  assert_null(model_view(&edits, cc_slice_text(text), &view));
  cc_buffer_add(&view, "", 1);
  assert_string_equal(view.data, expected);
  cc_buffer_free(&view);
  cc_edits_free(&edits);
}

static void splices_exactly(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *ops[6];
    const char *expected;
  } cases[] = {
      // Setting what is there changes the value alone.
      {"{ \"a\" : 1 , \"b\" : 2 }", {"a=\"x\""}, "{ \"a\" : \"x\" , \"b\" : 2 }"},
      {"{\"a\":1,\"b\":[1, 2]}", {"b={}"}, "{\"a\":1,\"b\":{}}"},
      {"{\"mod\\u0065l\":\"a\"}", {"model=\"b\""}, "{\"mod\\u0065l\":\"b\"}"},
      {"{\"x\":{\"a\":1},\"a\":2}", {"a=3"}, "{\"x\":{\"a\":1},\"a\":3}"},
      {"{\"a\":1e2,\"b\":1.0}", {"b=1"}, "{\"a\":1e2,\"b\":1}"},
      // Adding.
      {"{}", {"a=1"}, "{\"a\":1}"},
      {" {\n} ", {"a=1"}, " {\"a\":1\n} "},
      {"{ \"a\": 1 }", {"b=2"}, "{ \"a\": 1,\"b\":2 }"},
      {"{}", {"a=1", "b=2"}, "{\"a\":1,\"b\":2}"},
      {"{}", {"q\"\n=1"}, "{\"q\\\"\\n\":1}"},
      // Removing takes one comma.
      {"{\"a\":1}", {"a"}, "{}"},
      {"{ \"a\":1 }", {"a"}, "{  }"},
      {"{\"a\":1,\"b\":2}", {"a"}, "{\"b\":2}"},
      {"{\"a\":1,\"b\":2}", {"b"}, "{\"a\":1}"},
      {"{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", {"a"}, "{\n  \"b\": 2,\n  \"c\": 3\n}"},
      {"{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", {"b"}, "{\n  \"a\": 1,\n  \"c\": 3\n}"},
      {"{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", {"c"}, "{\n  \"a\": 1,\n  \"b\": 2\n}"},
      {"{\"a\":1 , \"b\":2 , \"c\":3}", {"b"}, "{\"a\":1 , \"c\":3}"},
      {"{\"a\":1}", {"b"}, "{\"a\":1}"},
      // Neighbours, in every order.
      {"{\"a\":1,\"b\":2,\"c\":3}", {"a", "b"}, "{\"c\":3}"},
      {"{\"a\":1,\"b\":2,\"c\":3}", {"b", "a"}, "{\"c\":3}"},
      {"{\"a\":1,\"b\":2,\"c\":3}", {"b", "c"}, "{\"a\":1}"},
      {"{\"a\":1,\"b\":2,\"c\":3}", {"c", "b"}, "{\"a\":1}"},
      {"{\"a\":1,\"b\":2,\"c\":3}", {"a", "c"}, "{\"b\":2}"},
      {"{\"a\":1, \"b\":2, \"c\":3}", {"c", "a", "b"}, "{}"},
      {"{ \"a\":1, \"b\":2, \"c\":3 }", {"b", "a", "c"}, "{  }"},
      // Together with additions.
      {"{\"a\":1}", {"a", "b=2"}, "{\"b\":2}"},
      {"{\"a\":1}", {"b=2", "a"}, "{\"b\":2}"},
      {"{\"a\":1,\"b\":2}", {"c=3", "b", "d=4"}, "{\"a\":1,\"c\":3,\"d\":4}"},
      {"{\"a\":1,\"b\":2}", {"b", "a", "c=3", "d=4"}, "{\"c\":3,\"d\":4}"},
      {"{\"a\":1,\"b\":2,\"c\":3}", {"c", "b=9", "d=4"}, "{\"a\":1,\"b\":9,\"d\":4}"},
      {"{\"a\":1,\"b\":2}", {"b=3", "a"}, "{\"b\":3}"},
      // Again for the same field.
      {"{\"a\":1}", {"a=2", "a=3"}, "{\"a\":3}"},
      {"{\"a\":1}", {"a", "a=3"}, "{\"a\":3}"},
      {"{\"a\":1}", {"a=3", "a"}, "{}"},
      {"{}", {"a=1", "a"}, "{}"},
      {"{}", {"a=1", "b=2", "a=3"}, "{\"a\":3,\"b\":2}"},
      // Doubled members.
      {"{\"a\":1,\"b\":2,\"a\":3}", {"a=4"}, "{\"a\":4,\"b\":2}"},
      {"{\"a\":1,\"b\":2,\"a\":3}", {"a"}, "{\"b\":2}"},
      {"{\"a\":1,\"\\u0061\":2,\"a\":3}", {"a=4"}, "{\"a\":4}"},
      {"{\"a\":1,\"a\":2,\"b\":0,\"a\":3,\"a\":4}", {"a"}, "{\"b\":0}"},
      {"{\"a\":1,\"b\":2,\"a\":3,\"b\":4}", {"b", "a=5"}, "{\"a\":5}"},
      {"{\"a\":1,\"b\":2,\"b\":3}", {"c=4"}, "{\"a\":1,\"b\":2,\"b\":3,\"c\":4}"},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect(cases[i].text, cases[i].ops, cases[i].expected);
}

static void removes_at_paths(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *ops[6];
    const char *expected;
  } cases[] = {
      {"{\"a\":1,\"b\":2}", {"-a"}, "{\"b\":2}"},
      {"{\"o\":{\"a\":1,\"b\":2},\"a\":3}", {"-o.a"}, "{\"o\":{\"b\":2},\"a\":3}"},
      {"{ \"o\" : { \"a\" : 1 , \"b\" : 2 } }", {"-o.b"}, "{ \"o\" : { \"a\" : 1 } }"},
      {"{\"o\":{\"a\":{\"b\":{\"c\":1,\"d\":2}}}}",
       {"-o.a.b.d"},
       "{\"o\":{\"a\":{\"b\":{\"c\":1}}}}"},
      {"{\"o\":{\"a\":1}}", {"-o.a"}, "{\"o\":{}}"},
      {"{\"o\":{\"\\u0061\":1}}", {"-o.a"}, "{\"o\":{}}"},
      // Every item of an array.
      {"{\"l\":[{\"a\":1,\"b\":2},{\"b\":3},{\"b\":4,\"a\":5}]}",
       {"-l[].a"},
       "{\"l\":[{\"b\":2},{\"b\":3},{\"b\":4}]}"},
      {"{\"l\":[[{\"a\":1}],{\"a\":2}]}", {"-l[][].a"}, "{\"l\":[[{}],{\"a\":2}]}"},
      {"{\"l\":[{\"m\":[{\"c\":{\"s\":1,\"t\":2}}, 7, \"c\"]}, null]}",
       {"-l[].m[].c.s"},
       "{\"l\":[{\"m\":[{\"c\":{\"t\":2}}, 7, \"c\"]}, null]}"},
      // Where a path leads nowhere.
      {"{\"o\":{\"a\":1}}", {"-o.b", "-p.a", "-o[].a", "-o.a.x"}, "{\"o\":{\"a\":1}}"},
      {"{\"o\":[{\"a\":1}],\"p\":\"a\",\"q\":null}",
       {"-o.a", "-p.a", "-q.a"},
       "{\"o\":[{\"a\":1}],\"p\":\"a\",\"q\":null}"},
      {"{}", {"-o.a"}, "{}"},
      // Several in one object, in any order: one comma each.
      {"{\"o\":{\"a\":1,\"b\":2,\"c\":3}}", {"-o.a", "-o.b"}, "{\"o\":{\"c\":3}}"},
      {"{\"o\":{\"a\":1,\"b\":2,\"c\":3}}", {"-o.c", "-o.b"}, "{\"o\":{\"a\":1}}"},
      {"{\"o\":{\"a\":1, \"b\":2, \"c\":3}}", {"-o.c", "-o.a", "-o.b"}, "{\"o\":{}}"},
      {"{\"o\":{\"a\":1,\"b\":2,\"a\":3}}", {"-o.a", "-o.a"}, "{\"o\":{\"b\":2}}"},
      {"{\"o\":{\"a\":{\"b\":1},\"c\":2}}", {"-o.a", "-o.a.b"}, "{\"o\":{\"c\":2}}"},
      {"{\"o\":{\"a\":{\"b\":1},\"c\":2}}", {"-o.a.b", "-o.c"}, "{\"o\":{\"a\":{}}}"},
      // Together with edits of top-level members.
      {"{\"x\":1,\"o\":{\"a\":1,\"b\":2},\"y\":2}",
       {"x", "-o.a", "y", "z=3"},
       "{\"o\":{\"b\":2},\"z\":3}"},
      {"{\"o\":{\"a\":1}}", {"-o.a", "o"}, "{}"},
      {"{\"o\":{\"a\":1}}", {"o", "-o.a"}, "{}"},
      {"{\"o\":{\"a\":1}}", {"-o.a", "o={\"a\":2}"}, "{\"o\":{\"a\":2}}"},
      {"{\"o\":{\"a\":1}}", {"o={\"a\":2, \"b\":3}", "-o.a"}, "{\"o\":{\"b\":3}}"},
      {"{\"x\":1}",
       {"o=[{\"a\":2},{\"a\":3,\"b\":4}]", "-o[].a"},
       "{\"x\":1,\"o\":[{},{\"b\":4}]}"},
      {"{\"o\":{\"a\":1},\"o\":{\"a\":2,\"b\":3}}", {"-o.a"}, "{\"o\":{},\"o\":{\"b\":3}}"},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect(cases[i].text, cases[i].ops, cases[i].expected);
}

static void refuses_what_is_no_path(void **state) {
  (void)state;
  static const char text[] = "{\"a\":{\"b\":1}}";
  static const char *const wrong[] = {"",
                                      ".",
                                      "a.",
                                      ".a",
                                      "a..b",
                                      "[]",
                                      "a[]",
                                      "a.b[]",
                                      "[].a",
                                      "a.\xff",
                                      "a[].",
                                      "a.[]",
                                      "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"};
  struct cc_edits edits = {0};
  for (size_t i = 0; i < COUNT(wrong); i++)
    assert_int_equal(cc_edits_remove_path(&edits, text, sizeof text - 1, cc_slice_text(wrong[i])),
                     CC_EINVAL);
  assert_int_equal(cc_edits_remove_path(&edits, "[1]", 3, cc_slice_text("a.b")), CC_EINVAL);
  char path[16];
  for (int i = 0; i < 64; i++) {
    snprintf(path, sizeof path, "a.b%d", i);
    assert_int_equal(cc_edits_remove_path(&edits, text, sizeof text - 1, cc_slice_text(path)),
                     CC_OK);
  }
  assert_int_equal(cc_edits_remove_path(&edits, text, sizeof text - 1, cc_slice_text("a.b")),
                   CC_ELIMIT);
  assert_int_equal(cc_edits_remove_path(&edits, text, sizeof text - 1, cc_slice_text("a.b0")),
                   CC_OK);
  assert_int_equal(cc_edits_changed(&edits), 0);
  cc_edits_free(&edits);
}

// Only the removed bytes count, however long the member around them is.
static void counts_what_a_path_removes(void **state) {
  (void)state;
  static const char text[] = "{\"m\":[{\"c\":{\"scope\":1,\"t\":2}},\"xxxxxxxxxxxxxxxxxxxx\"]}";
  struct cc_edits edits = {0};
  assert_int_equal(ask(&edits, text, "-m[].c.scope"), CC_OK);
  assert_int_equal(cc_edits_changed(&edits), strlen("\"scope\":1,"));
  cc_edits_free(&edits);
}

static void counts_changed_bytes(void **state) {
  (void)state;
  static const char text[] = "{\"model\":\"a\",\"stream\":true}";
  struct cc_edits edits = {0};
  assert_int_equal(cc_edits_changed(&edits), 0);
  assert_int_equal(cc_edits_size(&edits, sizeof text - 1), sizeof text - 1);
  assert_int_equal(ask(&edits, text, "model=\"a\""), CC_OK);
  assert_int_equal(cc_edits_changed(&edits), 0);
  assert_int_equal(ask(&edits, text, "none"), CC_OK);
  assert_int_equal(cc_edits_changed(&edits), 0);
  assert_int_equal(ask(&edits, text, "model=\"abc\""), CC_OK);
  assert_int_equal(cc_edits_changed(&edits), 3 + 5);
  assert_int_equal(ask(&edits, text, "stream"), CC_OK);
  assert_int_equal(cc_edits_changed(&edits), 3 + 5 + strlen(",\"stream\":true"));
  cc_edits_free(&edits);
  assert_int_equal(cc_edits_size(&edits, 9), 9);
}

static void refuses_nonsense(void **state) {
  (void)state;
  static const char text[] = "{\"a\":1}";
  static const char *const not_json[] = {"",   " ",        "x",         "1 2", "{",
                                         "\"", "\"\xff\"", "1,\"b\":2", "1}"};
  static const char *const no_object[] = {"", "[1]", "7", "{", "{\"a\":1", "{\"a\":1}}", "x"};
  struct cc_edits edits = {0};
  struct cc_slice one = cc_slice_text("1"), field = cc_slice_text("a");
  for (size_t i = 0; i < COUNT(not_json); i++)
    assert_int_equal(cc_edits_set(&edits, text, sizeof text - 1, field, cc_slice_text(not_json[i])),
                     CC_EJSON);
  for (size_t i = 0; i < COUNT(no_object); i++) {
    size_t size = strlen(no_object[i]);
    assert_int_equal(cc_edits_set(&edits, no_object[i], size, field, one), CC_EINVAL);
    assert_int_equal(cc_edits_remove(&edits, no_object[i], size, field), CC_EINVAL);
  }
  static const char *const not_names[] = {"", "\xff", "a\xc3", "\xed\xa0\x80"};
  for (size_t i = 0; i < COUNT(not_names); i++) {
    struct cc_slice name = cc_slice_text(not_names[i]);
    assert_int_equal(cc_edits_set(&edits, text, sizeof text - 1, name, one), CC_EINVAL);
    assert_int_equal(cc_edits_remove(&edits, text, sizeof text - 1, name), CC_EINVAL);
  }
  assert_int_equal(cc_edits_size(&edits, sizeof text - 1), sizeof text - 1);
  cc_edits_free(&edits);
}

// A value as deep as JSON may be is one too deep inside an object.
static void keeps_depth(void **state) {
  (void)state;
  char deep[2 * CC_JSON_DEPTH];
  memset(deep, '[', CC_JSON_DEPTH);
  memset(deep + CC_JSON_DEPTH, ']', CC_JSON_DEPTH);
  struct cc_edits edits = {0};
  struct cc_slice field = cc_slice_text("a");
  assert_true(cc_json_valid(deep, sizeof deep));
  assert_int_equal(cc_edits_set(&edits, "{}", 2, field, cc_slice(deep, sizeof deep)),
                   CC_EJSON_DEPTH);
  struct cc_slice less = cc_slice(deep + 1, sizeof deep - 2);
  assert_int_equal(cc_edits_set(&edits, "{}", 2, field, less), CC_OK);
  struct cc_buffer view = {0};
  assert_null(model_view(&edits, cc_slice_text("{}"), &view));
  assert_true(cc_json_valid(view.data, (uint32_t)view.size));
  cc_buffer_free(&view);
  cc_edits_free(&edits);
}

// A refused edit leaves the earlier ones as they are.
static void survives_refusals(void **state) {
  (void)state;
  static const char text[] = "{\"a\":1}";
  struct cc_edits edits = {0};
  struct cc_buffer view = {0};
  assert_int_equal(ask(&edits, text, "a=2"), CC_OK);
  assert_int_equal(ask(&edits, text, "a=x"), CC_EJSON);
  assert_null(model_view(&edits, cc_slice_text(text), &view));
  assert_memory_equal(view.data, "{\"a\":2}", 7);
  cc_buffer_free(&view);
  cc_edits_free(&edits);
}

// ---- Properties --------------------------------------------------------------------------------

static uint32_t seed = 1;

static uint32_t pick(uint32_t limit) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed % limit;
}

static void add_space(struct cc_buffer *text) {
  static const char *const spaces[] = {"", "", "", " ", "\n", "\r\n  ", "\t"};
  cc_buffer_add_text(text, spaces[pick(COUNT(spaces))]);
}

static const char *const values[] = {"1",        "\"x\"",       "[]",   "{\"a\":{\"b\":[1]}}",
                                     "\"a,b}\"", "[1, 2]",      "null", "-1.5e+7",
                                     "\"\\\"\"", "\"\\ud83d\"", "{}",   "[{\"model\":1}]"};

static void make_object(struct cc_buffer *text, uint32_t members) {
  static const char *const keys[] = {"a", "b",   "c",        "mod\\u0065l", "model", "\\u0061",
                                     "",  "x y", "\xc3\xa4", "\\u00e4",     "stream"};
  add_space(text);
  cc_buffer_add_text(text, "{");
  for (uint32_t i = 0; i < members; i++) {
    if (i) cc_buffer_add_text(text, ",");
    add_space(text);
    cc_buffer_printf(text, "\"%s\"", keys[pick(COUNT(keys))]);
    add_space(text);
    cc_buffer_add_text(text, ":");
    add_space(text);
    cc_buffer_add_text(text, values[pick(COUNT(values))]);
    add_space(text);
  }
  if (!members) add_space(text);
  cc_buffer_add_text(text, "}");
  add_space(text);
}

static void check_random(uint32_t members) {
  static const char *const fields[] = {"a", "b", "c", "model", "\xc3\xa4", "stream", "new", "n\"2"};
  struct model_op ops[8];
  uint32_t count = 1 + pick(8);
  for (uint32_t i = 0; i < count; i++) {
    ops[i].remove = pick(2);
    ops[i].field = cc_slice_text(fields[pick(COUNT(fields))]);
    ops[i].json = cc_slice_text(values[pick(COUNT(values))]);
  }
  struct cc_buffer text = {0};
  make_object(&text, members);
  const char *fault = model_check(cc_slice(text.data, text.size), ops, count);
  if (fault) {
    for (uint32_t i = 0; i < count; i++)
      print_error("%s %.*s %.*s\n", ops[i].remove ? "remove" : "set", (int)ops[i].field.size,
                  ops[i].field.data, (int)ops[i].json.size, ops[i].json.data);
    fail_msg("%s: %.*s", fault, (int)text.size, text.data);
  }
  cc_buffer_free(&text);
}

static void behaves_like_the_model(void **state) {
  (void)state;
  for (int i = 0; i < 20000; i++)
    check_random(pick(7));
}

// No string of these texts has white space in it.
static size_t strip_space(struct cc_buffer *text) {
  size_t kept = 0;
  for (size_t i = 0; i < text->size; i++)
    if (!strchr(" \t\r\n", text->data[i])) text->data[kept++] = text->data[i];
  text->size = kept;
  return kept;
}

// A text of objects and arrays within each other, with the names a to c.
static void make_nested(struct cc_buffer *text, uint32_t depth) {
  static const char *const leaves[] = {"1", "\"a\"", "null", "{}", "[]"};
  uint32_t count = pick(4);
  bool object = depth == 4 || pick(2);
  if (!depth) {
    cc_buffer_add_text(text, leaves[pick(COUNT(leaves))]);
    return;
  }
  cc_buffer_add_text(text, object ? "{" : "[");
  for (uint32_t i = 0; i < count; i++) {
    if (i) cc_buffer_add_text(text, ",");
    add_space(text);
    if (object) cc_buffer_printf(text, "\"%c\":", (char)('a' + pick(3)));
    make_nested(text, depth - 1);
    add_space(text);
  }
  cc_buffer_add_text(text, object ? "}" : "]");
}

static void remove_all(struct cc_slice text, const char *const *paths, size_t count,
                       struct cc_buffer *view) {
  struct cc_edits edits = {0};
  for (size_t i = 0; i < count; i++) {
    struct cc_slice path = cc_slice_text(paths[i]);
    assert_int_equal(cc_edits_remove_path(&edits, text.data, text.size, path), CC_OK);
  }
  assert_null(model_view(&edits, text, view));
  assert_true(cc_json_valid(view->data, (uint32_t)view->size));
  cc_edits_free(&edits);
}

// Whatever the text: it stays JSON, a second time there is nothing left to remove, and the paths
// one after the other come to the same as all at once, but for white space.
static void removes_what_paths_lead_to(void **state) {
  (void)state;
  static const char *const paths[] = {"a.b", "a.a", "a[].b", "a[].c.a", "b.a.c", "c[][].a", "b.c"};
  for (int round = 0; round < 20000; round++) {
    struct cc_buffer text = {0}, view = {0}, again = {0}, step = {0};
    make_nested(&text, 4);
    size_t from = pick(COUNT(paths)), count = 1 + pick((uint32_t)(COUNT(paths) - from));
    remove_all(cc_slice(text.data, text.size), paths + from, count, &view);
    remove_all(cc_slice(view.data, view.size), paths + from, count, &again);
    assert_int_equal(view.size, again.size);
    for (size_t i = from; i < from + count; i++) {
      cc_buffer_clear(&step);
      remove_all(cc_slice(text.data, text.size), paths + i, 1, &step);
      cc_buffer_clear(&text);
      cc_buffer_add(&text, step.data, step.size);
    }
    assert_int_equal(strip_space(&view), strip_space(&text));
    assert_memory_equal(view.data, text.data, view.size);
    cc_buffer_free(&text);
    cc_buffer_free(&view);
    cc_buffer_free(&again);
    cc_buffer_free(&step);
  }
}

// Around the number of members that are remembered, and far beyond it.
static void takes_many_members(void **state) {
  (void)state;
  for (uint32_t members = 250; members < 262; members++)
    for (int i = 0; i < 5; i++)
      check_random(members);
  check_random(5000);
}

// Each removed member stands alone: as many edits as can be.
static void takes_many_edits(void **state) {
  (void)state;
  struct cc_buffer text = {0};
  cc_buffer_add_text(&text, "{\"b\":0");
  for (int i = 0; i < 3000; i++)
    cc_buffer_add_text(&text, ",\"a\":1,\"b\":0");
  cc_buffer_add_text(&text, "}");
  struct model_op ops[] = {{true, cc_slice_text("a"), {0}}};
  assert_null(model_check(cc_slice(text.data, text.size), ops, 1));
  cc_buffer_free(&text);
}

static void takes_a_member_out(void **state) {
  (void)state;
  static const struct {
    const char *text, *field, *expected;
  } cases[] = {
      {"{\"a\":1,\"model\":\"m\",\"b\":[2, 3]}", "model", "{\"a\":1,\"b\":[2, 3]}"},
      {" {\"mod\\u0065l\" : 1}\n", "model", " {}\n"},
      {"{\"a\":1, \"b\":2, \"a\":{\"a\":3}}", "a", "{\"b\":2}"},
      {"{ \"x\":{\"a\":1} }", "a", "{ \"x\":{\"a\":1} }"},
      {"{}", "a", "{}"},
      {"{\"o\":[{\"a\":1,\"b\":2}]}", "o[].a", "{\"o\":[{\"b\":2}]}"},
  };
  char *out;
  uint32_t size;
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct cc_slice text = cc_slice_text(cases[i].text), field = cc_slice_text(cases[i].field);
    assert_int_equal(cc_json_without(text.data, text.size, field.data, field.size, &out, &size),
                     CC_OK);
    assert_int_equal(size, strlen(cases[i].expected));
    assert_memory_equal(out, cases[i].expected, size);
    cc_free(out);
  }
  static const char *const wrong[] = {"",           "[]",    "1",        "{\"a\":1",
                                      "{\"a\":1,}", "{} {}", "{\"b\":x}"};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    uint32_t given = (uint32_t)strlen(wrong[i]);
    out = (char *)"left";
    assert_int_equal(cc_json_without(wrong[i], given, "a", 1, &out, &size), CC_EJSON);
    assert_null(out);
    assert_int_equal(size, 0);
  }
  assert_int_equal(cc_json_without("{}", 2, "", 0, &out, &size), CC_EINVAL);
  assert_int_equal(cc_json_without("{}", 2, "\xff", 1, &out, &size), CC_EINVAL);
}

static void counts_the_items_of_an_array(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int count;
  } cases[] = {
      {"{\"a\":[]}", 0},
      {"{\"a\":[1,{\"a\":[2,3]},[4]] }", 3},
      {"{\"a\":{\"b\":1}}", 0},
      {"{}", 0},
      {"{\"a\":[1],\"\\u0061\":[1,2]}", 2},
      {"{\"b\":[1]}", 0},
      {"[1]", CC_EJSON_OBJECT},
      {"{\"a\":[1,]}", CC_EJSON},
      {"", CC_EJSON},
      {"{\"a\":[1]}x", CC_EJSON},
      {"{\"a\":\"[1,2]\"}", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int count = cc_json_count(cases[i].text, (uint32_t)strlen(cases[i].text), "a", 1);
    if (count != cases[i].count) fail_msg("%d: %s", count, cases[i].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_the_items_of_an_array),
      cmocka_unit_test(splices_exactly),
      cmocka_unit_test(counts_changed_bytes),
      cmocka_unit_test(removes_at_paths),
      cmocka_unit_test(refuses_what_is_no_path),
      cmocka_unit_test(counts_what_a_path_removes),
      cmocka_unit_test(removes_what_paths_lead_to),
      cmocka_unit_test(refuses_nonsense),
      cmocka_unit_test(keeps_depth),
      cmocka_unit_test(survives_refusals),
      cmocka_unit_test(behaves_like_the_model),
      cmocka_unit_test(takes_many_members),
      cmocka_unit_test(takes_many_edits),
      cmocka_unit_test(takes_a_member_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
