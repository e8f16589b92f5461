-- SPDX-License-Identifier: Apache-2.0
-- Asks a running relay for /status on its admin listener. It is no finding if none runs.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local fetch = require 'ccrelay.net.fetch'
local ffi = require 'ffi'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'
local lists = require 'ccrelay.util.lists'
local texts = require 'ccrelay.util.text'

local TIMEOUT_MS, ANSWER_BYTES = 3000, 4 * 1024 * 1024

local function status_of(admin)
  local where = admin.listen ~= 'off' and address.listen(admin.listen)
  if not where or not where.host then return nil end
  local answer = fetch.send {
    url = address.client_url(admin.listen, false) .. '/status', direct = true, timeout_ms = TIMEOUT_MS,
    answer_bytes = ANSWER_BYTES, headers = { authorization = admin.token ~= '' and 'Bearer ' .. admin.token or nil },
  }
  if not answer then return nil end
  local ok, status = pcall(json.decode, answer.body)
  if not ok or type(status) ~= 'table' then return nil end
  return answer.status == 200 and type(status.generation) == 'table' and status or nil, answer.status
end

local function real(path)
  local way = file.way(path)
  return way[#way]
end

-- A reload does not move listeners. Sockets that systemd has passed take the place of server.listen.
local function check_listeners(doctor, status)
  if (status.sockets_passed or 0) > 0 then return end
  for _, text in ipairs(doctor.generation.configuration.server.listen) do
    if not text:find ':0$' and not lists.contains(status.listen, text) then
      doctor:add('running relay', 'it does not listen on ' .. text, 'restart it, as server.listen needs that')
    end
  end
end

local function check_helpers(doctor, status)
  for _, helper in ipairs(status.helpers or {}) do
    local fault = type(helper.state) == 'table' and helper.state.fault
    if fault then
      doctor:add('running relay: ' .. helper.name, tostring(fault),
        'make server.state_dir a folder that the relay may write to')
    end
  end
end

local function check_version(doctor, status)
  local own = ffi.string(C.cc_version())
  if status.version ~= own then
    doctor:add('running relay', ('it is version %s, this program is %s'):format(status.version, own),
      'restart the relay')
  end
  local loaded = status.configuration
  if doctor.path and loaded:sub(1, 1) == '/' and doctor.path:sub(1, 1) == '/' and real(loaded) ~= real(doctor.path) then
    doctor:add('running relay', ('it runs with %s, not with %s'):format(loaded, doctor.path),
      'name its file with --config, or restart the relay with this one')
  end
end

local function check_process(doctor, status)
  if status.reloads.fault then
    doctor:add('running relay', 'its last reload was refused: ' .. status.reloads.fault,
      'correct the file; the relay loads it when it is saved')
  end
  if status.policy_aside then
    doctor:add('running relay', ('its policy is quarantined and %s serves: %s'):format(status.policy_aside.instead,
      status.policy_aside.why), 'correct the policy and save it')
  end
  if status.draining then doctor:add('running relay', 'it is stopping', 'start it again') end
  if status.restarts > 0 then
    doctor:add('running relay', texts.count(status.restarts, 'worker') .. ' ended and had to be replaced',
      'look for "starting another" in its log, which says why')
  end
  if status.log_dropped > 0 then
    doctor:add('running relay', texts.count(status.log_dropped, 'log line') .. ' lost, as logging.output is too slow',
      'write the log to a file, or raise logging.level')
  end
end

local KEY_CURES = {
  unauthorized = 'replace the key, then reload with SIGHUP',
  billing = 'settle the bill of its account, then reload with SIGHUP',
}

local function check_provider(doctor, provider)
  local where = 'running relay: ' .. provider.provider
  if provider.breaker == 'open' then
    doctor:add(where, 'its circuit is open, as requests to it fail',
      'see the findings about this provider; the circuit closes when it works again')
  end
  for _, key in ipairs(provider.keys) do
    if key.state == 'aside' then
      local reason = tostring(key.reason or '')
      doctor:add('running relay: ' .. key.id, ('the key is suspended (%s)'):format(reason),
        KEY_CURES[reason:match '^%l+'] or KEY_CURES.unauthorized)
    end
  end
  local credentials = provider.credentials
  if credentials and not credentials.valid and credentials.failures > 0 then
    doctor:add(where, 'its credentials cannot be fetched', 'see the findings about its credentials')
  end
end

return {
  order = 30,
  title = 'running relay',
  generation = true,
  run = function(doctor)
    local admin = doctor.generation.configuration.admin
    local status, code = status_of(admin)
    if code == 401 or code == 403 then
      doctor:add('admin.listen ' .. admin.listen, ('the running relay answers %d to admin.token'):format(code),
        'restart the relay if admin.token has changed, or set CCRELAY_ADMIN_TOKEN here')
      doctor.running = { listen = {}, refuses = true }
    end
    if not status then return end
    doctor.running = status
    check_version(doctor, status)
    check_listeners(doctor, status)
    check_process(doctor, status)
    check_helpers(doctor, status)
    for _, provider in ipairs(status.providers) do check_provider(doctor, provider) end
  end,
}
