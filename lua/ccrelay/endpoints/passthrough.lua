-- SPDX-License-Identifier: Apache-2.0
-- /v1/messages/batches* and /v1/files*: passes requests unchanged to the key that created the batch or file, new ones
-- to the first provider that has batches or files. Addresses in the answers become the relay's.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local batch_addresses = require 'ccrelay.endpoints.batch_addresses'
local respond = require 'ccrelay.exchange.respond'
local attempt = require 'ccrelay.exchange.attempt'
local client_auth = require 'ccrelay.exchange.client_auth'
local batch_limits = require 'ccrelay.endpoints.batch_limits'
local respond_upstream = require 'ccrelay.exchange.respond_upstream'
local json = require 'ccrelay.util.json'
local file_keys = require 'ccrelay.routing.file_keys'
local candidates = require 'ccrelay.routing.candidates'

local M = {}

local HELD_BYTES = 8 * 1024 * 1024 -- of an answer to edit; the longest list has 1,000 batches of 600 bytes

---@class ccrelay.Passed what a request asks for
---@field feature 'batches'|'files'
---@field id string? of the batch or file
---@field makes boolean whether it creates one
---@field holds boolean whether its answer is read before the client gets it

-- Answers with the contents of a file or the results of a batch are not held: they may be large.
local function read_path(exchange)
  local files = string.find(exchange.path, '^/v1/files') ~= nil
  local rest = string.match(exchange.path, files and '^/v1/files(.*)' or '^/v1/messages/batches(.*)')
  local id, action = string.match(rest, '^/([^/]+)/?(.*)$')
  local makes = exchange.method == 'POST' and not id
  local is_object = exchange.method ~= 'HEAD' and (not id or action == '' or action == 'cancel')
  return { feature = files and 'files' or 'batches', id = id, makes = makes, holds = makes or is_object and not files }
end

-- The relay's origin as this client addressed it. X-Forwarded-* is not used: anybody can send it. Without a valid Host
-- (HTTP/1.0) addresses become paths, which the SDKs resolve.
local function own_origin(exchange)
  local host = exchange.header.host
  if not host or not client_auth.is_authority(host) then return '' end
  return (exchange.generation.configuration.server.tls and 'https://' or 'http://') .. host
end

-- Unedited, the answer would make the client send its credential to another host.
local function unreadable(exchange, outcome)
  respond.error(exchange, 502, string.format('provider "%s" answered with a batch that is encoded or over '
    .. '%d bytes: its addresses cannot be rewritten', outcome.upstream.provider, HELD_BYTES),
    { failure = 'unreadable' })
end

local function replace(exchange, outcome, text)
  local code = C.cc_outcome_replace(exchange.relay, exchange.handle, outcome.number, text, #text)
  if code ~= C.CC_OK then error('the answer cannot be edited', 0) end
end

local function is_plain(outcome)
  local encoding = outcome.headers['content-encoding']
  return outcome.complete and (not encoding or string.lower(encoding) == 'identity')
end

-- Notes which key created a batch or file: later requests for it must use the same key. (With the client's own
-- credential there is nothing to note.)
local function remember(outcome, text)
  local made = json.decode(text)
  local id = type(made) == 'table' and made.id
  if type(id) == 'string' and outcome.upstream.credential == 'own' then file_keys.note(id, outcome.upstream.key) end
end

local function give_batch(exchange, outcome)
  if not is_plain(outcome) then return unreadable(exchange, outcome) end
  local text = outcome.body
  local moved = batch_addresses.move(text, own_origin(exchange))
  if moved ~= text then replace(exchange, outcome, moved) end
  respond_upstream.outcome(exchange, outcome)
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  local wanted = read_path(exchange)
  exchange:set_endpoint 'passthrough'
  local provider, key = file_keys.keeper(exchange, wanted.feature, wanted.id, candidates.credential)
  local candidate = provider and candidates.at(provider, exchange.client, key)
  if not candidate then
    access.note_refused(exchange)
    return respond.error(exchange, 404, 'no provider serves ' .. exchange.path, { failure = 'no_candidate' })
  end
  if wanted.holds then exchange.held_bytes = HELD_BYTES end
  local counts = wanted.makes and wanted.feature == 'batches'
  if counts and not batch_limits.admit(exchange, candidate) then return end
  local outcome = attempt.try(exchange, candidate)
  if counts and not outcome.sent then batch_limits.refund(exchange) end
  if outcome.ok and wanted.makes and is_plain(outcome) then remember(outcome, outcome.body) end
  if outcome.ok and wanted.holds and wanted.feature == 'batches' then return give_batch(exchange, outcome) end
  respond_upstream.outcome(exchange, outcome)
end

return M
