-- SPDX-License-Identifier: Apache-2.0
-- The part of the scripted C side that does the relay's own jobs: requests, connect checks and programs. The test
-- scripts their answers in state.pages and state.connect_checks.
local ffi = require 'ffi'
local world = require 'ccrelay.testing.world'

local state, real = world.state, world.real
local put, bytes, post, drop, header_of, text_of =
  world.put, world.bytes, world.post_event, world.drop, world.header_of, world.text_of

local fake = {}

function fake.cc_timer(_, number, delay)
  if state.clocks[number] then drop(state.clocks[number]) end
  state.clocks[number] = delay >= 0 and post(delay, real.CC_EVENT_TIMER, 0, number) or nil
  return 0
end

-- Takes the next of a list of replies; the last one stays.
local function scripted(list)
  if not list then return { error = 'CC_EREFUSED' } end
  return #list > 1 and table.remove(list, 1) or list[1]
end

local function begin_job(job, reply)
  state.count_jobs = state.count_jobs + 1
  local id = state.count_jobs
  if type(reply) == 'function' then reply = reply(job) end
  job.reply = reply
  state.jobs[id], state.asked[#state.asked + 1] = job, job
  post(reply.after or 1, real.CC_EVENT_FETCH, id)
  return id
end

function fake.cc_fetch(_, spec)
  local origin, headers = state.origins[spec.origin + 1], {}
  for name, value in text_of(spec.headers):gmatch '([^:\n]+): ([^\n]*)\n' do headers[name:lower()] = value end
  local scheme, usual = origin.tls and 'https://' or 'http://', origin.tls and 443 or 80
  local host = origin.port == usual and origin.host or origin.host .. ':' .. origin.port
  local method, url = text_of(spec.method), scheme .. host .. text_of(spec.target)
  return begin_job({ method = method, url = url, headers = headers, body = text_of(spec.body) },
    scripted(state.pages[method .. ' ' .. url]))
end

function fake.cc_connect_check(_, origin)
  local host = state.origins[origin + 1].host
  return begin_job({ connect_check = host }, scripted(state.connect_checks[host]))
end

function fake.cc_run(_, spec)
  local arguments = {}
  for argument in text_of(spec.arguments):gmatch '(%Z*)%z' do arguments[#arguments + 1] = argument end
  return begin_job({ arguments = arguments }, scripted(state.pages[arguments[1]]))
end

function fake.cc_fetched(_, id, out)
  local reply = state.jobs[id].reply
  ffi.fill(out, ffi.sizeof 'struct cc_fetched')
  out.error, out.status = reply.error and real[reply.error] or 0, reply.status or 200
  put(out.body, reply.body or '')
  put(out.detail, reply.detail or '')
  return 0
end

function fake.cc_fetched_header(_, id, name, size, value)
  local found = header_of(state.jobs[id].reply.headers, bytes(name, size))
  if not found then return real.CC_ENOTFOUND end
  put(value, found)
  return 0
end

return fake
