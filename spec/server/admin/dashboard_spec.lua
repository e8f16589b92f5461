-- SPDX-License-Identifier: Apache-2.0
-- The files of the dashboard.
local fake = require 'support.fake_c'
local admin = require 'ccrelay.server.admin'
local ffi = require 'ffi'
local stage = require 'support.stage'

local function ask(path, more)
  local current = stage.new().current
  current.configuration.admin = { token = more and more.token or '' }
  local event = ffi.new 'struct cc_event'
  local host = more and more.host or 'localhost'
  local exchange = fake.arrive(0, { method = 'GET', path = path, headers = { host = host } })
  repeat assert(fake.C.cc_next(nil, event)) until event.type == fake.C.CC_EVENT_READY
  admin.answer({ relay = nil, generation = current }, event.id)
  return exchange.answer
end

it('the page and its files have their types, and a policy that lets nothing else in', function()
  for path, kind in pairs { ['/'] = 'text/html', ['/dashboard/main.js'] = 'text/javascript',
    ['/dashboard/style.css'] = 'text/css', ['/dashboard/icon.svg'] = 'image/svg' } do
    local answer = ask(path)
    assert.equal(200, answer.status, path)
    assert.equal(1, answer.headers['content-type']:find(kind, 1, true), path)
    local policy = answer.headers['content-security-policy']
    assert.matches("default%-src 'none'", policy)
    assert.matches("frame%-ancestors 'none'", policy)
    assert.is_nil(policy:find('unsafe', 1, true))
    assert.equal('nosniff', answer.headers['x-content-type-options'])
    assert.is_nil(answer.headers['access-control-allow-origin'])
  end
end)

it('no other file is shown', function()
  for _, path in ipairs { '/dashboard', '/dashboard/none.js', '/dashboard/../lua/ccrelay/c.lua', '/dashboard/..',
    '/dashboard/%2e%2e/LICENSE', '/dashboard/.hidden.js', '/dashboard/a/b.js', '/dashboard/uPlot.LICENSE' } do
    assert.equal(404, ask(path).status, path)
  end
end)

it('the page is shown without the token, and the facts are not', function()
  assert.equal(200, ask('/', { token = 'canary', host = 'relay.example' }).status)
  assert.equal(401, ask('/events', { token = 'canary', host = 'relay.example' }).status)
end)

it('without a token only names of this machine see the page', function()
  assert.equal(403, ask('/', { host = 'evil.example' }).status)
end)

it('all that the page loads is below 200 KB and comes from its own folder', function()
  local seen, sum = {}, 0
  local function load(path)
    if seen[path] then return end
    seen[path] = true
    local body = ask(path).body
    sum = sum + #body
    if path:find('uPlot', 1, true) then return end
    for name in body:gmatch '["\'](/dashboard/[^"\']+)["\']' do load(name) end
    for name in body:gmatch "from '%./([^']+)'" do load('/dashboard/' .. name) end
    local foreign = body:gsub('http://www%.w3%.org/2000/svg', '')
    assert.is_nil(foreign:find('https?://'), path)
  end
  load '/'
  assert.is_true(seen['/dashboard/traffic.js'])
  assert.is_true(sum > 50000 and sum < 200000, sum)
end)
