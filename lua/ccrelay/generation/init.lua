-- SPDX-License-Identifier: Apache-2.0
-- A generation: one loaded set of configuration, adapters and policy. It guarantees that building one changes nothing
-- in the current one, and that a generation is complete or is not made.
local C = require 'ccrelay.c'
local Auth = require 'ccrelay.exchange.client_auth'
local each = require 'ccrelay.util.each'
local Provider = require 'ccrelay.providers.provider'
local host = require 'ccrelay.credentials.host'
local deep_copy = require 'ccrelay.script.deep_copy'
local fault = require 'ccrelay.util.fault'
local cloud = require 'ccrelay.providers.cloud'
local prices = require 'ccrelay.limits.prices'
local suspension = require 'ccrelay.health.suspension'
local logger = require 'ccrelay.log.logger'
local json = require 'ccrelay.util.json'
local relay = require 'ccrelay.init'
local sandbox = require 'ccrelay.script.sandbox'
local script_file = require 'ccrelay.script.file'
local cache = require 'ccrelay.credentials.cache'

---@class ccrelay.Report the argument of on_done
---@field status integer status sent to the client, 0 for none
---@field error string? name of the failure
---@field attempts integer number of attempts
---@field upstream ccrelay.Upstream? the one that answered; nil for the relay itself
---@field first_byte_ms number time until the client got the first byte
---@field total_ms number time until the exchange was over
---@field usage_known boolean whether the provider reported usage
---@field input_tokens number by the provider's count, as the others; 0 if unknown
---@field output_tokens number tokens of the answer
---@field cache_read_tokens number tokens read from a cache
---@field cache_write_tokens number tokens written to a cache
---@field cache_write_1h_tokens number those of cache_write_tokens that are kept for an hour
---@field tier 'priority'|'batch'|nil in which the provider served it; nil: standard
---@field fast boolean whether it was served in fast mode
---@field raced { upstream: ccrelay.Upstream, input_tokens: number }[]? attempts cancelled because another was faster

---@class ccrelay.Policy
---@field route fun(exchange: ccrelay.Exchange): ccrelay.Outcome|table|nil decides what the client gets
---@field on_done fun(exchange: ccrelay.Exchange, report: ccrelay.Report)? called when the exchange is over; cannot wait
---@field gate { bytes: integer?, ms: integer? }? how much of an answer, and how long, is held until its first content
---@field break_with ('close'|'event')? what a client sees when a running stream breaks

---@class ccrelay.Adapter
---@field name string? not used
---@field models string[]? model names that it always serves; * stands for any text
---@field list_models { path: string, read: fun(reply: table): string[]? }? where the provider lists its models
---@field defaults table? values for absent keys of the configuration
---@field schema table[]? the adapter's own keys
---@field credentials string|(fun(settings: table): string)|nil name of a credential scheme
---@field framing 'eventstream'|nil format of its streams, if not server-sent events
---@field service string? service that requests are signed for
---@field request_id string? response header with the request id, if not request-id
---@field count_tokens (fun(outcome: ccrelay.Outcome): integer|false|nil)? reads an answer of another format
---@field key_header string? header for the key, "x-api-key" by default
---@field key_optional boolean? works without a key
---@field transparent boolean? clients' own credentials may be passed to it
---@field passes string[]? the only client headers that are passed; default: all that may be
---@field supports table<string, boolean>? features that it has
---@field counts_cache_reads string[]? models whose cache reads count towards limits; * at the end for any
---@field base_url (fun(settings: table): string?, string?)? the base address, or nil and a message
---@field prepare fun(request: ccrelay.Request, upstream: ccrelay.Upstream)? makes the request
---@field check (fun(settings: table, model: string?): ccrelay.FreeRequest?)? for ccrelay doctor
---@field classify fun(outcome: ccrelay.Outcome, settings: table)? reviews a failure

---@class ccrelay.FreeRequest a request that costs nothing
---@field method string? GET by default
---@field path string follows the base address
---@field headers table<string, string>?
---@field body string?

