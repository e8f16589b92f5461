-- SPDX-License-Identifier: Apache-2.0
-- Makes attempts: sends a request to one upstream and reads the outcome. It guarantees that whatever was reserved for
-- an attempt that was not sent is refunded, and that no exchange makes more than MOST_ATTEMPTS.
local C = require 'ccrelay.c'
local admission = require 'ccrelay.exchange.attempt_admission'
local Outcome = require 'ccrelay.health.outcome'
local Upstream = require 'ccrelay.routing.candidates'
local ffi = require 'ffi'
local latency = require 'ccrelay.health.latency'
local learn = require 'ccrelay.health.learn'
local wait_queue = require 'ccrelay.routing.wait_queue'
local response_headers = require 'ccrelay.limits.response_headers'
local compose = require 'ccrelay.exchange.compose'
local call = require 'ccrelay.script.call'
local selection = require 'ccrelay.routing.selection'
local wait = require 'ccrelay.sched.wait'
local cache = require 'ccrelay.credentials.cache'

---@class ccrelay.Attempt
---@field number integer
---@field upstream ccrelay.Upstream
---@field key ccrelay.Key
---@field counted boolean whether it counts towards limits and health
---@field probes ccrelay.Probes|false breakers that it is a probe of; written by health/learn
---@field probed boolean whether it was one of any; written by health/learn
---@field reserved ffi.cdata*? struct cc_reservation[2], what is reserved for it; written by exchange/attempt_admission
---@field open boolean whether it was sent and has not ended
---@field since number? when it was sent, in a race; written by exchange/race
---@field more boolean whether another upstream is left to try
---@field patience number? ms to wait for the response head; nil: as long as the exchange may take
---@field began number moment (cc_now) at which it was begun
---@field head_ms number? from sending until the response head; 0: none came
---@field gate_ms number? from sending until the outcome
---@field request_id string|false that the provider gave, of the attempt whose answer the client gets
---@field credential integer? version of the provider's credential it was sent with

---@class ccrelay.Attempts exchange.attempts, written here only
---@field first ccrelay.Attempt|false the one that C has under number 0
---@field second ccrelay.Attempt|false the one under number 1
---@field chosen ccrelay.Attempt|false whose answer the client gets
---@field last ccrelay.Outcome|false the last failure
---@field cut_short ccrelay.Outcome|false the first that timed out early because another upstream was left to try
---@field sent boolean whether any was sent
---@field billed boolean whether any that was sent may cost something
---@field recovered table<ccrelay.Key, boolean>|false keys that were tried again with new credentials
---@field excess integer? attempts that were asked for beyond MOST_ATTEMPTS

local M = {}

local MOST_ATTEMPTS = 64 -- of an exchange

local function attempts_of(exchange)
  local own = exchange.attempts
  if not own then
    own = { first = false, second = false, chosen = false, last = false, cut_short = false, sent = false,
      billed = false, recovered = false }
    exchange.attempts = own
  end
  return own
end

--- Drops an attempt without waiting for its end. If it was sent, its probable use is committed.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@return boolean sent
function M.drop(exchange, attempt)
  attempt.open = false
  if not C.cc_attempt_sent(exchange.relay, exchange.handle, attempt.number) then
    admission.give_back(attempt)
    return false
  end
  learn.withdraw(attempt)
  if attempt.reserved then admission.commit_probable(exchange, attempt) end
  local own = attempts_of(exchange)
  own.sent, own.billed = true, true
  return true
end

-- ---- Sending -----------------------------------------------------------------------------------

--- Cancels an attempt before its outcome.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
function M.cancel(exchange, attempt)
  C.cc_attempt_cancel(exchange.relay, exchange.handle, attempt.number)
  attempt.open = false
end

