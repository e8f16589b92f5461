-- SPDX-License-Identifier: Apache-2.0
-- The handle that scripts get of an exchange: the documented members, with checked arguments. It guarantees that
-- scripts reach no object of the library through it.
local answer = require 'ccrelay.exchange.respond'
local attempt = require 'ccrelay.exchange.attempt'
local each = require 'ccrelay.util.each'
local deep_copy = require 'ccrelay.script.deep_copy'
local handle = require 'ccrelay.script.handle'
local failover = require 'ccrelay.exchange.failover'
local members = require 'ccrelay.script.members'
local race = require 'ccrelay.exchange.race'
local call = require 'ccrelay.script.call'

local M = {}

-- Allowed names in tables of options.
local RACE = { after_ms = true }
local RESPOND = { status = true, headers = true, body = true }
local STREAM = { status = true, headers = true }
local ABORT = { reset = true, raw = true }

local HIDDEN = { header = true, feature_bits = true } -- views that are the library's alone

local shown = {} -- methods by name

local function object_of(value, action)
  return handle.object(value, 'exchange') or error('exchange:' .. action .. ' is a method of an exchange', 0)
end

local function show(name, inner)
  shown[name] = call.library(function(self, ...) return inner(object_of(self, name), ...) end)
end

-- The upstreams in a script's list, read without its metatable, which the script may have made.
local function upstreams_of(list, action)
  if type(list) ~= 'table' then error('exchange:' .. action .. ' takes a list of upstreams', 0) end
  local objects = {}
  for index, value in ipairs(list) do
    objects[index] = handle.object(value, 'upstream')
      or error('exchange:' .. action .. ' takes upstreams of relay.upstreams(exchange)', 0)
  end
  return objects
end

show('try', function(self, upstream)
  return handle.of(attempt.try(self, handle.object(upstream, 'upstream')))
end)

show('first', function(self, list)
  return handle.of(failover.first(self, upstreams_of(list, 'first')))
end)

show('race', function(self, list, options)
  members.check('what exchange:race takes', options, RACE)
  local after = handle.member(options, 'after_ms')
  if after ~= nil and not members.is_milliseconds(after) then
    error('after_ms of exchange:race is a number of milliseconds', 0)
  end
  return handle.of(race.run(self, upstreams_of(list, 'race'), { after_ms = after }))
end)

show('refuse', answer.refuse)

show('abort', function(self, how)
  members.check('what exchange:abort takes', how, ABORT)
  return answer.abort(self, { reset = handle.member(how, 'reset') == true, raw = handle.member(how, 'raw') })
end)

local respond = call.library(answer.respond)

function shown:respond(given)
  members.check('what exchange:respond takes', given, RESPOND)
  return respond(object_of(self, 'respond'), answer.plain(given))
end

-- exchange.stream tells whether the client wants a stream; exchange:stream(fn) answers with one. For both to work,
-- booleans can be called, with an exchange as first argument only.
local stream = call.library(function(self, produce, options)
  members.check('what exchange:stream takes', options, STREAM)
  return answer.stream(self, produce, {
    status = handle.member(options, 'status'), headers = deep_copy.plain(handle.member(options, 'headers')),
  })
end)

debug.setmetatable(true, {
  __call = function(value, self, ...)
    local exchange = handle.object(self, 'exchange')
    if not exchange then error('attempt to call a boolean value (' .. tostring(value) .. ')', 2) end
    return stream(exchange, ...)
  end,
})

local function show_methods(methods)
  for _, name in ipairs { 'sleep', 'body', 'estimate', 'remove', 'rewrite' } do show(name, methods[name]) end
  show('field', function(self, path)
    if type(path) ~= 'string' then error('exchange:field takes a path', 0) end
    return methods.field(self, path)
  end)
  -- Encoding a value of the script counts as the script's time: it is called without call.library.
  function shown:set(name, value)
    return methods.set(object_of(self, 'set'), name, value)
  end
end

--- Defines the handles of exchanges and of request headers.
---@param parts { class: table, header: table, methods: table<string, function>, views: table<string, function> }
function M.define(parts)
  show_methods(parts.methods)
  local known = { header = true }
  for name in each(shown) do known[name] = true end
  for name in each(parts.views) do known[name] = not HIDDEN[name] or nil end
  handle.define('exchange', parts.class, function(self, name)
    if shown[name] then return shown[name] end
    if name == 'header' then return handle.new(self.header) end
    if name == 'client' then return parts.views.client(self) end
    if not parts.views[name] or HIDDEN[name] then error(members.unknown('an exchange', name, known), 2) end
    return self[name]
  end, function(_, name)
    error('exchange.' .. tostring(name) .. ' cannot be assigned; to edit the body use exchange:set', 2)
  end)
  handle.define('header', parts.header, function(self, name) return self[tostring(name)] end, function()
    error('headers of the request are read-only', 2)
  end)
end

return M
