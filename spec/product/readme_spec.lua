-- SPDX-License-Identifier: Apache-2.0
-- Examples in the documents work: policies and adapters load and serve, configurations are valid.
local stage = require 'support.stage'
local config = require 'ccrelay.config'
local generation = require 'ccrelay.generation'
local types = require 'ccrelay.cli.commands.types'

local README, POLICIES, PROVIDERS = 'README.md', 'policies/README.md', 'providers/README.md'
local JAPANESE = 'README.ja.md'
local TESTING, CLOUDS, ADAPTERS = 'policies/testing.md', 'providers/clouds.md', 'providers/adapters.md'
local EXAMPLES = 'examples/README.md'
local DOCUMENTS = { README, POLICIES, TESTING, PROVIDERS, CLOUDS, ADAPTERS, EXAMPLES }
local scripts_of = require('ccrelay.config.file').scripts

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

local NAMED = { AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE', GOOGLE_CLOUD_PROJECT = 'my-project' }

local function variables(name)
  return NAMED[name] or name:find '_KEY$' and 'value-of-' .. name or name:find '^KEY_' and 'value' or nil
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
  for _, name in ipairs(scripts_of 'providers') do
    local path = 'providers/' .. name .. '.lua'
    scripts[path] = stage.read(path)
  end
  return scripts
end

-- Loads a configuration and builds what it describes, without anything to complain of.
local function builds(text)
  local adapters = assert(generation.adapters(all_scripts()))
  local configuration, notes = config.load { text = text, format = 'yaml', env = variables, adapters = adapters }
  assert.is_truthy(configuration, tostring(notes[1] and config.text(notes[1])))
  assert.same({}, notes)
  local built, faults = generation.build { configuration = configuration, adapters = adapters, env = variables,
    policy_text = stage.read('policies/' .. configuration.routing.strategy .. '.lua') }
  assert.is_truthy(built, tostring(faults[1] and config.text(faults[1])))
  return built
end

local counts = { lua = {}, yaml = {} }

for _, path in ipairs(DOCUMENTS) do
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
      builds(block.text)
    end)
  end
end

