-- SPDX-License-Identifier: Apache-2.0
-- Finds and reads the file of Google's application default credentials.
local json = require 'ccrelay.util.json'

local M = {}

local VARIABLE = 'GOOGLE_APPLICATION_CREDENTIALS'
local NAME = 'application_default_credentials.json'
local MISSING = 'there is no such file'
local NAMED = 'set ' .. VARIABLE .. ' to a credentials file in JSON, or unset it'
local LOGIN = 'run `gcloud auth application-default login`'

---@class ccrelay.GoogleFile
---@field path string
---@field label string names the file in messages
---@field remedy string what to do if it cannot be used
---@field text string
---@field info table?

local function variable(context, name)
  local value = context.env(name)
  return value ~= '' and value or nil
end

local function place(context)
  local named = variable(context, VARIABLE)
  if named then return named, VARIABLE .. ' names ' .. named, NAMED end
  local folder, home = variable(context, 'CLOUDSDK_CONFIG'), variable(context, 'HOME')
  folder = folder or home and home .. '/.config/gcloud'
  if not folder then return nil end
  local path = folder .. '/' .. NAME
  return path, 'gcloud left ' .. path, LOGIN, true
end

--- Reads the first of the files that exists; nil without a message if there is none.
---@param context ccrelay.Host
---@return ccrelay.GoogleFile?
---@return string? message
function M.find(context)
  local path, label, remedy, may_lack = place(context)
  if not path then return nil end
  local text, reason = context.read(path)
  if not text then
    if may_lack and reason == MISSING then return nil end
    return nil, label .. ', which cannot be read: ' .. reason .. '; ' .. remedy
  end
  local info = json.decode(text)
  if type(info) ~= 'table' then return nil, label .. ', which is not a JSON object; ' .. remedy end
  return { path = path, label = label, remedy = remedy, text = text, info = info }
end

return M
