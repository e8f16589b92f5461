-- SPDX-License-Identifier: Apache-2.0
-- One client request and its answer. Views of the request are read from C when they are used first, and kept.
local C = require 'ccrelay.c'
local affinity = require 'ccrelay.routing.affinity'
local respond = require 'ccrelay.exchange.respond'
local attempt = require 'ccrelay.exchange.attempt'
local selection = require 'ccrelay.routing.selection'
local token_estimate = require 'ccrelay.limits.token_estimate'
local each = require 'ccrelay.util.each'
local exchange_handle = require 'ccrelay.exchange.handle'
local failover = require 'ccrelay.exchange.failover'
local ffi = require 'ffi'
local hints = require 'ccrelay.exchange.hints'
local json = require 'ccrelay.util.json'
local members = require 'ccrelay.script.members'
local new_table = require 'table.new'
local owners = require 'ccrelay.exchange.owners'
local race = require 'ccrelay.exchange.race'
local random = require 'ccrelay.util.random'
local border = require 'ccrelay.util.slice'
local request_header = require 'ccrelay.exchange.request_header'
local wait = require 'ccrelay.sched.wait'

---@alias ccrelay.Stream fun(self: ccrelay.Exchange, produce: fun(writer: ccrelay.Writer), answer: table?): table

---@class ccrelay.Exchange
---@field id string id of the exchange in the log
---@field method string HTTP method
---@field path string path without the query
---@field query string query without the question mark
---@field peer string address of the client
---@field model string? the model, as requested or as changed by exchange:set
---@field original_model string? the model that the client requested
---@field stream boolean|ccrelay.Stream whether the client wants a stream; as a method, answers with one
---@field max_tokens number 0 when absent
---@field session string? id of Claude Code's session
---@field conversation string? name of the conversation: the session, else metadata.user_id of the body
---@field class string? main, subagent, auxiliary, ...; sent only with CLAUDE_CODE_GATEWAY_HINT_HEADERS=1
---@field agent string? id of the agent
---@field agent_type string? Explore, Plan, general-purpose, ...
---@field parent_agent string? id of the agent that started it
---@field prompt_id string? Claude Code's id of the prompt the request belongs to
---@field compaction string? auto, manual or reactive: the request compacts the conversation
---@field context_compacted string? the same, on the first request after that
---@field tool_durations table<string, number>? milliseconds that tools took in the turn before, by name
---@field client string? name of the configured client
---@field header table<string, string?> request headers by name, in any case; nil once the exchange is over
---@field body_bytes integer size of the body
---@field tokens_estimate integer estimated input tokens
---@field has_signatures boolean whether the history has thinking blocks with signatures
local methods, views = {}, {}

local Exchange = { __metatable = false }

local M = {}

-- LuaJIT compiles a function that ends in a tail call together with its caller, and aborts if that cannot be compiled.
-- Parentheses around a returned call avoid the tail call; they stand where every request passes.

local ANYONE = { kind = 'open', passes = false }
local IMAGE_TOKENS, IMAGE_BYTES = 1600, 4 -- most tokens of an image; bytes of base64 per token of a small one
local DOCUMENT_BYTES = 16                  -- bytes of base64 of a document per token

function Exchange.__index(self, name)
  local method = methods[name]
  if method then return method end
  local view = views[name]
  if not view and owners[name] then return false end
  if not view then error('an exchange has no "' .. tostring(name) .. '"', 2) end
  local cache = self.cache
  local value = cache[name]
  if value == nil then
    value = view(self)
    cache[name] = value
  end
  return value
end

function Exchange.__newindex(self, name, value)
  if owners[name] then return rawset(self, name, value) end
  error('exchange.' .. tostring(name) .. ' cannot be assigned; to edit the body use exchange:set', 2)
end

-- A cache with slots for the views that every exchange needs. (A constant nil would reserve none.)
local function places(none)
  return {
    method = none, path = none, query = none, peer = none, header = none, scan_code = none, original_model = none,
    model = none, stream = none, feature_bits = none, max_tokens = none, body_bytes = none, tokens_estimate = none,
  }
end

--- Makes the exchange of a request whose head has arrived.
---@param relay ffi.cdata*
---@param handle number
---@param generation ccrelay.Generation
---@return ccrelay.Exchange
function M.new(relay, handle, generation)
  return (setmetatable({
    relay = relay, handle = handle, generation = generation, client = ANYONE, endpoint = false, wait = false,
    script_handle = false, ended = false, answered = false, cache = places(nil), selection = false, attempts = false,
    outcomes = new_table(1, 0),
  }, Exchange))
end

-- ---- Views -------------------------------------------------------------------------------------

local request = ffi.new 'struct cc_request'
local slice = ffi.new 'struct cc_slice'
local scan = ffi.new 'struct cc_scan'