---@class ccrelay.Generation
---@field configuration table
---@field providers ccrelay.Provider[] the enabled ones
---@field provider_names table<string, boolean> names of all providers, also disabled ones
---@field policy ccrelay.Policy
---@field strategy string name of the policy
---@field number integer? set when it comes into force
---@field auth ccrelay.Auth
---@field prices ccrelay.Prices|false those of routing.prices; false without any
---@field traces boolean whether exchanges are traced
---@field logger ccrelay.Logger
---@field built number moment (cc_now) of the build
---@field choices integer number of upstreams
---@field counts table recent answers to count_tokens (exchange/count_coalescing.lua)
local Generation = {}
Generation.__index = Generation

local M = {}

local GATE_BYTES, GATE_MS = 65536, 10000
local MOST_GATE_BYTES, MOST_GATE_MS = 4 * 1024 * 1024, 600000

-- ---- Scripts -----------------------------------------------------------------------------------

local ADAPTER_KEYS = {
  name = 'string', defaults = 'table', schema = 'table', credentials = 'string|function', framing = 'string',
  models = 'table', prepare = 'function', classify = 'function', supports = 'table', base_url = 'function',
  key_header = 'string', key_optional = 'boolean', transparent = 'boolean', service = 'string',
  request_id = 'string', count_tokens = 'function', counts_cache_reads = 'table', list_models = 'table',
  passes = 'table', check = 'function',
}

local LIST_KEYS = { path = 'string', read = 'function' }

local function check_list(file, list)
  if not list then return nil end
  local wrong = script_file.check_members(file, 'list_models', list, LIST_KEYS)
  if wrong then return wrong end
  if string.sub(list.path or '', 1, 1) == '/' and list.read then return nil end
  return script_file.failed(file, 'list_models has a path, which begins with "/", and a function read')
end

local function now() return C.cc_now() end
local function time() return C.cc_time() end

local function load_adapter(text, file)
  local modules = {
    ccrelay = { json = json.for_scripts(), now = now, time = time },
    ['ccrelay.json'] = json.for_scripts(), ['ccrelay.fit'] = deep_copy.plain(cloud),
  }
  local adapter, wrong = script_file.run(text, file, sandbox.environment(modules, true))
  if wrong then return nil, wrong end
  if type(adapter) ~= 'table' then
    return nil, script_file.failed(file, 'an adapter returns a table, this one a ' .. type(adapter))
  end
  adapter, wrong = script_file.plain_copy(file, 'an adapter', adapter)
  if wrong then return nil, wrong end
  wrong = script_file.check_members(file, 'an adapter', adapter, ADAPTER_KEYS) or check_list(file, adapter.list_models)
  if wrong then return nil, wrong end
  return adapter
end

