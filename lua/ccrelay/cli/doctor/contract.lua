-- SPDX-License-Identifier: Apache-2.0
-- The contract of Claude Code with a gateway, one rule a row (code.claude.com/docs/en/llm-gateway-protocol). A row
-- sends requests to the second relay and returns what breaks the rule, or nil.
local each = require 'ccrelay.util.each'
local json = require 'ccrelay.util.json'
local mock = require 'ccrelay.cli.doctor.mock'

local MODELS_MS = 3000 -- Claude Code waits no longer
local SILENT_MS = 1500
local SYSTEM = '[{"type":"text", "text":"x-anthropic-billing-header: a"},{"type":"text","text":"b",'
  .. '"cache_control":{"type":"ephemeral", "ttl":"1h"}}]'
local TOOLS = '[{"name":"t","input_schema": {"type":"object","properties":{}}}]'
local UNKNOWN = '{"a":[1, 2.50]}'
local SIGNED = '[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking", '
  .. '"thinking":"\\u00e9","signature":"c2ln=="},{"type":"text","text":"ok"}]},'
  .. '{"role":"user","content":[{"type":"text", "text":"go"}]}]'
local BETA = 'claude-code-20250219, context-management-2025-06-27,extended-cache-ttl-2025-04-11'

local function not_200(answer)
  if answer.status == 200 then return nil end
  return ('it answers %s'):format(answer.status or answer.failure)
end

-- An error of the provider has not arrived with its status.
local function not_as(answer, status)
  if answer.status == status then return nil end
  return ('an error %d of the provider arrives as %s'):format(status, answer.status or answer.failure)
end

local function decoded(answer)
  local ok, value = pcall(json.decode, answer.body)
  return ok and type(value) == 'table' and value or {}
end

local function starts(client)
  for _, path in ipairs { '/', '/api/hello' } do
    local answer = client:send { method = 'HEAD', path = path }
    local wrong = not_200(answer)
    if wrong then return ('HEAD %s: %s'):format(path, wrong) end
  end
end

local function query(client)
  local wrong = not_200(client:post(client:body 'hello', { query = 'beta=true&doctor=1' }))
  if wrong then return wrong end
  local last = client:last()
  if not last.path:find '/v1/messages$' then return 'the request arrived at ' .. last.path end
  if last.query ~= 'beta=true&doctor=1' then return 'the query did not arrive as it was sent' end
end

local function counts(client)
  local answer = client:send { method = 'POST', path = '/v1/messages/count_tokens', body = client:body 'hello',
    headers = { ['anthropic-version'] = '2023-06-01', ['content-type'] = 'application/json' } }
  return not_200(answer) or type(decoded(answer).input_tokens) ~= 'number' and 'the answer has no input_tokens' or nil
end

local function arrives(client, headers)
  local wrong = not_200(client:post(client:body 'hello', { headers = headers }))
  if wrong then return wrong end
  local last = client:last().headers
  for name, value in each(headers) do
    if last[name] ~= value then
      return ('%s arrived as %s'):format(name, last[name] and '"' .. last[name] .. '"' or 'nothing')
    end
  end
end

local function betas(client)
  return arrives(client, { ['anthropic-beta'] = BETA, ['anthropic-version'] = '2023-06-01' })
end

local function open_lists(client)
  return arrives(client, { ['anthropic-doctor'] = 'a', ['x-claude-code-doctor'] = 'b',
    ['x-claude-code-session-id'] = 'doctor-session', ['x-claude-code-prompt-id'] = 'c',
    ['anthropic-workspace-id'] = 'doctor-workspace' })
end

local function pairs_of_beta(client)
  local wrong = not_200(client:post(client:body('hello', '"context_management":{"edits":[]},'),
    { headers = { ['anthropic-beta'] = BETA } }))
  if wrong then return wrong end
  local last = client:last()
  local has_beta = (last.headers['anthropic-beta'] or ''):find('context-management', 1, true) ~= nil
  local has_field = last.body:find('"context_management"', 1, true) ~= nil
  if has_beta == has_field then return nil end
  return has_beta and 'the beta arrives without its member context_management'
    or 'the member context_management arrives without its beta'
end

local function bytes(client)
  local body = ('{"model":"%s","max_tokens":16,"system":%s,"tools":%s,"doctor_unknown":%s,"messages":%s}'):format(
    client.model, SYSTEM, TOOLS, UNKNOWN, SIGNED)
  local wrong = not_200(client:post(body))
  if wrong then return wrong end
  local arrived = client:last().body
  for name, text in each { system = SYSTEM, tools = TOOLS, doctor_unknown = UNKNOWN, messages = SIGNED } do
    if not arrived:find(('"%s":%s'):format(name, text), 1, true) then
      return name == 'doctor_unknown' and 'an unknown member of the body is changed or missing'
        or ('%s is changed, which makes signatures of thinking blocks invalid'):format(name)
    end
  end
end

local function credentials(client)
  local wrong = not_200(client:post(client:body 'hello', { headers = { cookie = 'doctor=1' } }))
  if wrong then return wrong end
  local last = client:last().headers
  if last.cookie then return 'cookie is passed on' end
  for _, name in ipairs { 'x-api-key', 'authorization' } do
    if client.key and (last[name] or ''):find(client.key, 1, true) then
      return ('the client\'s key for the relay is passed on in %s'):format(name)
    end
  end
end