local text = border.text

local function read_request(self)
  local cache = self.cache
  if C.cc_request(self.relay, self.handle, request) ~= C.CC_OK then return cache end
  cache.method, cache.path, cache.query, cache.peer =
    text(request.method), text(request.path), text(request.query), text(request.peer)
  return cache
end

for _, name in ipairs { 'method', 'path', 'query', 'peer' } do
  views[name] = function(self) return read_request(self)[name] or '' end
end

function views.body_bytes(self)
  return C.cc_request(self.relay, self.handle, request) == C.CC_OK and request.body_bytes or 0
end

-- C names an exchange that it answers before anything in Lua has asked for the name.
function views.id(self)
  local name = random.id()
  if C.cc_request_name(self.relay, self.handle, name, #name, slice) ~= C.CC_OK then return name end
  return text(slice)
end

function views.header(self)
  return (request_header.of(self))
end

for name, header in each(hints.HEADERS) do
  views[name] = function(self) return request_header.first(self, header) end
end

function views.tool_durations(self)
  local value = request_header.first(self, hints.TOOL_DURATIONS)
  return value and hints.tool_durations(value)
end

function views.conversation(self)
  local name = self.session
  if not name and not self.ended then name = self:field 'metadata.user_id' end
  return type(name) == 'string' and name or nil
end

-- For scripts. The library reads the field exchange.client, which has all that is known of the client.
function views.client(self)
  return self.client.name
end

local decoded = ffi.new('char[?]', 256)

local function decode(quoted)
  local size = #quoted
  if ffi.sizeof(decoded) < size then decoded = ffi.new('char[?]', size) end
  local length = C.cc_json_decode(quoted, size, decoded, size)
  return length >= 0 and ffi.string(decoded, length) or nil
end

-- A JSON string without its quotes.
local function unescaped(raw)
  return string.find(raw, '\\', 1, true) and decode('"' .. raw .. '"') or raw
end

-- Bytes of a body that are not text, and the tokens they make.
local function media_of(found)
  local images = math.min(found.images * IMAGE_TOKENS, found.image_bytes / IMAGE_BYTES)
  return { bytes = found.image_bytes + found.document_bytes, tokens = images + found.document_bytes / DOCUMENT_BYTES }
end

--- Scans the body for what routing needs. Returns CC_OK, or an error and the offset of it in the body.
---@package
---@return integer code
---@return integer offset
function methods:inspect()
  local cache = self.cache
  if cache.scan_code then return cache.scan_code, cache.scan_offset or 0 end
  local code = C.cc_request_scan(self.relay, self.handle, scan)
  if code == C.CC_ESTATE or code == C.CC_ESTALE then return code, 0 end
  cache.scan_code = code
  if code ~= C.CC_OK then
    cache.scan_offset = scan.error_offset
  else
    cache.original_model = unescaped(text(scan.model))
    if scan.file.size > 0 then self.file_id = unescaped(text(scan.file)) end
    cache.model = cache.model or cache.original_model
    cache.stream, cache.feature_bits, cache.max_tokens = scan.stream, scan.features, scan.max_tokens
    if scan.images > 0 or scan.document_bytes > 0 then self.media = media_of(scan) end
  end
  return code, scan.error_offset
end

local function inspected(name, otherwise)
  return function(self)
    local value = self:inspect() == C.CC_OK and self.cache[name]
    return value or otherwise
  end
end

views.model = inspected('model', nil)
views.original_model = inspected('original_model', nil)
views.stream = inspected('stream', false)
views.max_tokens = inspected('max_tokens', 0)
views.feature_bits = inspected('feature_bits', 0)

function views.has_signatures(self)
  return require('bit').band(self.feature_bits, C.CC_HAS_SIGNATURES) ~= 0
end

function views.tokens_estimate(self)
  return self:tokens_at(token_estimate.bytes_per_token(self.model or ''))
end

--- Returns the body as received.
---@return string
function methods:body()
  return C.cc_request_body(self.relay, self.handle, slice) == C.CC_OK and text(slice) or ''
end

--- The features that the body uses, as bits (CC_HAS_...).
---@package
---@return integer
function methods:features()
  return self.feature_bits
end

--- Estimated tokens of the request, with this many bytes per token.
---@package
---@param bytes_per_token number
---@return integer
function methods:tokens_at(bytes_per_token)
  local bytes, tokens, media = self.body_bytes, 0, self.media
  if media then bytes, tokens = bytes - media.bytes, media.tokens end
  return math.ceil(bytes / bytes_per_token + tokens)
end

--- Returns the estimated tokens: input, cached or not, and output.
---@return number input
---@return number output
function methods:estimate()
  local most, likely = self.max_tokens, token_estimate.output(self.model or '')
  return self:tokens_at(token_estimate.bytes_per_token(self.model or '')), most > 0 and math.min(most, likely) or likely
end

--- Tokens of its conversation that a prompt cache holds; nil when the conversation is not known.
---@package
---@param key ccrelay.Key? where it would be served; nil: where it was served last
---@return number?
function methods:cached_tokens(key)
  return (affinity.cached(self, key))
end

--- Returns the body's member at a dotted path: strings, numbers and booleans as such, lists and objects
--- as JSON text, nil when absent or null.
---@param path string
---@return string|number|boolean|nil
function methods:field(path)
  if self.ended then error('exchange:field was called after the exchange ended', 2) end
  if C.cc_request_field(self.relay, self.handle, path, #path, slice) ~= C.CC_OK then return nil end
  local raw = text(slice)
  local first = string.byte(raw)
  if first == 34 then return decode(raw) end
  if first == 123 or first == 91 then return raw end
  if raw == 'true' or raw == 'false' then return raw == 'true' end
  return tonumber(raw)
end

-- ---- Edits -------------------------------------------------------------------------------------

local HISTORY = { system = true, tools = true, messages = true }

local MOST_EDITS = 256

local function edit(self, name, value)
  local edits = self.edits or {}
  for index = #edits, 1, -1 do
    if edits[index].name == name then table.remove(edits, index) end
  end
  if #edits == MOST_EDITS then error('an exchange can edit up to ' .. MOST_EDITS .. ' members', 3) end
  edits[#edits + 1] = { name = name, json = value }
  self.edits = edits
end

local function check_edit(self, action, name)
  wait.check(self, action)
  if type(name) ~= 'string' or name == '' then error('exchange:' .. action .. ' takes the name of a member', 3) end
  if HISTORY[string.match(name, '^[^.%[]*')] then
    error('"' .. name .. '" is part of the history: use exchange:rewrite, which breaks prompt caches', 3)
  end
  if name == 'stream' then error('"stream" cannot be changed: the client decides it', 3) end
end

--- Sets a top-level member of the body for later attempts.
---@param name string
---@param value string|number|boolean|table
function methods:set(name, value)
  check_edit(self, 'set', name)
  if name == 'model' then
    if type(value) ~= 'string' or value == '' or #value > C.CC_MODEL_BYTES then
      error('the model is a string of 1 to ' .. C.CC_MODEL_BYTES .. ' bytes', 2)
    end
    self:inspect()
    self.cache.model = value
  else
    edit(self, name, json.encode_for_script(value))
  end
end

--- Removes a top-level member of the body for later attempts.
---@param name string
function methods:remove(name)
  check_edit(self, 'remove', name)
  if name == 'model' then error('the model cannot be removed', 2) end
  edit(self, name, false)
end

--- Replaces system, tools or messages with JSON text. This invalidates prompt caches and the
--- signatures of the conversation.
---@param name string
---@param value string JSON text
function methods:rewrite(name, value)
  wait.check(self, 'rewrite')
  if not HISTORY[name] then error('exchange:rewrite is for system, tools and messages', 2) end
  if type(value) ~= 'string' or not C.cc_json_valid(value, #value) then error('exchange:rewrite takes JSON text', 2) end
  self.prefix_broken = true
  edit(self, name, value)
end

-- ---- Actions -----------------------------------------------------------------------------------

--- Sets the client, once it is identified.
---@package
---@param client ccrelay.Client
function methods:identify(client)
  self.client = client
end

--- Sets the endpoint that serves the exchange, once its request is accepted. Reads the class for the record: when the
--- answer has begun, the headers are gone.
---@package
---@param name 'messages'|'count_tokens'|'passthrough'
function methods:set_endpoint(name)
  self.endpoint = name
  self.cache.class = request_header.first(self, hints.HEADERS.class)
end

--- Frees what was needed only to choose the answer. The answer itself may take minutes.
---@package
function methods:free_early()
  selection.free(self)
  self.turns, self.estimated, self.cache.header = nil, nil, nil
end

--- Marks the exchange as over: its DONE event has come.
---@package
function methods:mark_ended()
  self.ended = true
end

--- Waits.
---@param milliseconds number
function methods:sleep(milliseconds)
  wait.check(self, 'sleep')
  if not members.is_milliseconds(milliseconds) then error('exchange:sleep takes milliseconds', 2) end
  wait.sleep(self, milliseconds)
end

--- Begins the answer of a client that wants a stream before there is one.
---@package
function methods:begin_early()
  respond.begin_stream(self)
end

methods.try = attempt.try
methods.first = failover.first
methods.race = race.run
methods.respond = respond.respond
methods.refuse = respond.refuse
methods.abort = respond.abort

exchange_handle.define { class = Exchange, header = request_header.Header, methods = methods, views = views }

return M
