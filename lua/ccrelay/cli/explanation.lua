-- SPDX-License-Identifier: Apache-2.0
-- Explains one exchange in sentences, from its record as GET /requests/ID returns it: its result, why this upstream
-- served it, why each other candidate did not, and what it would have cost there.
local texts = require 'ccrelay.util.text'

local M = {}

local function grouped(number)
  local text = string.format('%.0f', number)
  return (string.gsub(string.reverse(string.gsub(string.reverse(text), '(%d%d%d)', '%1,')), '^,', ''))
end

local function time(milliseconds)
  if milliseconds < 10000 then return string.format('%.0f ms', milliseconds) end
  return string.format('%.1f s', milliseconds / 1000)
end

local function money(amount) return (string.gsub(string.format('%.6f', amount), '(%.%d%d%d-)0+$', '%1')) end

local function upper(sentence) return (string.gsub(sentence, '^%l', string.upper)) end

-- ---- What became of it -------------------------------------------------------------------------

local function what_was_asked(record)
  local who = record.client and 'Client ' .. record.client or 'A client without a name'
  local kind = record.endpoint and ' (' .. record.endpoint .. (record.stream and ', as a stream' or '') .. ')' or ''
  local class = record.class and ', request class ' .. record.class or ''
  return string.format('%s asked for %s%s%s on %s UTC.', who, record.model or 'something without a model', kind, class,
    os.date('!%Y-%m-%d at %H:%M:%S', math.floor(record.at / 1000)))
end

local function failure_of(record)
  return record.error and ', error ' .. record.error or ''
end

local function what_came(record)
  if record.open then
    return string.format('It has been under way for %s%s.', time(record.total_ms),
      record.key and ', answered by ' .. record.key or '')
  end
  local status = record.status and 'status ' .. record.status or 'no answer'
  local first = record.first_byte_ms and ' (first byte after ' .. time(record.first_byte_ms) .. ')' or ''
  local from = record.key and 'from ' .. record.key or 'from the relay itself'
  return 'It got ' .. status .. ' ' .. from .. failure_of(record) .. ' after ' .. time(record.total_ms) .. first .. '.'
end