local function errors(client)
  local answer = client:post(client:body 'doctor:invalid')
  local wrong = not_as(answer, 400)
  if wrong then return wrong end
  if answer.body ~= mock.INVALID then return 'the body of an error is changed; Claude Code reads its words' end
  if answer.headers['request-id'] ~= 'req_doctor' then return 'request-id of an error is changed' end
end

local function headers(client)
  local answer = client:post(client:body 'hello')
  local wrong = not_200(answer)
  if wrong then return wrong end
  for name, value in each(mock.HEADERS) do
    if answer.headers[name] ~= value then
      return ('%s of the answer arrives as %s'):format(name, answer.headers[name] or 'nothing')
    end
  end
end

local function streams(client)
  local answer = client:post(client:body('hello', '"stream":true,'))
  local wrong = not_200(answer)
  if wrong then return wrong end
  if answer.body ~= mock.BEGIN .. mock.REST then return 'the events of a stream are changed' end
end

local function flushes(client)
  local answer = client:post(client:body('doctor:silent', '"stream":true,'), { timeout_ms = SILENT_MS })
  if not answer.body:find('text_delta', 1, true) then return 'events do not arrive before the stream ends' end
  if not answer.body:find('event: ping', 1, true) then return 'pings of the provider do not arrive' end
end

local function breaks(client)
  local answer = client:post(client:body('doctor:cut', '"stream":true,'))
  if answer.body:find('message_stop', 1, true) then return 'a stream that broke ends as if it were complete' end
end

local function lists_models(client)
  local both = { ['x-api-key'] = client.credential['x-api-key'] or client.credential.authorization:sub(8) }
  both.authorization = 'Bearer ' .. both['x-api-key']
  local answer = client:send { path = '/v1/models?limit=1000', headers = both, timeout_ms = MODELS_MS }
  local wrong = not_200(answer)
  if wrong then return wrong end
  local data = decoded(answer).data
  if type(data) ~= 'table' then return 'the answer has no data' end
  for _, model in ipairs(data) do
    if type(model.id) ~= 'string' or type(model.display_name) ~= 'string' then
      return 'a model has no id or no display_name'
    end
  end
end

local function hints(client)
  return not_200(client:post(client:body 'hello', { headers = {
    ['x-claude-code-request-class'] = 'doctor', ['x-claude-code-agent-type'] = '',
    ['x-claude-code-prev-tool-durations'] = '=;%zz;Bash=many', ['x-claude-code-compaction'] = '?' } }))
end

local function safeguards(client)
  local answer = client:post(client:body('hello', '"safeguards":{"auto_mode":{}},'))
  if answer.status == 200 then
    return not client:last().body:find('"safeguards"', 1, true)
      and 'safeguards are removed, so that Claude Code refuses every action' or nil
  end
  if answer.status ~= 400 or not answer.body:find('safeguards', 1, true) then
    return ('safeguards are answered with %s, expected 200, or 400 and "safeguards" in its message'):format(
      answer.status or answer.failure)
  end
end

local function unknown_model(client)
  local body = client:body('hello'):gsub('"model":"[^"]*"', '"model":"doctor-no-such-model"')
  local status = client:post(body).status
  if status == 401 or status == 403 then
    return ('an unknown model is answered with %d, so Claude Code asks its user to log in'):format(status)
  end
end

local function own_errors(client)
  local answer = client:send { path = '/v1/doctor' }
  local body = decoded(answer)
  local error = type(body.error) == 'table' and body.error or {}
  if body.type ~= 'error' or type(error.type) ~= 'string' or type(error.message) ~= 'string' then
    return 'an error of the relay itself has not the shape of the Messages API'
  end
end

local function retry_after(client)
  local answer = client:post(client:body 'doctor:limited')
  local wrong, seconds = not_as(answer, 429), tonumber(answer.headers['retry-after'])
  if wrong then return wrong end
  if not seconds or seconds < mock.RETRY_AFTER - 60 then
    return ('retry-after %d arrives as %s, so clients repeat the request too early'):format(mock.RETRY_AFTER,
      answer.headers['retry-after'] or 'nothing')
  end
end

---@class ccrelay.ContractRow
---@field [1] string the rule
---@field [2] fun(client: ccrelay.ContractClient): string? what breaks it

--- The last row exhausts the keys of the second relay.
---@type ccrelay.ContractRow[]
return {
  { 'HEAD / and /api/hello are answered', starts },
  { 'the path decides, the query is forwarded', query },
  { 'tokens are counted', counts },
  { 'anthropic-version and anthropic-beta arrive byte for byte', betas },
  { 'unknown headers of the client arrive', open_lists },
  { 'a beta and its member arrive together', pairs_of_beta },
  { 'system, tools, messages and unknown members arrive byte for byte', bytes },
  { 'cookies and keys for the relay are not forwarded', credentials },
  { 'errors of the provider arrive unchanged', errors },
  { 'rate limits, request-id, organization and x-should-retry arrive', headers },
  { 'streams arrive byte for byte', streams },
  { 'events and pings arrive at once', flushes },
  { 'a stream that breaks has no clean end', breaks },
  { 'models are listed within 3 s', lists_models },
  { 'malformed hints do no harm', hints },
  { 'safeguards arrive or are refused by name', safeguards },
  { 'an unknown model is no failed login', unknown_model },
  { 'errors of the relay have the shape of the Messages API', own_errors },
  { 'retry-after is never shortened', retry_after },
}
