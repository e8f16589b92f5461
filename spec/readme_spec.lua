-- SPDX-License-Identifier: Apache-2.0
-- What the documents show must work: policies and adapters load and serve, configurations are valid.
local stage = require 'support.stage'
local config = require 'ccrelay.config'
local generation = require 'ccrelay.generation'

local README, POLICIES, PROVIDERS = 'README.md', 'policies/README.md', 'providers/README.md'
local ADAPTERS = { 'anthropic', 'zai', 'minimax', 'ollama' }

-- The blocks of a language with the line of the document each begins at.
local function blocks(path, language)
  local list, current, number = {}, nil, 0
  for line in (stage.read(path) .. '\n'):gmatch '([^\n]*)\n' do
    number = number + 1
    local word = line:match '^%s*```%s*(%w*)'
    if current and word then
      if current.language == language then
        list[#list + 1] = { line = current.line, text = table.concat(current, '\n') .. '\n' }
      end
      current = nil
    elseif word then
      current = { line = number + 1, language = word }
    elseif current then
      current[#current + 1] = line
    end
  end
  return list
end

local function variables(name)
  return name:find '_KEY$' and 'value-of-' .. name or name:find '^KEY_' and 'value' or nil
end

-- A complete script returns a function or a table; an adapter says so in its first line.
local function is_complete(text)
  return ('\n' .. text):find '\nreturn [f{]' ~= nil
end

local function adapter_name(text)
  return text:match '^%-%- providers/([%w_-]+)%.lua'
end

local function provider(name, type, more)
  local entry = { name = name, type = type, keys = { { key = 'sk-' .. name } } }
  for field, value in pairs(more or {}) do entry[field] = value end
  return entry
end

local function serves(options, body)
  local self = stage.new(options)
  local answer, exchange = self:request { body = body or {}, headers = {
    ['x-claude-code-request-class'] = 'auxiliary', ['x-claude-code-session-id'] = 'session' } }
  assert.equal(0, self:count 'script error', table.concat(self.lines, '\n'))
  assert.is_true(answer.status < 500, 'answered ' .. tostring(answer.status))
  return answer, exchange
end

local function all_scripts()
  local scripts = {}
  for _, name in ipairs(ADAPTERS) do
    local path = 'providers/' .. name .. '.lua'
    scripts[path] = stage.read(path)
  end
  return scripts
end

local counts = { lua = {}, yaml = {} }

for _, path in ipairs { README, POLICIES, PROVIDERS, 'examples/README.md' } do
  counts.lua[path], counts.yaml[path] = 0, 0

  for _, block in ipairs(blocks(path, 'lua')) do
    local place = path .. ':' .. block.line
    local adapter = adapter_name(block.text)
    if is_complete(block.text) then counts.lua[path] = counts.lua[path] + 1 end
    if adapter then
      it('the adapter at ' .. place .. ' loads and serves', function()
        local answer, exchange = serves { scripts = { ['providers/' .. adapter .. '.lua'] = block.text },
          providers = { provider(adapter, adapter, { team = 'blue' }) } }
        assert.equal(200, answer.status)
        assert.equal('blue', exchange.tries[1].headers['x-acme-team'])
      end)
    elseif is_complete(block.text) then
      it('the policy at ' .. place .. ' loads and serves', function()
        for _, body in ipairs { {}, { stream = true }, { model = 'claude-opus-4-5' } } do
          serves({ policy = block.text, env = variables, providers = {
            provider('anthropic', 'anthropic'), provider('zai', 'zai'), provider('ollama', 'ollama') } }, body)
        end
      end)
    else
      it('the lines at ' .. place .. ' are Lua', function()
        assert.is_truthy(loadstring(block.text))
      end)
    end
  end

  for _, block in ipairs(blocks(path, 'yaml')) do
    counts.yaml[path] = counts.yaml[path] + 1
    it('the configuration at ' .. path .. ':' .. block.line .. ' is valid', function()
      local scripts = all_scripts()
      local adapters = assert(generation.adapters(scripts))
      local configuration, notes =
        config.load { text = block.text, format = 'yaml', env = variables, adapters = adapters }
      assert.is_truthy(configuration, tostring(notes[1] and config.text(notes[1])))
      assert.same({}, notes)
      assert(generation.build { configuration = configuration, adapters = adapters, env = variables,
        policy_text = stage.read('policies/' .. configuration.routing.strategy .. '.lua') })
    end)
  end
end

it('the documents show what they are there for', function()
  assert.is_true(counts.lua[README] >= 1 and counts.yaml[README] >= 1)
  assert.is_true(counts.lua[POLICIES] >= 10)
  assert.is_true(counts.lua[PROVIDERS] >= 1 and counts.yaml[PROVIDERS] >= 8)
end)

-- The names of the first column of the tables behind a heading.
local function listed(path, heading)
  local text = stage.read(path)
  local from = assert(select(2, text:find('\n#+ ' .. heading .. '\n')))
  local section = text:sub(from, (text:find('\n##', from) or #text + 1) - 1)
  local names = {}
  for cell in section:gmatch '\n|([^|\n]*)|' do
    for name in cell:gmatch '`([%w_.:]+)' do names[name:gsub('^relay%.', ''):gsub('^%w+:', '')] = true end
  end
  return names
end

it('the cookbook lists all that relay has', function()
  local context = { journal = {}, routing = {}, declared = {} }
  local names = listed(POLICIES, 'relay')
  for name in pairs(require('ccrelay.init').bind(context)) do assert.is_true(names[name], name) end
end)

it('every strategy is in the cookbook', function()
  local names = listed(POLICIES, 'Strategies')
  for _, name in ipairs(require('ccrelay.config.file').scripts 'policies') do assert.is_true(names[name], name) end
end)

it('every adapter has its page', function()
  local text = stage.read(PROVIDERS)
  for _, name in ipairs(require('ccrelay.config.file').scripts 'providers') do
    assert.is_truthy(text:find('\n## ' .. name .. '\n', 1, true), name)
  end
end)

it('every view and method the cookbook lists is there', function()
  local self = stage.new { policy = [[return function(exchange)
    local text = exchange:field 'metadata.names'
    for name in text:gmatch '%S+' do local _ = exchange[name] end
    return exchange:respond {}
  end]] }
  local names = {}
  for name in pairs(listed(POLICIES, 'exchange')) do
    if not name:find '[-.]' and name:find '^%l' then names[#names + 1] = name end
  end
  assert.is_true(#names > 25)
  self:request { body = { metadata = { names = table.concat(names, ' ') } } }
  assert.equal(0, self:count 'script error', table.concat(self.lines, '\n'))
end)

describe('the documents lead to', function()
  for _, path in ipairs { README, POLICIES, PROVIDERS, 'examples/README.md' } do
    it('files and headings that are there, in ' .. path, function()
      local folder = path:match '^(.*)/' or '.'
      for target in stage.read(path):gmatch '%]%(([^)%s]+)%)' do
        local file, anchor = target:match '^([^#]*)#?(.*)$'
        if not target:find '^https?:' then
          local text = stage.read(file == '' and path or folder .. '/' .. file)
          local found = anchor == ''
          for heading in text:gmatch '\n#+ ([^\n]+)' do
            local slug = heading:lower():gsub('[^%w%s_-]', ''):gsub('%s', '-')
            found = found or slug == anchor
          end
          assert.is_true(found, target)
        end
      end
    end)
  end
end)