--- Loads the adapters among the texts of scripts, by their type.
---@param scripts table<string, string> by name: "providers/NAME.lua"
---@return table<string, ccrelay.Adapter>? adapters
---@return ccrelay.Fault[] faults
function M.adapters(scripts)
  local adapters, faults, files = {}, {}, {}
  for file in each(scripts) do files[#files + 1] = file end
  table.sort(files)
  for _, file in ipairs(files) do
    local name = string.match(file, '^providers/([%w_-]+)%.lua$')
    if name then
      local adapter, wrong = load_adapter(scripts[file], file)
      adapters[name], faults[#faults + 1] = adapter, wrong
    end
  end
  if #faults > 0 then return nil, faults end
  return adapters, faults
end

-- ---- The policy --------------------------------------------------------------------------------

local POLICY_KEYS = { route = 'function', on_done = 'function', gate = 'table', break_with = 'string' }
local GATE_KEYS = { bytes = 'number', ms = 'number' }

local function whole(value, most)
  return value % 1 == 0 and value >= 0 and value <= most
end

local function check_gate(file, gate)
  local wrong = script_file.check_members(file, 'gate', gate, GATE_KEYS)
  if wrong then return wrong end
  if not whole(gate.bytes or 1, MOST_GATE_BYTES) then
    return script_file.failed(file, 'gate.bytes is a whole number up to 4 MiB')
  end
  if not whole(gate.ms or 0, MOST_GATE_MS) then
    return script_file.failed(file, 'gate.ms is a whole number up to 600000')
  end
  return nil
end

local function policy_of(file, value)
  if type(value) == 'function' then value = { route = value } end
  if type(value) ~= 'table' then
    return nil, script_file.failed(file,
      'a policy returns a function or a table with route, this one a ' .. type(value))
  end
  local wrong
  value, wrong = script_file.plain_copy(file, 'a policy', value)
  if wrong then return nil, wrong end
  wrong = script_file.check_members(file, 'a policy', value, POLICY_KEYS) or check_gate(file, value.gate or {})
  if wrong then return nil, wrong end
  if not value.route then return nil, script_file.failed(file, 'the policy has no route') end
  local break_with = value.break_with or 'close'
  if break_with ~= 'close' and break_with ~= 'event' then
    return nil, script_file.failed(file, 'break_with is "close" or "event", found "' .. break_with .. '"')
  end
  local gate = value.gate or {}
  return {
    route = value.route, on_done = value.on_done, break_with = break_with,
    gate = { bytes = gate.bytes or GATE_BYTES, ms = gate.ms or GATE_MS },
  }
end

local function policy_source(options)
  if options.policy_text then return options.policy_path or 'policy.lua', options.policy_text end
  local file = 'policies/' .. options.configuration.routing.strategy .. '.lua'
  local text = (options.scripts or {})[file]
  if not text then return file, nil, script_file.failed(file, 'there is no such policy (routing.strategy)') end
  return file, text
end

local function load_text(self, file, text)
  local context = { logger = self.logger, routing = self.configuration.routing, declared = {} }
  local value, wrong = script_file.run(text, file, sandbox.environment { ccrelay = relay.bind(context) })
  if wrong then return nil, wrong end
  local declared = context.declared
  context.declared = nil
  self.policy, wrong = policy_of(file, value)
  if wrong then return nil, wrong end
  self.strategy = string.match(file, '([^/]*)%.lua$') or file
  return declared, nil, file
end

-- A quarantined policy still declares the providers, unless the policy that serves instead declares its own.
local function load_policy(self, options)
  local file, text, missing = policy_source(options)
  if missing then return nil, missing end
  local declared, wrong = load_text(self, file, text)
  local instead = options.instead
  if not declared or not instead then return declared, wrong, file end
  local others
  others, wrong = load_text(self, instead.path, instead.text)
  if not others then return nil, wrong end
  if #others > 0 then return others, nil, instead.path end
  return declared, nil, file
end

-- ---- Providers ---------------------------------------------------------------------------------

local function complete(declared, options, file)
  local configuration, faults = require('ccrelay.config').load {
    data = { providers = declared }, name = file, adapters = options.adapters, env = options.env,
  }
  if not configuration then return nil, faults end
  return configuration.providers, faults
end

local function scheme_of(name)
  if type(name) ~= 'string' or not string.find(name, '^[%l_]+$') then return nil end
  local ok, module = pcall(require, 'ccrelay.credentials.' .. name)
  return ok and module.apply and module or nil
end

local function no_scheme(name)
  local named = type(name) == 'string'
  return 'there is no credential scheme ' .. (named and '"' .. name .. '"' or 'that is a ' .. type(name))
end

-- Checks the provider's credentials as far as is possible without a request, and sets their source. Returns nil and a
-- message if they are wrong.
local function set_credentials(provider, context, warn)
  local scheme = provider.scheme
  for _, note in ipairs(scheme.examine and scheme.examine(provider, context) or {}) do
    if note.severity == 'fault' then return nil, note.message end
    warn(note.message)
  end
  if not scheme.source then return true end
  local message
  provider.source, message = scheme.source(provider, context)
  if not provider.source then return nil, message end
  return true
end

local function add_provider(self, settings, options, faults, warnings)
  local path = 'providers.' .. tostring(settings.name)
  local function note(list, message)
    list[#list + 1] = fault.new { file = options.configuration.source, path = path, message = message }
  end
  local function wrong(message) note(faults, message) end
  local adapter = options.adapters[settings.type]
  local script = 'providers/' .. tostring(settings.type) .. '.lua'
  if not adapter then return wrong('there is no adapter ' .. script) end
  local ok, provider, message = script_file.call(script, Provider.new, settings, adapter, #self.providers + 1,
    options.env or os.getenv)
  if not ok then return wrong('the adapter failed: ' .. provider) end
  if not provider then return wrong(message) end
  provider.scheme = scheme_of(provider.credentials)
  if not provider.scheme then return wrong(no_scheme(provider.credentials)) end
  local has_credentials, problem = set_credentials(provider, host.new(options.env or os.getenv),
    function(text) note(warnings, text) end)
  if not has_credentials then return wrong(problem) end
  self.providers[provider.index] = provider
end

local function add_providers(self, list, options, warnings)
  local faults = {}
  for _, settings in ipairs(list) do
    if settings.enabled ~= false then add_provider(self, settings, options, faults, warnings) end
  end
  return faults
end

local function terminal_of(configuration)
  local output = (configuration.logging or {}).output
  return output == 'stdout' and C.cc_terminal(1) or output == 'stderr' and C.cc_terminal(2) or false
end

local function prices_of(routing)
  return next(routing.prices or {}) and prices.new(routing.prices) or false
end

local function traces_of(configuration)
  return (configuration.traces or {}).endpoint ~= nil
end

---@class ccrelay.BuildOptions
---@field configuration table complete, as ccrelay.config loads it
---@field adapters table<string, table> from M.adapters
---@field scripts table<string, string>? texts by name, for the policy that routing.strategy names
---@field policy_path string?
---@field policy_text string? the policy itself, instead of that of routing.strategy
---@field instead ccrelay.Script? the policy that serves while that one is quarantined
---@field env (fun(name: string): string?)?
---@field replace ccrelay.Replacement? of bundle.lua

--- Builds a generation. The current one does not change.
---@param options ccrelay.BuildOptions
---@return ccrelay.Generation?
---@return ccrelay.Fault[] faults_or_warnings
function M.build(options)
  local configuration = options.configuration
  local self = setmetatable({
    configuration = configuration, providers = {}, provider_names = {}, serving = {}, serving_count = 0,
    attached = false, choices = 0,
    counts = { entries = {}, count = 0 }, built = C.cc_now(),
    prices = prices_of(configuration.routing or {}), traces = traces_of(configuration),
    auth = Auth.new(configuration.server.auth),
    logger = logger.new(configuration, terminal_of(configuration)),
  }, Generation)
  local declared, wrong, file = load_policy(self, options)
  if not declared then return nil, { wrong } end
  local list, warnings = configuration.providers, {}
  if #declared > 0 then
    local faults
    list, faults = complete(declared, options, file)
    if not list then return nil, faults end
    warnings = faults
    self.configuration = setmetatable({ providers = list }, { __index = configuration })
    self.logger = logger.new(self.configuration, terminal_of(configuration))
  end
  if options.replace then
    options = setmetatable({}, { __index = options })
    list, options.adapters = options.replace.providers(list, options.adapters)
  end
  for _, settings in ipairs(list) do self.provider_names[settings.name] = true end
  local faults = add_providers(self, list, options, warnings)
  if #faults > 0 then return nil, faults end
  return self, warnings
end

--- Connects the generation to shared memory, when it is first used in a process. Further calls do nothing.
function Generation:attach()
  if self.attached then return end
  self.attached = true
  for _, provider in ipairs(self.providers) do
    provider:attach()
    self.choices = self.choices + math.max(#provider.keys, 1)
    for _, key in ipairs(provider.keys) do
      if key.uncounted then
        self.logger:say('error', 'there is no shared memory left to count for the limits of key "' .. key.id
          .. '": it is not used until the relay is restarted')
      end
    end
  end
end

--- Ends the suspension of keys that were not accepted, because a reload may have mended the cause. Called once for all
--- processes, before any of them swaps.
function Generation:forgive_keys()
  self:attach()
  suspension.forget(self)
end

--- Replaces the current generation in this process.
---@param before ccrelay.Generation? the current one
function Generation:succeed(before)
  self:attach()
  if not before or before == self then return end
  for _, provider in ipairs(self.providers) do
    if provider.source then cache.renew(provider.source, self.built) end
  end
end

return M