local function where_time_went(record)
  local parts = {}
  if record.queued_ms then parts[#parts + 1] = 'It waited ' .. time(record.queued_ms) .. ' for room in a limit.' end
  if record.own_ms then
    parts[#parts + 1] = string.format('The relay added %.1f ms to the time of the upstream.', record.own_ms)
  end
  return #parts > 0 and table.concat(parts, ' ') or nil
end

local function tokens_of(record)
  local tokens = record.tokens
  if not tokens then return nil end
  local written = tokens.cache_write_5m + tokens.cache_write_1h
  return string.format('Tokens: %s of input, %s read from the prompt cache, %s written to it, %s of output.',
    grouped(tokens.input), grouped(tokens.cache_read), grouped(written), grouped(tokens.output))
end

local function cost_of(record)
  if not record.tokens then return nil end
  if record.cost then return 'It cost ' .. money(record.cost) .. ' by routing.prices.' end
  return 'Its cost is unknown: routing.prices has no price for ' .. (record.sent_model or 'this model') .. ' at '
    .. (record.provider or 'this provider') .. '.'
end

local SWITCHED = {
  key = 'another key of the same organization', org = 'a key of another organization', provider = 'another provider',
}

local function switch_of(record)
  if not record.switched then return nil end
  local lost = record.switch_tokens and record.switch_tokens > 0
    and string.format('; %s tokens of its prompt cache were lost', grouped(record.switch_tokens)) or ''
  return upper(SWITCHED[record.switched] or 'another upstream') .. ' served the conversation before' .. lost .. '.'
end

local function edits_of(record)
  local changed = record.changed_bytes
  if not changed or record.attempts_made == 0 then return nil end
  if changed == 0 then return 'The relay passed the body on unchanged.' end
  return string.format('The relay changed %s of the %s of the body.', texts.count(changed, 'byte'),
    grouped(record.request_bytes))
end

-- ---- Attempts ----------------------------------------------------------------------------------

local function result_of(attempt, is_answer)
  if attempt.raced then return 'cancelled because another was faster' end
  if is_answer and attempt.status < 400 then return 'its answer went to the client' end
  local result = attempt.error or attempt.status and 'status ' .. attempt.status or 'under way'
  if attempt.error and attempt.status then result = attempt.status .. ' ' .. attempt.error end
  if is_answer then result = result .. ', which went to the client' end
  return result .. (attempt.detail and ' (' .. attempt.detail .. ')' or '')
end

-- The attempt whose answer the client got.
local function answer_of(record)
  for index = record.status and #record.attempts or 0, 1, -1 do
    local attempt = record.attempts[index]
    if attempt.key == record.key and attempt.status == record.status and not attempt.raced then return attempt end
  end
end

local function by_time(a, b) return a.at_ms < b.at_ms end

local function attempts_of(record)
  local answer, lines = answer_of(record), {}
  table.sort(record.attempts, by_time)
  for index, attempt in ipairs(record.attempts) do
    local took = attempt.total_ms and ' after ' .. time(attempt.total_ms) or ''
    lines[index] = string.format('  %d. at %s: %s%s: %s%s', index, time(attempt.at_ms), attempt.key,
      attempt.model and ' as ' .. attempt.model or '', result_of(attempt, attempt == answer), took)
  end
  local missing = record.attempts_made - #record.attempts
  if missing > 0 then
    lines[#lines + 1] = '  and ' .. texts.count(missing, 'attempt') .. ' that did not fit into the record'
  end
  return lines
end

-- ---- Candidates --------------------------------------------------------------------------------

local SUSPENDED = { billing = 'its account must pay first', unauthorized = 'the provider rejected it' }

-- Why a candidate was left out, and what it would have needed.
local REASONS = {
  none = function() return 'there was no credential for it', 'a key, or a client that sends its own credential' end,
  unsupported = function(one) return 'it cannot take ' .. (one.lack or 'it'), 'a request without that' end,
  limited = function() return 'its rate limits had no room', 'room in its rate limits' end,
  stated = function() return 'the provider had said that it is at a limit', 'the end of that limit' end,
  overloaded = function() return 'the relay had no memory to count its limits', 'a restart of the relay' end,
  cooling = function() return 'the provider was overloaded', 'the end of its cool-down' end,
  half_open = function() return 'another request was probing it', 'the success of that probe' end,
  open = function() return 'its circuit was open after failures', 'the end of that pause' end,
  aside = function(one)
    return 'the key was suspended: ' .. (SUSPENDED[one.lack] or 'the provider rejected it'), 'an accepted key'
  end,
  no_model = function() return 'the provider had said that it does not have the model', 'that model' end,
  not_allowed = function() return 'its serves setting excludes the model', 'the model in serves' end,
}

local function reason_of(one)
  local reason = REASONS[one.reason]
  if reason then return reason(one) end
  return 'of "' .. one.reason .. '"', nil
end

local function needed(one)
  local cause, need = reason_of(one)
  local ready = one.ready_ms and one.ready_ms > 0 and ', ' .. time(one.ready_ms) .. ' after the request began' or ''
  return 'was left out because ' .. cause .. '.' .. (need and ' It would have needed ' .. need .. ready .. '.' or '')
end

local function attempts_at(record, key)
  local last
  for _, attempt in ipairs(record.attempts) do
    if attempt.key == key then last = attempt end
  end
  return last
end

local function has_failed(record, provider)
  for _, attempt in ipairs(record.attempts) do
    if attempt.provider == provider and attempt.error then return true end
  end
  return false
end

local function is_served(record) return record.key and (record.status or 0) < 400 end

local function not_asked(record, one)
  if one.reason then return needed(one) end
  if has_failed(record, one.provider) then
    return 'was not asked because another key of ' .. one.provider .. ' had failed.'
  end
  return is_served(record) and 'could have served it, but was not needed.' or 'was not asked.'
end

local function story_of(record, one)
  local attempt = attempts_at(record, one.key)
  if not attempt then return not_asked(record, one) end
  local asked = one.reason and 'was asked although ' .. reason_of(one) .. ', because no other was left' or 'was asked'
  if attempt.raced then return asked .. ', and was slower.' end
  return asked .. ', and failed: ' .. result_of(attempt, false) .. '.'
end

local function would_cost(record, one)
  if not record.tokens or not one.model then return '' end
  if one.cost then return ' It would have cost ' .. money(one.cost) .. ' for the same tokens.' end
  return ' Its cost there is unknown: routing.prices has no price for it.'
end

local function other_candidates(record)
  local lines = {}
  for _, one in ipairs(record.candidates) do
    if one.key ~= record.key then
      lines[#lines + 1] = string.format('  %s %s%s', one.key, story_of(record, one), would_cost(record, one))
    end
  end
  for _, name in ipairs(record.others or {}) do
    lines[#lines + 1] = '  ' .. name .. ' was not a candidate: it does not have the model, or the policy excluded it.'
  end
  return lines
end

-- The candidates that could be asked before one of them, and how many of these failed.
local function before(record, key)
  local count, failed = 0, 0
  for _, one in ipairs(record.candidates) do
    if one.key == key then return count, failed, one end
    if not one.reason then
      count = count + 1
      if has_failed(record, one.provider) then failed = failed + 1 end
    end
  end
end

local function count_free(record)
  local count = 0
  for _, one in ipairs(record.candidates) do
    if not one.reason then count = count + 1 end
  end
  return count
end

local function is_race(record)
  for _, attempt in ipairs(record.attempts) do
    if attempt.raced then return true end
  end
  return false
end

local function why_it_served(record)
  local ahead, failed, one = before(record, record.key)
  if not ahead then return 'requests of this kind go there' end
  if one.reason then return 'no other was left, although ' .. reason_of(one) end
  if is_race(record) then return 'it was the fastest in a race' end
  if count_free(record) == 1 then return 'it was the only candidate' end
  if ahead == 0 then return 'it was the first candidate (priority ' .. one.priority .. ')' end
  if failed == ahead then return 'it was the next candidate when the ones before it had failed' end
  return 'the policy preferred it to the candidates before it'
end

local function why(record)
  if record.key then return 'It went to ' .. record.key .. ' because ' .. why_it_served(record) .. '.' end
  if record.refused then return 'The relay refused it without an attempt.' end
  return #record.attempts == 0 and 'No upstream was asked.' or 'No upstream served it: every attempt failed.'
end

local function policy_of(record)
  local after = record.in_force and '.' or ' now; the configuration has changed since.'
  return record.policy and '  Policy: ' .. record.policy .. after or nil
end

-- ---- All of it ---------------------------------------------------------------------------------

local function add_section(out, title, lines)
  if #lines == 0 then return end
  out[#out + 1] = ''
  out[#out + 1] = title
  for _, line in ipairs(lines) do out[#out + 1] = line end
end

--- Returns the lines that explain an exchange.
---@param record table as GET /requests/ID gives it
---@return string[]
function M.lines(record)
  local ids = record.upstream_id and ', ' .. record.upstream_id .. ' at the provider' or ''
  local out = { 'Exchange ' .. record.id .. ids, '', what_was_asked(record), what_came(record) }
  for _, tell in ipairs { where_time_went, tokens_of, cost_of, switch_of, edits_of } do
    out[#out + 1] = tell(record)
  end
  add_section(out, 'Why', { '  ' .. why(record), policy_of(record) })
  add_section(out, 'Attempts', attempts_of(record))
  add_section(out, 'Other candidates', other_candidates(record))
  if record.cut then add_section(out, 'The record is cut: not everything fitted into it.', {}) end
  return out
end

return M
