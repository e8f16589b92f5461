-- SPDX-License-Identifier: Apache-2.0
-- Every part of an exchange has one owner (ccrelay.exchange.owners), and only that module writes it: this reads the
-- sources. It finds assignments to exchange.PART, to what is in it, and to local names of it, and table.insert and
-- table.remove on it. ccrelay.testing has exchanges of its own, which are no ccrelay.Exchange.
local each = require 'ccrelay.util.each'
local file = require 'ccrelay.config.file'
local owners = require 'ccrelay.exchange.owners'

local ROOT = 'lua/ccrelay/'
local CORE = 'exchange/init' -- the methods of exchanges: there it is "self"; it may also free what others made

-- Rows of code without comments and with each text as a 0.
local function lines_of(text)
  local lines = {}
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    line = line:gsub("'[^']*'", '0'):gsub('"[^"]*"', '0'):gsub('%-%-.*', '')
    lines[#lines + 1] = line
  end
  return lines
end

-- The left side and the right side of an assignment; nil for a line without one.
local function sides_of(line)
  local left, right = line:match '^%s*([%w_.,%s%[%]#+*-]-)%s*=%s*([^=].*)$'
  if not left then left, right = line:match 'then%s+([%w_.,%s%[%]#+*-]-)%s*=%s*([^=].*)$' end
  return left, right
end

local function split(list)
  local items = {}
  for item in (list .. ','):gmatch '%s*([^,]-)%s*,' do items[#items + 1] = item end
  return items
end

-- The part that an expression is, or is in; and whether it is more than the part itself.
local function part_of(expression, names, subject)
  local part, rest = (' ' .. expression):match('[^%w_]' .. subject .. '%.([%a_]+)(.*)$')
  if not part then
    local name
    name, rest = expression:match '^([%a_][%w_]*)(.*)$'
    part = rest and rest:find '^[.%[]' and names[name]
  end
  return part, rest
end

-- Names that a line gives to parts: "local queue = exchange.queue", "local own = queue_of(exchange)".
local function add_names(names, line, subject, makers)
  local left, right = line:match '^%s*local ([%w_, ]-) = (.*)$'
  if not left then return end
  local values = split(right)
  for index, name in ipairs(split(left)) do
    local value = values[index] or ''
    local part = value:match('^' .. subject .. '%.([%a_]+)') or makers[value:match '^([%a_]+)%(' or '']
    names[name] = part and owners[part] and part or nil
  end
end

-- The makers of a module: functions that return a part, by name.
local function makers_of(text)
  local makers = {}
  for name, body in text:gmatch '\nlocal function ([%a_]+)%(exchange%)\n(.-)\nend\n' do
    local part = body:match 'local own = exchange%.([%a_]+)'
    if part and body:find('return own', 1, true) then makers[name] = part end
  end
  return makers
end

-- The parts that a line assigns to.
local function assigned(line, names, subject)
  local list, left, right = {}, sides_of(line)
  if not left or line:find '^%s*local ' then return list end
  local frees = subject == 'self' and (right:find '^false' or right:find '^nil')
  for _, target in ipairs(split(left)) do
    local part = part_of(target, names, subject)
    if part and not (frees and owners[part]) then list[#list + 1] = part end
  end
  return list
end

-- The part that a line puts something into, or takes something out of.
local function edited(line, names, subject)
  local list = line:match 'table%.insert%(%s*([^,]+)' or line:match 'table%.remove%(%s*([^,)]+)'
  return list and part_of(list .. '.', names, subject)
end

-- What a module writes: { [part] = first line number }.
local function writes_of(module, text)
  local subject, found, names, makers = module == CORE and 'self' or 'exchange', {}, {}, makers_of(text)
  for number, line in ipairs(lines_of(text)) do
    if line:find '^[%l]' then names = {} end
    local written = assigned(line, names, subject)
    written[#written + 1] = edited(line, names, subject)
    for _, part in ipairs(written) do found[part] = found[part] or number end
    add_names(names, line, subject, makers)
  end
  return found
end

local function modules()
  local list, pipe = {}, assert(io.popen("find lua/ccrelay -name '*.lua' | LC_ALL=C sort"))
  for path in pipe:lines() do
    local module = path:sub(#ROOT + 1, -5)
    if not module:find '^testing/' then list[module] = assert(file.read(path)) end
  end
  pipe:close()
  return list
end

-- Faults of a module: writes of parts that are another's, or nobody's.
local function faults_of(module, text)
  local faults = {}
  for part, number in each(writes_of(module, text)) do
    if owners[part] ~= module then
      faults[#faults + 1] = ('%s:%d writes exchange.%s, which is of %s'):format(module, number, part,
        owners[part] or 'nobody')
    end
  end
  table.sort(faults)
  return faults
end

describe('the parts of an exchange', function()
  it('are written by their owners only', function()
    local faults = {}
    for module, text in each(modules()) do
      for _, fault in ipairs(faults_of(module, text)) do faults[#faults + 1] = fault end
    end
    table.sort(faults)
    assert.same({}, faults)
  end)

  it('each have an owner that writes them', function()
    local written, unwritten = {}, {}
    for module, text in each(modules()) do
      for part in each(writes_of(module, text)) do written[module .. ' ' .. part] = true end
    end
    for part, owner in each(owners) do
      local begun = owner == CORE or owner == 'script/handle' or part == 'outcomes'
      if not begun and not written[owner .. ' ' .. part] then unwritten[#unwritten + 1] = part end
    end
    assert.same({}, unwritten)
  end)

  -- Each of these is a way to write into another's part.
  for _, words in ipairs {
    'exchange.answered = true', '  exchange.queue.full = false', 'if gone then exchange.attempts = false end',
    'local x = 1\n  local attempts = exchange.attempts\n  attempts.last = x', 'exchange.wait.kinds, x = 1, 2',
    'x, exchange.log = 1, {}', "exchange.demands['a'] = {}", 'exchange.outcomes[#exchange.outcomes + 1] = x',
    'table.insert(exchange.outcomes, x)', 'other.exchange.evidence = {}', 'exchange.unheard_of = 1',
    'local function own_of(exchange)\n  local own = exchange.selection\n  return own\nend\n'
      .. 'local function f(exchange)\n  local own = own_of(exchange)\n  own.spare = 1\nend',
  } do
    it('are not written by ' .. words:gsub('\n', ' / '), function()
      assert.equal(1, #faults_of('util/text', '\n' .. words))
    end)
  end

  -- Each of these only reads.
  for _, words in ipairs {
    'local a = exchange.queue', 'if exchange.answered == true then return end', 'x = exchange.attempts',
    "error('exchange.answered = 1')", '-- exchange.answered = 1', 'f { exchange = exchange.client }',
    'local own = exchange.queue\n  if own == x then return end', 'return exchange.log and exchange.log.failure or nil',
  } do
    it('are read by ' .. words:gsub('\n', ' / '), function()
      assert.same({}, faults_of('util/text', '\n' .. words))
    end)
  end
end)
