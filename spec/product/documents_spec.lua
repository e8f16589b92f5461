-- SPDX-License-Identifier: Apache-2.0
-- Every link of every document leads to a file and a heading that exist.

local function read(path)
  local file = io.open(path, 'r')
  local text = file and file:read '*a'
  if file then file:close() end
  return text
end

local function exists(path)
  local file = io.open(path, 'r')
  if file then file:close() end
  return file ~= nil
end

local function documents()
  local list = {}
  local listing = assert(io.popen [[find . -name '*.md' -not -path '*/node_modules/*' -not -path './build*' | sort]])
  for path in listing:lines() do list[#list + 1] = path:sub(3) end
  listing:close()
  return list
end

-- The lines of a document; those of code are empty.
local function prose(text)
  local list, fenced = {}, false
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    local fence = line:find '^%s*```' ~= nil
    list[#list + 1] = (fence or fenced) and '' or line
    if fence then fenced = not fenced end
  end
  return list
end

-- The anchor that GitHub makes of a heading: small letters, digits, "-" and "_"; letters beyond ASCII stay.
local function slug(heading)
  local text = heading:gsub('%[(.-)%]%(.-%)', '%1'):lower()
  return (text:gsub('[^%w%s_\128-\255-]', ''):gsub('%s', '-'))
end

local function anchors(text)
  local names, count = {}, {}
  for _, line in ipairs(prose(text)) do
    local heading = line:match '^#+%s+(.-)%s*$'
    if heading then
      local name = slug(heading)
      names[count[name] and name .. '-' .. count[name] or name] = true
      count[name] = (count[name] or 0) + 1
    end
  end
  return names
end

-- Why a link of the document at path leads nowhere, or nil.
local function fault(path, target)
  local file, anchor = target:match '^([^#]*)#?(.*)$'
  local folder = path:match '^(.*/)' or ''
  local place = file == '' and path or folder .. file
  if not exists(place) then return 'there is no file ' .. place end
  if anchor == '' then return nil end
  if not anchors(read(place))[anchor] then return place .. ' has no heading #' .. anchor end
end

local count = 0

for _, path in ipairs(documents()) do
  it(path .. ' links to files and headings that exist', function()
    for number, line in ipairs(prose(read(path))) do
      for target in line:gsub('`[^`]*`', '``'):gmatch '%]%(([^)%s]+)%)' do
        if not target:find '^%a+:' then
          count = count + 1
          assert.is_nil(fault(path, target), path .. ':' .. number)
        end
      end
    end
  end)
end

-- ---- Paths in inline code ----------------------------------------------------------------------

-- What a path in a document may begin at, beside the folder of the document.
local ROOTS = { '', 'runtime/', 'lua/ccrelay/' }
local ENDINGS = { c = true, h = true, lua = true, sh = true, mjs = true, cmake = true, md = true, yaml = true }

-- The path that inline code names, without its slash at the end; nil for placeholders and all that is no path here.
local function path_of(code)
  if not code:find '^%l[%w_./-]*$' or not code:find('/', 1, true) or code:find('..', 1, true) then return nil end
  if code:find '%u%u' or code:find '%f[%w]X%f[^%w_]' or code:find '_X%.' then return nil end
  local folder = code:match '^(.*)/$'
  return folder or ENDINGS[code:match '%.(%w+)$' or ''] and code or nil
end

local function is_found(document, path)
  if exists((document:match '^(.*/)' or '') .. path) then return true end
  for _, root in ipairs(ROOTS) do
    if exists(root .. path) then return true end
  end
  return false
end

local paths = 0

for _, document in ipairs(documents()) do
  it('the paths that ' .. document .. ' names exist', function()
    for number, line in ipairs(prose(read(document))) do
      for code in line:gmatch '`([^`]+)`' do
        local path = path_of(code)
        if path then
          paths = paths + 1
          assert.is_true(is_found(document, path), document .. ':' .. number .. ' ' .. path)
        end
      end
    end
  end)
end

it('paths were found, and one that does not exist is noticed', function()
  assert.is_true(paths > 50)
  assert.is_false(is_found('README.md', path_of 'runtime/net/nowhere.c'))
  assert.is_nil(path_of 'policies/NAME.lua')
  assert.is_nil(path_of '/v1/models')
end)

-- Every name of the C code that headers have.
local function names_of_c()
  local names = {}
  local listing = assert(io.popen [[cat $(find runtime -name '*.h')]])
  for name in listing:read('*a'):gmatch '%f[%w_][cC][cC]_[%w_]+' do names[name] = true end
  listing:close()
  return names
end

it('the C functions and errors that documents name exist', function()
  local names, seen = names_of_c(), 0
  for _, document in ipairs(documents()) do
    for name in read(document):gmatch '`([cC][cC]_[%w_]+)' do
      if not name:find '_X_' then
        seen = seen + 1
        assert.is_true(names[name] or name == 'CC_RELAY_CONFIG', document .. ': ' .. name)
      end
    end
  end
  assert.is_true(seen > 10)
end)

-- ---- Links -------------------------------------------------------------------------------------

it('links were found', function() assert.is_true(count > 50) end)

it('a link to nowhere is noticed', function()
  assert.is_truthy(fault('README.md', 'nowhere.md'))
  assert.is_truthy(fault('README.md', 'policies/README.md#nowhere'))
  assert.is_nil(fault('README.md', 'policies/README.md#strategies'))
  assert.is_nil(fault('policies/README.md', '../README.md'))
end)
