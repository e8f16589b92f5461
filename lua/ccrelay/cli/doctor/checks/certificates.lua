-- SPDX-License-Identifier: Apache-2.0
-- Reports certificates that expire soon: those of the relay, and those that providers present.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local probe = require 'ccrelay.cli.doctor.probe'
local texts = require 'ccrelay.util.text'

local DAY_MS = 24 * 3600000
local SOON_DAYS = 7

local function check(doctor, where, expires, cure)
  local left = expires - C.cc_time()
  if expires == 0 or left > SOON_DAYS * DAY_MS then return end
  local what = left <= 0 and 'its certificate has expired'
    or 'its certificate expires in ' .. texts.count(math.ceil(left / DAY_MS), 'day')
  doctor:add(where, what, cure)
end

local function check_own(doctor, tls)
  local expires = ffi.new 'double[1]'
  if C.cc_certificate_expires(tls.cert, expires) ~= C.CC_OK then
    return doctor:add('server.tls.cert ' .. tls.cert, ffi.string(C.cc_system_error()), 'write the certificate there')
  end
  check(doctor, 'server.tls.cert ' .. tls.cert, expires[0], 'renew it; the relay loads it when the file changes')
end

return {
  order = 70,
  title = 'certificates',
  generation = true,
  run = function(doctor)
    local tls = doctor.generation.configuration.server.tls
    if tls then check_own(doctor, tls) end
    if doctor.options.offline then return end
    for _, provider in ipairs(doctor.generation.providers) do
      check(doctor, 'providers.' .. provider.name, probe.of(doctor, provider).expires,
        ('have the certificate of %s renewed'):format(provider.base.host))
    end
  end,
}
