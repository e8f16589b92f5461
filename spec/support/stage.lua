-- SPDX-License-Identifier: Apache-2.0
-- The stage of ccrelay test, with access to the exchanges and to all options, for the specs.
local fake = require 'ccrelay.testing.c'
local json = require 'ccrelay.util.json'
local stage = require 'ccrelay.testing.stage'

local M = {}

local Stage = setmetatable({}, { __index = stage.Stage })
Stage.__index = Stage

function M.read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read '*a'
  file:close()
  return text
end

M.build = stage.build

--- Makes a stage with a generation in force.
---@param options table?
function M.new(options)
  local self = stage.empty(Stage)
  self:use(options or {})
  return self
end

--- Sets the replies of an upstream: one for each attempt in turn, the last one for all further attempts.
function Stage:reply(host, ...)
  self.replies[host .. '.test'] = { ... }
end

--- Sends one request. Returns its answer and its exchange, with .tries.
---@param request table?
function Stage:request(request)
  local exchange = self:requests(request or {})
  local answer = exchange.answer or {}
  answer.json = answer.body and json.decode(answer.body)
  return answer, exchange
end

M.advance = fake.advance
M.fresh = fake.fresh
M.post = fake.post
M.C = fake.C

return M
