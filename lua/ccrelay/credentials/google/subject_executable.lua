-- SPDX-License-Identifier: Apache-2.0
-- Subject tokens from the user's program, which runs only if the environment allows it.
local fields = require 'ccrelay.credentials.google.fields'
local json = require 'ccrelay.util.json'
local task = require 'ccrelay.sched.task'
local token_reply = require 'ccrelay.credentials.token_reply'

local M = {}

local ALLOW = 'GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES'
local USUAL_MS, SHORTEST_MS, LONGEST_MS = 30000, 5000, 120000
local VERSION = 1
local MEMBERS = {
  ['urn:ietf:params:oauth:token-type:jwt'] = 'id_token', ['urn:ietf:params:oauth:token-type:id_token'] = 'id_token',
  ['urn:ietf:params:oauth:token-type:saml2'] = 'saml_response',
}

-- Splits a command line into arguments without a shell, by blanks, quotes and backslashes.
local function split(command)
  local list, current, quote = {}, nil, nil
  local index = 1
  while index <= #command do
    local character = string.sub(command, index, index)
    if character == quote then
      quote = nil
    elseif not quote and (character == '"' or character == "'") then
      quote, current = character, current or ''
    elseif not quote and string.find(character, '%s') then
      list[#list + 1], current = current, nil
    else
      if character == '\\' and quote ~= "'" and index < #command then
        index = index + 1
        character = string.sub(command, index, index)
      end
      current = (current or '') .. character
    end
    index = index + 1
  end
  if quote then return nil end
  list[#list + 1] = current
  return list
end

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param job ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(job, info)
  local program = info.credential_source.executable
  if type(program) ~= 'table' then return 'credential_source.executable is not an object' end
  local command = fields.text(program, 'command')
  if not command then return 'credential_source.executable.command is missing' end
  local arguments = not string.find(command, '%z') and split(command)
  if not arguments or #arguments == 0 then
    return 'credential_source.executable.command is not a program with arguments (is a quote not closed?)'
  end
  local limit, output = fields.any(program, 'timeout_millis'), fields.any(program, 'output_file')
  if limit ~= nil and (type(limit) ~= 'number' or limit < SHORTEST_MS or limit > LONGEST_MS) then
    return 'credential_source.executable.timeout_millis must be from 5000 to 120000'
  end
  if output ~= nil and (type(output) ~= 'string' or string.find(output, '%z')) then
    return 'credential_source.executable.output_file is not a path'
  end
  if job.context.env(ALLOW) == '1' then return nil end
  return 'credential_source runs a program, which is allowed only with ' .. ALLOW .. '=1 in the environment'
end

-- Tells what is wrong with an answer of the program, apart from its time and token; nil if nothing is.
local function fault_of(reply)
  if type(reply) ~= 'table' then return 'is not a JSON object' end
  if reply.version ~= VERSION then return 'has a version other than 1' end
  if reply.success == false then
    local code, message = fields.any(reply, 'code'), fields.any(reply, 'message')
    return 'reports a failure: ' .. token_reply.words(tostring(code or 'no code') .. ': '
      .. tostring(message or 'no message'))
  end
  return reply.success ~= true and 'has no member success' or nil
end

-- Tells what is wrong with the time at which the token expires; nil if nothing is.
local function time_fault_of(reply, now, needs_time)
  local ends = fields.any(reply, 'expiration_time')
  if ends == nil then return needs_time and 'has no expiration_time' or nil end
  if not tonumber(ends) then return 'has an expiration_time that is not a number' end
  return tonumber(ends) * 1000 <= now and 'contains a token that has expired' or nil
end

-- Returns the token in an answer of the program; or nil and what is wrong.
local function read(text, now, needs_time)
  local reply = json.decode(text)
  local fault = fault_of(reply) or time_fault_of(reply, now, needs_time)
  if fault then return nil, fault end
  local member = MEMBERS[reply.token_type]
  if not member then return nil, 'has a token_type that is not jwt, id_token or saml2' end
  local token = fields.text(reply, member)
  if not token then return nil, 'has no ' .. member end
  if string.find(token, '[%c\127]') then return nil, 'contains a token with control bytes' end
  return token
end

-- env(1) sets the variables of the program, and searches PATH for it as a shell does.
local function arguments_of(info, program)
  local list = {
    '/usr/bin/env', 'GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=' .. info.audience,
    'GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=' .. info.subject_token_type, 'GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0',
    'GOOGLE_EXTERNAL_ACCOUNT_REVOKE=0',
  }
  local url = fields.text(info, 'service_account_impersonation_url')
  local email = url and string.match(url, '/serviceAccounts/([^/?]+):generateAccessToken$')
  if email then list[#list + 1] = 'GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=' .. email end
  local output = fields.text(program, 'output_file')
  if output then list[#list + 1] = 'GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=' .. output end
  for _, argument in ipairs(split(program.command)) do list[#list + 1] = argument end
  return list
end

local function run(job, info, program, output)
  local result, reason = task.run {
    arguments = arguments_of(info, program), timeout_ms = fields.any(program, 'timeout_millis') or USUAL_MS,
    answer_bytes = token_reply.MOST_BYTES,
  }
  local name = 'the program of credential_source (' .. split(program.command)[1] .. ')'
  if not result then return nil, { message = name .. ' could not be run: ' .. token_reply.words(reason) } end
  if result.status ~= 0 then
    local words = token_reply.words(result.complaint)
    return nil, { message = name .. ' ended with status ' .. result.status .. (words ~= '' and ': ' .. words or '') }
  end
  local text = result.body
  if not string.find(text, '%S') and output then text = job.context.read(output) or '' end
  local token, lack = read(text, job.context.time(), output ~= nil)
  if token then return token end
  return nil, { message = 'the answer of ' .. name .. ' ' .. lack }
end

--- Runs the program, or reads its output file, and returns the subject token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return string? token
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local program = info.credential_source.executable
  local output = fields.text(program, 'output_file')
  local kept = output and job.context.read(output)
  local token = kept and read(kept, job.context.time(), true)
  if token then return token end
  return run(job, info, program, output)
end

return M
