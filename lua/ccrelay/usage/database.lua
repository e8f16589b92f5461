-- SPDX-License-Identifier: Apache-2.0
-- An SQLite database from Lua. Its functions throw faults as tables with a code (a negative enum cc_error) and a
-- message, so that one place handles them and undoes the transaction.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local slice = require 'ccrelay.util.slice'

---@class ccrelay.Database
---@field handle ffi.cdata*
---@field statements table<string, ffi.cdata*> by their text
local Database = {}
Database.__index = Database

local M = {}

local handle_box, statement_box = ffi.new 'struct cc_database *[1]', ffi.new 'struct cc_statement *[1]'
local text = ffi.new 'struct cc_slice'

local function fault(code)
  return { code = code, message = ffi.string(C.cc_system_error()) }
end

local function check(code)
  if code < 0 then error(fault(code), 0) end
  return code
end

--- Opens a database, which is made when it is new.
---@param path string
---@return ccrelay.Database?
---@return { code: integer, message: string }? fault
function M.open(path)
  local code = C.cc_database_open(path, handle_box)
  if code ~= C.CC_OK then return nil, fault(code) end
  return setmetatable({ handle = handle_box[0], statements = {} }, Database)
end

--- Closes it. Nothing else may be called after that.
function Database:close()
  C.cc_database_close(self.handle)
end

--- Whether the file is still where it was opened.
---@return boolean
function Database:in_place()
  return C.cc_database_in_place(self.handle)
end

--- Runs work with a time limit: when it is over, its statements fail.
---@param milliseconds number
---@param work function
---@param ... any
---@return any result of work
function Database:within(milliseconds, work, ...)
  C.cc_database_deadline(self.handle, C.cc_now() + milliseconds)
  local ok, result = pcall(work, ...)
  C.cc_database_deadline(self.handle, 0)
  if not ok then error(result, 0) end
  return result
end

--- Runs statements that return nothing.
---@param sql string
function Database:run(sql)
  check(C.cc_database_run(self.handle, sql))
end

local function prepared(self, sql)
  local statement = self.statements[sql]
  if not statement then
    check(C.cc_database_prepare(self.handle, sql, statement_box))
    statement = statement_box[0]
    self.statements[sql] = statement
  end
  return statement
end

local function bind(statement, values, count)
  for index = 1, count do
    local value = values[index]
    if type(value) == 'string' then
      check(C.cc_statement_text(statement, index, value, #value))
    elseif value ~= nil then
      check(C.cc_statement_number(statement, index, value))
    end
  end
end

--- Runs one statement with values for its parameters: texts, numbers, or nil.
---@param sql string
---@param ... string|number|nil
function Database:execute(sql, ...)
  local statement = prepared(self, sql)
  bind(statement, { ... }, select('#', ...))
  while check(C.cc_statement_step(statement)) == 1 do end
end

--- Returns the rows of a query, as lists of its columns. `kinds` has a letter for each column: n for a number (nil when
--- it is NULL), t for a text.
---@param kinds string
---@param sql string
---@param ... string|number|nil values of the parameters
---@return (string|number|nil)[][]
function Database:rows(kinds, sql, ...)
  local statement, rows = prepared(self, sql), {}
  bind(statement, { ... }, select('#', ...))
  while check(C.cc_statement_step(statement)) == 1 do
    local row = {}
    for column = 1, #kinds do
      if string.sub(kinds, column, column) == 't' then
        C.cc_statement_value_text(statement, column - 1, text)
        row[column] = slice.text(text)
      else
        local value = C.cc_statement_value(statement, column - 1)
        row[column] = value == value and value or nil
      end
    end
    rows[#rows + 1] = row
  end
  return rows
end

--- Runs work in a transaction: all of it is kept, or none.
---@param work function
---@param ... any
function Database:transaction(work, ...)
  self:run 'BEGIN IMMEDIATE'
  local ok, message = pcall(work, ...)
  if ok then ok, message = pcall(self.run, self, 'COMMIT') end
  if ok then return end
  pcall(self.run, self, 'ROLLBACK')
  error(message, 0)
end

return M