-- The outcome of an attempt that could not be sent.
local function unsent(exchange, attempt, reason, message, final)
  local outcome = Outcome.unsent(exchange, attempt, reason, message, final)
  attempts_of(exchange).last = outcome
  exchange.outcomes[#exchange.outcomes + 1] = outcome
  return outcome
end

local function send(exchange, attempt)
  local ok, ready, message = call.pcall(compose.prepare, exchange, attempt)
  if not ok or not ready then
    M.cancel(exchange, attempt)
    admission.give_back(attempt)
    if not ok then error(ready, 0) end
    return unsent(exchange, attempt, 'credentials', message)
  end
  local code = C.cc_attempt_send(exchange.relay, exchange.handle, attempt.number)
  if code ~= C.CC_OK then
    M.cancel(exchange, attempt)
    admission.give_back(attempt)
    if wait.is_over(code) then wait.vanish(exchange) end
    error('the request could not be sent: ' .. ffi.string(C.cc_error_text(code)), 0)
  end
end

-- Fetches the provider's credential, if it has to be fetched, before anything is reserved.
local function obtain(exchange, key, credential, patience, racing)
  if not key.provider.source or credential == 'client' then return true end
  return cache.get(exchange, key.provider.source, patience, racing)
end

-- The last upstream may take all the time there is, unless health had left it out.
local function patience_for(exchange, upstream, more)
  local patience = exchange.generation.configuration.routing.failover_timeout
  return (more or upstream.is_spare) and patience > 0 and patience or nil
end

--- Whether an exchange has made as many attempts as it may.
---@param exchange ccrelay.Exchange
---@param running integer? attempts that have no outcome yet
---@return boolean
function M.at_limit(exchange, running)
  return #exchange.outcomes + (running or 0) >= MOST_ATTEMPTS
end

-- The last failure stands for attempts that are not made any more; a script that asks again and again gets an error.
local function one_more(exchange)
  local own = attempts_of(exchange)
  own.excess = (own.excess or 0) + 1
  if own.last and own.excess <= MOST_ATTEMPTS then return own.last end
  error('exchange:try: an exchange may make ' .. MOST_ATTEMPTS .. ' attempts at most', 0)
end

-- C uses the number of an attempt again. The one that had it before may still be open if its outcome was never read.
local function hold(exchange, attempt)
  local own, place = attempts_of(exchange), attempt.number == 0 and 'first' or 'second'
  local before = own[place]
  if before and before.open then learn.withdraw(before) end
  own[place] = attempt
end

local function moment() return (C.cc_now()) end

-- An attempt for which nothing has been reserved or sent.
local function new(exchange, upstream, more)
  local key = upstream.key
  if Upstream.credential(key.provider, exchange.client) ~= upstream.credential then
    error('exchange:try: this upstream was a candidate for another client', 4)
  end
  if more == nil then more = selection.remains(exchange, upstream) end
  return {
    upstream = upstream, key = key, counted = exchange.endpoint == 'messages', probes = false, probed = false,
    number = -1, open = false, more = more, patience = patience_for(exchange, upstream, more),
    began = moment(), head_ms = -1, gate_ms = -1, request_id = false,
  }
end

-- Sends an attempt that has been admitted. Returns its outcome if it cannot be sent.
local function dispatch(exchange, attempt)
  local origin, message = attempt.key.provider:origin(exchange.relay)
  if not origin then
    admission.give_back(attempt)
    return unsent(exchange, attempt, 'address', message)
  end
  local number = compose.begin(exchange, attempt, origin)
  if number < 0 then
    admission.give_back(attempt)
    if wait.is_over(number) then wait.vanish(exchange) end
    error('no attempt can be made now: ' .. ffi.string(C.cc_error_text(number)), 0)
  end
  attempt.number = number
  hold(exchange, attempt)
  attempt.open = true
  return (send(exchange, attempt))
end

--- Begins an attempt. Returns nil and an outcome when it could not be sent, and nil alone when another attempt of the
--- race has an outcome first.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param more boolean? whether another upstream is left to try; nil: as the candidates say
---@param race ccrelay.Race? that it is a part of
---@return ccrelay.Attempt?
---@return ccrelay.Outcome?
function M.start(exchange, upstream, more, race)
  if not Upstream.is(upstream) then error('exchange:try takes one of relay.upstreams(exchange)', 3) end
  if M.at_limit(exchange) then return nil, one_more(exchange) end
  local attempt, key = new(exchange, upstream, more), upstream.key
  selection.mark_tried(exchange, key)
  local beside = race and race.count > 0 -- then the timer of the exchange belongs to the race
  local there, lack, final = obtain(exchange, key, upstream.credential, not beside and attempt.patience or nil, beside)
  if lack == cache.INTERRUPTED then return nil, nil end
  if not there then return nil, unsent(exchange, attempt, 'credentials', lack, final) end
  attempt.credential = key.provider.source and cache.version(key.provider.source)
  if attempt.counted then
    local refusal = admission.admit(exchange, attempt)
    if refusal then return nil, refusal end
    wait_queue.leave(exchange)
  end
  local failure = dispatch(exchange, attempt)
  if failure then return nil, failure end
  return attempt
end

-- ---- Outcome -----------------------------------------------------------------------------------

-- Commits what a failed attempt used: what a refusal says, or what is probable for one that broke off.
local function settle(exchange, attempt, outcome)
  if not outcome.sent then return admission.give_back(attempt) end
  local own = attempts_of(exchange)
  own.sent = true
  local refused = not outcome.ok and outcome.status and outcome.status >= 400
  own.billed = own.billed or not refused or outcome.used_input > 0
  if outcome.ok or not attempt.reserved then return end
  if not refused then return admission.commit_probable(exchange, attempt) end
  admission.commit(attempt, outcome)
end

-- Learns how long streams take to their first content, or at least took without any.
local function clock(exchange, attempt, outcome)
  if not exchange.stream then return end
  if outcome.ok then
    latency.learn(attempt.upstream, outcome.gate_ms)
  elseif outcome.timeout then
    latency.exceeded(attempt.upstream, outcome.gate_ms)
  end
end

-- Whether the credential is to blame, so that the same upstream is tried once more with a new one.
local function recovers(exchange, attempt, outcome)
  local provider = attempt.key.provider
  if outcome.ok or not provider.scheme.recover or attempt.upstream.credential == 'client' then return false end
  local own = attempts_of(exchange)
  if own.recovered and own.recovered[attempt.key] then return false end
  local again, why = provider.scheme.recover(outcome, attempt.upstream)
  if not again then return false end
  if why then exchange.generation.logger:say('warn', why, { 'provider', provider.name }) end
  own.recovered = own.recovered or {}
  own.recovered[attempt.key] = true
  return true
end

--- Reads the outcome of an attempt after its OUTCOME event, and lets limits and health learn from it.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@return ccrelay.Outcome
function M.finish(exchange, attempt)
  local outcome, head_ms, gate_ms = Outcome.new(exchange, attempt)
  if not outcome then
    M.drop(exchange, attempt)
    wait.vanish(exchange)
  end
  attempt.head_ms, attempt.gate_ms = head_ms, gate_ms
  local outcomes = exchange.outcomes
  outcomes[#outcomes + 1] = outcome
  local logger = exchange.generation.logger
  if logger:writes 'debug' then logger:outcome(exchange, outcome, Outcome.header_lines) end
  if recovers(exchange, attempt, outcome) then Outcome.try_again(outcome) end
  if attempt.counted then
    if outcome.status and attempt.upstream.credential == 'own' then
      response_headers.learn(exchange, attempt, outcome)
    end
    clock(exchange, attempt, outcome)
    learn.from_outcome(exchange, attempt, outcome)
    settle(exchange, attempt, outcome)
  end
  if not outcome.ok then
    attempt.open = false
    local own = attempts_of(exchange)
    own.last = outcome
    if outcome.timeout and attempt.more and not own.cut_short then own.cut_short = outcome end
  end
  return outcome
end

--- Takes the first outcome that timed out early because another upstream was left to try. When the others have failed,
--- that upstream is worth another attempt without the early timeout.
---@param exchange ccrelay.Exchange
---@return ccrelay.Outcome? outcome
function M.take_cut_short(exchange)
  local own = exchange.attempts
  local outcome = own and own.cut_short
  if not outcome then return nil end
  own.cut_short = false
  Outcome.try_again(outcome)
  return outcome
end

--- The client gets the answer of this attempt.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param request_id string? that the provider gave
function M.choose(exchange, attempt, request_id)
  attempts_of(exchange).chosen = attempt
  attempt.request_id = request_id or false
end

--- Whether C still holds the answer of an outcome: the number of its attempt was not used again.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome
---@return boolean
function M.is_held(exchange, outcome)
  local own = exchange.attempts
  return own and outcome.attempt == (outcome.number == 0 and own.first or own.second)
end

--- The last failure of an exchange.
---@param exchange ccrelay.Exchange
---@return ccrelay.Outcome?
function M.last_failure(exchange)
  return exchange.attempts and exchange.attempts.last or nil
end

-- ---- What policies call ------------------------------------------------------------------------

-- Another exchange took the room in the limit: the last candidate waits in the queue.
local function gives_way(exchange, upstream, more, outcome)
  if outcome.error ~= 'limited' or M.last_failure(exchange) or not wait_queue.wanted(exchange) then return false end
  if more == nil then more = selection.remains(exchange, upstream) end
  wait_queue.note(exchange, upstream.key, upstream.model, C.cc_now() + outcome.retry_after * 1000, false)
  return not more and Upstream.wait_for_room(exchange)
end

local function start(exchange, upstream, more)
  local attempt, outcome
  repeat
    attempt, outcome = M.start(exchange, upstream, more)
  until attempt or not gives_way(exchange, upstream, more, outcome)
  wait_queue.leave(exchange)
  return attempt, outcome
end

--- Makes an attempt at an upstream and waits for the outcome.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param more boolean? whether another upstream is left to try; nil: as the candidates say
---@return ccrelay.Outcome
function M.run(exchange, upstream, more)
  local attempt, outcome
  repeat
    attempt, outcome = start(exchange, upstream, more)
    if not attempt then return outcome end
    repeat
      local _, number = wait.await(exchange, wait.OUTCOME)
    until number == attempt.number
    outcome = M.finish(exchange, attempt)
  until not outcome.again
  return outcome
end

--- Makes one attempt at an upstream and returns its outcome, for a policy.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@return ccrelay.Outcome
function M.try(exchange, upstream)
  wait.check(exchange, 'try')
  return M.run(exchange, upstream)
end

return M