-- tests/bare.sh runs README's lines; these are what can be seen without a bare system.
describe('the lines of README', function()
  local function lines(language)
    local list = {}
    for _, block in ipairs(blocks(README, language)) do
      for line in block.text:gmatch '[^\n]+' do list[#list + 1] = line end
    end
    return list
  end

  it('name commands and files that are there', function()
    local cli, seen = require 'ccrelay.cli', 0
    for _, line in ipairs(lines 'sh') do
      local verb = line:match '^build/ccrelay (%l+)'
      if verb then
        seen = seen + 1
        assert.is_truthy(cli.verb(verb), line)
      end
      for path in line:gmatch '%f[%w_.]%l+/[%w_/]+%.%l+' do assert.is_truthy(stage.read(path), line) end
    end
    assert.is_true(seen >= 6)
  end)

  it('send Claude Code to where the configuration listens, with the key that it takes', function()
    local text = blocks(README, 'yaml')[1].text
    local configuration = config.load { text = text, format = 'yaml', env = variables }
    local address = 'http://' .. configuration.server.listen[1]
    local secret, with_key
    for _, line in ipairs(lines 'sh') do
      secret = line:match '^export PROXY_API_KEY=(%S+)$' or secret
      local given, rest = line:match '^ANTHROPIC_BASE_URL=(%S+) (.*)claude$'
      if given then assert.equal(address, given) end
      if secret and given then with_key = rest end
    end
    assert.equal('ANTHROPIC_AUTH_TOKEN=' .. secret .. ' ', with_key)
  end)
end)

-- Only comments are in another language.
local COMMENT = { sh = '%s*#[^\n]*', yaml = '%s*#[^\n]*', lua = '%s*%-%-[^\n]*' }

local function code(path, language)
  local list = {}
  for _, block in ipairs(blocks(path, language)) do
    list[#list + 1] = block.text:gsub(COMMENT[language], '')
  end
  return list
end

for language in pairs(COMMENT) do
  it('the Japanese README has the same blocks of ' .. language, function()
    assert.same(code(README, language), code(JAPANESE, language))
    assert.is_true(#code(JAPANESE, language) > 0)
  end)
end

it('the documents show what they are there for', function()
  assert.is_true(counts.lua[README] >= 1 and counts.yaml[README] >= 1)
  assert.is_true(counts.lua[POLICIES] >= 10)
  assert.is_true(counts.lua[ADAPTERS] >= 1 and counts.yaml[PROVIDERS] >= 9 and counts.yaml[CLOUDS] >= 6)
end)

local function part(path, heading)
  local text = '\n' .. stage.read(path)
  local from = assert(select(2, text:find('\n#+ ' .. heading .. '\n')))
  return text:sub(from, (text:find('\n##', from) or #text + 1) - 1)
end

-- The names of the first column of tables.
local function names_of(text)
  local names = {}
  for cell in text:gmatch '\n|([^|\n]*)|' do
    for name in cell:gmatch '`([%w_.:]+)' do names[name:gsub('^relay%.', ''):gsub('^%w+:', '')] = true end
  end
  return names
end

local function listed(path, heading)
  return names_of(part(path, heading))
end

it('the cookbook lists all that relay has', function()
  local context = { logger = {}, routing = {}, declared = {} }
  local names = listed(POLICIES, 'relay')
  for name in pairs(require('ccrelay.init').bind(context)) do assert.is_true(names[name], name) end
end)

-- ---- Annotations -------------------------------------------------------------------------------

-- What a class is annotated with, fields and functions.
local function annotated(name)
  local names = {}
  for _, class in ipairs(types.classes()) do
    for _, field in ipairs(class.name == name and class.fields or {}) do names[field] = true end
    for _, entry in ipairs(class.name == name and class.functions or {}) do names[entry.name] = true end
  end
  assert.is_truthy(next(names), name)
  return names
end

-- What the command prints.
local function output_of(...)
  local real, out = io.stdout, {}
  rawset(io, 'stdout', { write = function(_, ...) out[#out + 1] = table.concat { ... } end })
  local status = require('ccrelay.cli').main { ... }
  rawset(io, 'stdout', real)
  assert.equal(0, status)
  return table.concat(out)
end

-- The names that ccrelay types --reference prints for a class.
local function printed(name)
  local section = (output_of('types', '--reference') .. '\n#### '):match('#### ' .. name .. '\n(.-)\n#### ')
  local names = {}
  for cell in assert(section, name):gmatch '\n| `([^\n]*)' do
    names[cell:match '^([%w_]+): ' or cell:match '^%w+[.:]([%w_]+)%('] = true
  end
  return names
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- Names that a text has in a row, without what stands in brackets.
local function told(text)
  local names = {}
  for name in text:gsub('%b()', ''):gmatch '`(%l[%w_]*)' do names[name] = true end
  return names
end

local function sentence(path, beginning)
  return told(assert(stage.read(path):match('\n' .. beginning .. '(.-)%.%s'), beginning))
end

local function in_row(path, heading, first)
  return told(assert(part(path, heading):match('\n| `' .. first .. '` |([^\n]*)'), first))
end

local function gate_as_one(names)
  assert.is_true(names['gate.bytes'] and names['gate.ms'])
  names['gate.bytes'], names['gate.ms'], names.gate = nil, nil, true
  return names
end

-- The two tables of the table form.
local function form(last)
  local text = part(POLICIES, 'The table form')
  local at = assert(text:find('\n| `report` |', 1, true))
  if not last then return gate_as_one(names_of(text:sub(1, at))) end
  return names_of(text:sub(text:find('\n', at + 1, true), -1))
end

-- A table of the page about tests.
local function titled(title)
  local text = stage.read(TESTING) .. '\n'
  local rows = assert(text:match('\n| ' .. title:gsub('%p', '%%%0') .. ' | |(.-)\n\n'), title)
  local names = {}
  for name in pairs(names_of(rows)) do names[name:gsub('^stage%.', '')] = true end
  return names
end

for name, documented in pairs {
  Relay = function() return listed(POLICIES, 'relay') end,
  Routing = function() return in_row(POLICIES, 'relay', 'relay.routing') end,
  Json = function() return in_row(POLICIES, 'relay', 'relay.json') end,
  Exchange = function() return listed(POLICIES, 'exchange') end,
  Upstream = function() return listed(POLICIES, 'upstream') end,
  Outcome = function() return listed(POLICIES, 'outcome') end,
  Writer = function() return listed(POLICIES, 'writer') end,
  Cell = function() return listed(POLICIES, 'cell') end,
  Policy = function() return form(false) end,
  Report = function() return form(true) end,
  Stage = function() return titled '`stage`' end,
  StageOptions = function() return titled '`testing.stage`' end,
  TestRequest = function() return titled 'request' end,
  TestReply = function() return titled 'reply' end,
  TestAnswer = function() return titled 'answer' end,
  TestTry = function() return titled 'attempt' end,
  Signer = function() return sentence(ADAPTERS, 'A signer has') end,
} do
  it('what is annotated of ccrelay.' .. name .. ' is in the reference, and nothing else', function()
    assert.same(sorted(documented()), sorted(annotated('ccrelay.' .. name)))
  end)

  it('what is documented of ccrelay.' .. name .. ' is printed by ccrelay types --reference', function()
    assert.same(sorted(documented()), sorted(printed(name)))
  end)
end

it('what is annotated for adapters is in the reference, and nothing else', function()
  local methods, expected = listed(ADAPTERS, 'Writing an adapter'), annotated 'ccrelay.Adapter'
  local output = printed 'Adapter'
  for name in pairs(annotated 'ccrelay.Request') do expected[name] = true end
  for name in pairs(printed 'Request') do output[name] = true end
  for name in pairs(sentence(ADAPTERS, 'The request has')) do methods[name] = true end
  assert.is_true(methods.endpoint and methods.pass and methods.framing)
  assert.same(sorted(methods), sorted(expected))
  assert.same(sorted(methods), sorted(output))
end)

it('every strategy is in the cookbook', function()
  local names = listed(POLICIES, 'Strategies')
  for _, name in ipairs(scripts_of 'policies') do assert.is_true(names[name], name) end
end)

it('every adapter has its section, and a link that leads to it', function()
  local text = stage.read(PROVIDERS)
  for _, name in ipairs(scripts_of 'providers') do
    local page = text:match('\n| %[`' .. name .. '`%]%(([%w.]*)#' .. name .. '%) |')
    assert.is_truthy(page, name)
    local there = page == '' and text or stage.read('providers/' .. page)
    assert.is_truthy(there:find('\n## ' .. name .. '\n', 1, true), name)
  end
end)

it('every key that only some types have is described', function()
  local text, found = stage.read(PROVIDERS) .. stage.read(CLOUDS), 0
  local root = require 'ccrelay.config.schema'
  for _, section in ipairs(root.fields) do
    for _, row in ipairs(section[1] == 'providers' and section.item.fields or {}) do
      if row.only then
        found = found + 1
        assert.is_truthy(text:find('%f[%w_]' .. row[1] .. '%f[^%w_]'), row[1])
      end
    end
  end
  assert.is_true(found >= 10)
end)

-- The names that the code uses behind a word and a dot.
local function used(path, word)
  local names = {}
  for name in stage.read(path):gmatch('%f[%w_]' .. word .. '%.([%l_]+)') do names[name] = true end
  return names
end

-- What an adapter may have, as a wrong one is told.
local function adapter_members()
  local _, faults = generation.adapters { ['providers/wrong.lua'] = 'return { wrong = 1 }' }
  local names = {}
  for name in faults[1].message:match('may have (.*)$'):gmatch '[%l_]+' do names[name] = true end
  return names
end

local function methods()
  local exchange = { relay = false, handle = 0 }
  local upstream = { key = { provider = { base = {}, settings = {} } } }
  return debug.getmetatable(require('ccrelay.providers.draft').new(exchange, 0, upstream)).__index
end

it('the members of an adapter and the methods of its request are listed, and no others', function()
  local expected, members = {}, adapter_members()
  for name in pairs(members) do expected[name] = true end
  for name, value in pairs(methods()) do
    if type(value) == 'function' then expected[name] = true end
  end
  assert.is_true(members.framing and expected.base64 and expected.pass)
  local documented = listed(ADAPTERS, 'Writing an adapter')
  assert.same(sorted(expected), sorted(documented))
end)

it('all that ccrelay.fit has is listed, and adapters can require it', function()
  local names = {}
  for name in pairs(require 'ccrelay.providers.cloud') do
    names['fit.' .. name] = true
    assert.is_true(annotated('ccrelay.Fit')[name], name)
  end
  assert.same(sorted(names), sorted(listed(ADAPTERS, 'Making a request fit')))
  assert(generation.adapters { ['providers/fit.lua'] = "require 'ccrelay.fit'; return {}" })
end)

it('what a credential scheme and its source have is listed, and no more', function()
  local expected = used('lua/ccrelay/exchange/attempt.lua', 'scheme')
  for name in pairs(used('lua/ccrelay/exchange/compose.lua', 'scheme')) do expected[name] = true end
  for name in pairs(used('lua/ccrelay/generation/init.lua', 'scheme')) do expected[name] = true end
  for name in pairs(used('lua/ccrelay/credentials/cache.lua', 'source')) do expected[name] = true end
  assert.is_true(expected.examine and expected.mandatory_ms)
  assert.same(sorted(expected), sorted(listed(ADAPTERS, 'Writing a credential scheme')))
end)

-- Configurations in examples/.
local function example_files()
  local listing = assert(io.popen 'ls examples/*.yaml')
  local files = {}
  for path in listing:lines() do files[#files + 1] = path end
  listing:close()
  return files
end

describe('the configuration', function()
  for _, path in ipairs(example_files()) do
    local name = path:match '([^/]+)$'
    it(path .. ' is valid, complete and listed', function()
      local text = stage.read(path)
      local built = builds(text)
      assert.is_true(#built.providers >= 2)
      assert.is_truthy(text:find('%-%-config ' .. path:gsub('%p', '%%%0')), 'how to start it')
      assert.is_truthy(stage.read(EXAMPLES):find('\n| `' .. name .. '` |', 1, true))
      for _, one in ipairs(built.providers) do
        for _, model in ipairs { 'claude-sonnet-4-5', 'claude-haiku-4-5-20251001' } do
          assert.is_true(one:claims(model), one.name .. ' ' .. model)
        end
      end
    end)
  end

  it('of each cloud is there', function()
    assert.same({ 'examples/azure.yaml', 'examples/bedrock.yaml', 'examples/vertex.yaml' }, example_files())
  end)
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
