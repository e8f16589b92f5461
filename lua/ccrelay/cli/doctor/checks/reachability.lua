-- SPDX-License-Identifier: Apache-2.0
-- Connects to each provider: name, proxy, TLS; then sends a request that costs nothing.
local C = require 'ccrelay.c'
local probe = require 'ccrelay.cli.doctor.probe'

local function place(provider)
  return ('%s:%d'):format(provider.base.host, provider.base.port)
end

local TLS_CURES = {
  { 'not signed by a trusted CA', 'name the file with its CA in ca_file of the provider' },
  { 'self%-signed', 'name its certificate in ca_file of the provider' },
  { 'expired', 'have the certificate of %s renewed, or set the clock of this machine if that is wrong' },
  { 'not valid yet', 'set the clock of this machine, or have the certificate of %s replaced' },
  { 'another name', 'use the name of its certificate in base_url' },
}

local function tls_cure(provider, failure)
  for _, row in ipairs(TLS_CURES) do
    if failure:find(row[1]) then return (row[2]:gsub('%%s', function() return provider.base.host end)) end
  end
  return 'check that base_url is the https address of the provider'
end

local function proxy_cure()
  return 'correct HTTPS_PROXY where the relay starts, or name the host in NO_PROXY'
end

local cures = {
  [tonumber(C.CC_EDNS)] = function() return 'correct base_url or the region, or the DNS of this machine' end,
  [tonumber(C.CC_EREFUSED)] = function(provider) return ('start the server at %s, or correct base_url'):format(
    place(provider)) end,
  [tonumber(C.CC_ETLS)] = tls_cure,
  [tonumber(C.CC_EPROXY)] = proxy_cure,
  [tonumber(C.CC_EADDRESS_FORBIDDEN)] = function() return 'use https, or set allow_http of the provider' end,
}

local function unreachable_cure(provider)
  return ('let this machine reach %s through its firewall, or set HTTPS_PROXY'):format(place(provider))
end

local function check_connection(doctor, where, provider, found)
  local through = provider.proxy
  local cure = cures[found.error] or unreachable_cure
  if through and found.error ~= C.CC_ETLS then cure = proxy_cure end
  local what = 'it cannot be reached: ' .. (found.failure or 'unknown')
  if through then what = ('%s, by way of the proxy %s:%d'):format(what, through.host, through.port) end
  doctor:add(where, what, cure(provider, found.failure or ''))
end

local function check_answer(doctor, where, provider, answer)
  local status = answer.status
  if not status then
    doctor:add(where, 'it accepts connections, but does not answer: ' .. tostring(answer.failure),
      'check that base_url is the address of an HTTP service')
  elseif status >= 300 and status < 400 then
    doctor:add(where, ('it answers %d, a redirect, which the relay does not follow'):format(status),
      'write the address it leads to as base_url')
  elseif status >= 500 and status ~= 501 then
    doctor:add(where, ('it answers %d'):format(status), 'wait, and look at the status page of the provider')
  elseif status == 404 and answer.declared then
    doctor:add(where, 'it answers 404 to a request that this type of provider has',
      'correct base_url' .. (provider.source and ', project, region or model' or ''))
  end
end

return {
  order = 60,
  title = 'reachability',
  network = true,
  generation = true,
  run = function(doctor)
    for _, provider in ipairs(doctor.generation.providers) do
      local where = ('providers.%s (%s)'):format(provider.name, provider:base_url())
      local found = probe.of(doctor, provider)
      if not found.connected then
        check_connection(doctor, where, provider, found)
      else
        check_answer(doctor, where, provider, found.answers[1])
      end
    end
  end,
}
