-- SPDX-License-Identifier: Apache-2.0
-- The part of the scripted C side that makes attempts: it records what is sent, and answers with the replies that the
-- test has scripted for the upstream.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local rules = require 'ccrelay.testing.rules'
local world = require 'ccrelay.testing.world'

local state, real = world.state, world.real
local put, bytes, post, drop, find, header_of, sorted, text_of =
  world.put, world.bytes, world.post_event, world.drop, world.find, world.header_of, world.sorted, world.text_of

local fake = {}

function fake.cc_attempt_begin(_, id, origin, spec)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  if exchange.over or exchange.answer or not exchange.complete then return real.CC_ESTATE end
  local number = #exchange.tries % 2
  local attempt = {
    origin = state.origins[origin + 1], headers = {}, edits = {}, method = exchange.method, stream = spec.stream,
    framing = spec.framing, head_ms = spec.head_ms, gate_bytes = spec.gate_bytes, gate_ms = spec.gate_ms,
    gate_opens = spec.gate_opens, success = spec.success,
  }
  exchange.tries[#exchange.tries + 1], exchange.attempts[number] = attempt, attempt
  return number
end

local function draft(id, number)
  local exchange = find(id)
  local attempt = exchange and exchange.attempts[number]
  if not attempt or attempt.sent or attempt.cancelled or exchange.over then return nil end
  return attempt
end

function fake.cc_attempt_method(_, id, number, text, size)
  local attempt, method = draft(id, number), bytes(text, size)
  if not attempt then return real.CC_ESTATE end
  if not rules.is_token(method) then return real.CC_EINVAL end
  attempt.method = method
  return 0
end

function fake.cc_attempt_target(_, id, number, text, size)
  local attempt, target = draft(id, number), bytes(text, size)
  if not attempt then return real.CC_ESTATE end
  if not rules.is_target(target) then return real.CC_EINVAL end
  attempt.target = target
  return 0
end

function fake.cc_attempt_header(_, id, number, name, name_size, value, value_size)
  local attempt, key, text = draft(id, number), bytes(name, name_size), bytes(value, value_size)
  if not attempt then return real.CC_ESTATE end
  if not rules.may_send(key, text) then return real.CC_EINVAL end
  attempt.headers[key:lower()] = text
  return 0
end

-- attempt.allowed: the names of the client's headers that are passed on; "" for all that may be.
function fake.cc_attempt_pass_headers(_, id, number, names, size)
  local attempt = draft(id, number)
  attempt.passes, attempt.allowed = true, bytes(names, size)
  return 0
end

function fake.cc_attempt_set(_, id, number, field, field_size, value, value_size)
  local text = bytes(value, value_size)
  if not real.cc_json_valid(text, #text) then return real.CC_EINVAL end
  draft(id, number).edits[bytes(field, field_size)] = text
  return 0
end

local removed, removed_size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'

-- Removes the members at a path from the text of a JSON object.
local function without(text, path)
  local code = real.cc_json_without(text, #text, path, #path, removed, removed_size)
  if code ~= 0 then return text, code end
  local rest = ffi.string(removed[0], removed_size[0])
  real.cc_free(removed[0])
  return rest, code
end

-- Returns a copy that the real library has allocated, so that cc_free may release it.
local function give(text, out, size)
  return real.cc_json_without(text, #text, 'no such member', 14, out, size)
end

local function view_of(exchange, attempt)
  local body, paths = json.decode(exchange.body), {}
  for name, text in each(attempt.edits) do
    if text then body[name] = json.decode(text) else paths[#paths + 1] = name end
  end
  local text = json.encode(body)
  for _, path in ipairs(paths) do text = without(text, path) end
  return text
end

-- In attempt.edits a removed member is false, under its path. Removing a member that is not there records nothing.
function fake.cc_attempt_remove(_, id, number, path, size)
  local name, attempt = bytes(path, size), draft(id, number)
  attempt.edits[name] = nil
  local text = view_of(find(id), attempt)
  local rest, code = without(text, name)
  if rest ~= text then attempt.edits[name] = false end
  return code
end

world.view_of = view_of

function fake.cc_attempt_body(_, id, number, out, size)
  return give(view_of(find(id), draft(id, number)), out, size)
end

function fake.cc_attempt_replace(_, id, number, text, size)
  draft(id, number).body = bytes(text, size)
  return 0
end

function fake.cc_attempt_sign(_, id, number, signer)
  draft(id, number).signer = {
    access_key = text_of(signer.access_key), secret_key = text_of(signer.secret_key),
    session_token = text_of(signer.session_token), region = text_of(signer.region), service = text_of(signer.service),
    skew_ms = signer.skew_ms,
  }
  return 0
end

local function reply_for(attempt)
  local list = state.replies[attempt.origin.host] or {}
  local reply = #list > 1 and table.remove(list, 1) or list[1] or {}
  if type(reply) == 'function' then reply = reply(attempt) end
  return reply
end

local function late(attempt, reply)
  return attempt.stream and attempt.head_ms > 0 and (reply.after or 1) > attempt.head_ms
end

function fake.cc_attempt_send(_, id, number)
  local attempt = draft(id, number)
  if not attempt then return real.CC_ESTATE end
  if not attempt.target then return real.CC_EINVAL end
  local reply = reply_for(attempt)
  attempt.sent, attempt.reply = true, reply
  if late(attempt, reply) then
    attempt.reply = { error = 'CC_EHEAD_TIMEOUT', after = attempt.head_ms }
  end
  if not reply.hang then
    attempt.event = post(attempt.reply.after or 1, real.CC_EVENT_OUTCOME, id, number)
  end
  return 0
end

-- A reply that is a refused connection, or has sent = false, never sent the request.
function fake.cc_attempt_sent(_, id, number)
  local exchange = find(id)
  local attempt = exchange and exchange.attempts[number]
  local reply = attempt and attempt.reply
  return reply ~= nil and reply.sent ~= false and reply.error ~= 'CC_EREFUSED'
end

function fake.cc_attempt_cancel(_, id, number)
  local attempt = find(id).attempts[number]
  attempt.cancelled = true
  if attempt.event then drop(attempt.event) end
  return 0
end

function fake.cc_outcome(_, id, number, out)
  local exchange = find(id)
  local attempt = exchange and exchange.attempts[number]
  if not attempt then return real.CC_ESTALE end
  if not attempt.settled then return real.CC_ESTATE end
  local reply = attempt.reply
  ffi.fill(out, ffi.sizeof 'struct cc_outcome')
  out.error = reply.error and real[reply.error] or 0
  out.status = reply.status or (reply.error and 0 or 200)
  out.complete, out.sent = reply.complete ~= false, reply.sent ~= false and reply.error ~= 'CC_EREFUSED'
  out.headers = #sorted(reply.headers)
  out.gate_ms = reply.after or 1
  out.changed_bytes = reply.changed_bytes or 0
  put(out.body, reply.body or '')
  put(out.detail, reply.detail or '')
  return 0
end

function fake.cc_outcome_header(_, id, number, name, size, value)
  local found = header_of(find(id).attempts[number].reply.headers, bytes(name, size))
  if not found then return real.CC_ENOTFOUND end
  put(value, found)
  return 0
end

function fake.cc_outcome_header_at(_, id, number, index, name, value)
  local entry = sorted(find(id).attempts[number].reply.headers)[index + 1]
  if not entry then return real.CC_ENOTFOUND end
  put(name, entry[1])
  put(value, entry[2])
  return 0
end

-- Other attempts may share the reply, so it is not changed itself.
function fake.cc_outcome_replace(_, id, number, body, size)
  local attempt = find(id).attempts[number]
  local reply = attempt.reply
  if not attempt.settled or reply.error or reply.complete == false then return real.CC_ESTATE end
  attempt.reply = setmetatable({ body = bytes(body, size) }, { __index = reply })
  return 0
end

return fake
