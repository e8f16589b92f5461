-- SPDX-License-Identifier: Apache-2.0
-- Declares every key of the configuration once; validation, the starter file, the reference and the JSON Schema
-- are generated from this table.
--
-- A row is { name, type, ... }:
--   default    value when the key is absent (a text may hold ${NAME:-default})
--   required   it is a fault if the key is absent
--   min, max   of an integer; 0 to 2147483647 by default
--   of         the texts of a choice;  also: texts allowed in addition to the type's own values
--   fields     rows of a section;  optional: an absent section stays absent
--   item       row of the members of a list or of the values of a map;  most: how many at most
--   usual      usual names in a map: a name that is almost one of them gets a warning
--   single     one value may stand for a list of one
--   filled     an empty list or text is a fault
--   secret     never shown;  spaced: it may have spaces
--   guarded    the path of a file that no other user may write to
--   strict     decides who has access: a key without a value is a fault
--   proxied    a listener may take the PROXY protocol
--   unset      an unset ${NAME}: 'skip' skips the list member, 'absent' the key; else it is a fault
--   only       provider types that have this key
--   reload     'restart' if a change needs one; all other keys change with a reload
--   start      the starter file shows it, not commented out;  example: shown there instead of the default
--   instead    what to use instead of a key that is accepted, but not used
--   doc        one line
local each = require 'ccrelay.util.each'

local byte_range = { min = 1 }

local UNUSED = 'accepted for compatibility, not used'
local METRICS = 'metrics are served at /metrics of admin.listen'

local function row(fields, more)
  for name, value in each(more) do fields[name] = value end
  return fields
end

local function limit(name, doc)
  return { name, 'integer', default = 0, doc = doc .. ' per minute, 0 = unlimited' }
end

local text = { type = 'string' }

-- Adds the rows of budgets per day, week and month to the rows of a section. `inherited`: they are routing's otherwise.
local function with_budgets(rows, who, inherited)
  for _, period in ipairs { 'day', 'week', 'month' } do
    local name = 'budget_per_' .. period
    local bounds = period == 'day' and 'UTC' or period == 'week' and 'from Monday, UTC' or 'of the calendar, UTC'
    rows[#rows + 1] = { name, 'number', default = not inherited and 0 or nil, max = 4000000,
      doc = ('for strategy budget: what %s may spend per %s (%s), in the currency of prices, 0 = unlimited%s'):format(
        who, period, bounds, inherited and '; default: routing.' .. name or '') }
  end
  return rows
end

-- Rows of prices, with those in `more`.
local function prices(what, more)
  local rows = {
    { 'input', 'number', required = true, doc = 'price of a million input tokens' .. what },
    { 'output', 'number', required = true, doc = 'price of a million output tokens' .. what },
    { 'cache_read', 'number', doc = 'price of a million tokens read from a cache; default: as input' },
    { 'cache_write_5m', 'number',
      doc = 'price of a million tokens written to a cache for five minutes; default: as input' },
    { 'cache_write_1h', 'number',
      doc = 'price of a million tokens written to a cache for an hour; default: as input' },
  }
  for _, more_row in ipairs(more or {}) do rows[#rows + 1] = more_row end
  return rows
end

-- Prices of the ways in which a provider serves.
local function tiers()
  local function tier(name, what)
    return { name, 'section', optional = true, fields = prices(what),
      doc = 'prices' .. what .. '; default: the normal prices' }
  end
  return tier('priority', ' in the priority tier'), tier('batch', ' in the batch tier'), tier('fast', ' in fast mode')
end

local function dated()
  return { { 'from', 'date', required = true, doc = 'first day, in UTC' }, tiers() }
end

local price = {
  type = 'section', fields = prices('', { { 'changes', 'list', filled = true, most = 100,
    doc = 'prices from a later day on; each entry replaces all prices',
    item = { type = 'section', fields = prices(' from that day on', dated()) } }, tiers() }),
}

local server = {
  { 'listen', 'list', item = { type = 'listen', proxied = true }, single = true, filled = true, strict = true,
    reload = 'restart', default = { '127.0.0.1:8787' }, most = 64, start = true,
    doc = 'host:port, [v6]:port or unix:/path, or a list of them; with port 0 the system chooses; "host:port '
      .. 'proxy_protocol" where a load balancer sends the PROXY protocol, version 2' },
  { 'trusted_proxies', 'list', item = { type = 'range', also = { 'unix' } }, single = true, strict = true, most = 256,
    default = {}, example = { '10.0.0.0/8', 'unix' },
    doc = 'addresses and ranges of proxies whose x-forwarded-for and PROXY protocol headers name the client; unix = '
      .. 'whoever connects to a Unix socket' },
  { 'workers', 'integer', default = 'auto', also = { 'auto' }, min = 1, max = 64, reload = 'restart',
    doc = 'worker processes; auto = number of CPUs, at most 4' },
  { 'timeout_ms', 'integer', default = 600000,
    doc = 'ms until the first content of the answer, including waiting and all attempts; 0 = no limit' },
  { 'idle_ms', 'integer', default = 300000, doc = 'ms that an answer may pause; 0 = no limit' },
  { 'total_ms', 'integer', default = 0, doc = 'ms for the whole request, even while its answer flows; 0 = no limit' },
  { 'max_concurrent', 'integer', default = 0,
    doc = 'concurrent requests, 0 = unlimited; above it 529 with retry-after' },
  { 'max_idle_connections', 'integer', default = 4096, max = 65536,
    doc = 'connections to one upstream host that a worker keeps while they are idle, for 55 s; 0 = none' },
  { 'recent_exchanges', 'integer', default = 10000, max = 1000000, reload = 'restart',
    doc = 'records of exchanges that are kept in memory, 2048 bytes each; 0 = none' },
  row({ 'max_body_bytes', 'integer', default = 33554432,
    doc = 'largest request body, also when decompressed; 413 above it' }, byte_range),
  { 'enable_http2', 'boolean', default = false, doc = 'accepted for compatibility; only HTTP/1.1 is served' },
  { 'state_dir', 'path', default = '${STATE_DIRECTORY:-off}', also = { 'off' },
    doc = 'folder for what is kept over restarts: usage and spending, and the clients of ccrelay client; off keeps '
      .. 'nothing; default: the StateDirectory of systemd' },
  { 'usage_days', 'integer', default = 400, min = 31, max = 36500, doc = 'days for which usage is kept' },
  { 'tls', 'section', optional = true, strict = true, reload = 'restart', doc = 'serve https', fields = {
    { 'cert', 'path', required = true, example = '/etc/ccrelay/cert.pem',
      doc = 'PEM file with the certificate chain; reloaded when it changes' },
    { 'key', 'path', required = true, guarded = true, example = '/etc/ccrelay/key.pem',
      doc = 'PEM file with the private key; reloaded when it changes' },
  } },
  { 'auth', 'section', strict = true, doc = 'who may use the relay', fields = {
    { 'api_key', 'list', item = { type = 'string', secret = true, filled = true }, single = true, filled = true,
      strict = true, most = 4096, secret = true, example = '${PROXY_API_KEY}',
      doc = 'key or keys that clients send in x-api-key or as a bearer' },
    { 'clients', 'list', filled = true, strict = true, most = 4096,
      example = { { name = 'alice', key = '${ALICE_KEY}' } }, doc = 'named clients', item = {
      type = 'section', fields = with_budgets({
        { 'name', 'name', required = true, doc = 'shown in logs and metrics' },
        { 'key', 'string', secret = true, filled = true, doc = 'the client\'s key; it or key_sha256 is required' },
        { 'key_sha256', 'digest', doc = 'the SHA-256 digest of the key, in place of the key' },
        { 'expires', 'time', doc = 'last day of the key (UTC), or the time when it expires' },
        limit('rpm_limit', 'requests of this client'),
        limit('tpm_limit', 'tokens of this client'),
        { 'max_concurrent', 'integer', default = 0, doc = 'concurrent requests of this client, 0 = unlimited' },
        { 'group', 'name', doc = 'group of this client: one of groups' },
      }, 'this client', true) } },
    { 'groups', 'list', filled = true, strict = true, most = 1024, doc = 'groups of clients, which share a budget',
      example = { { name = 'research', budget_per_month = 500 } }, item = { type = 'section', fields = with_budgets({
        { 'name', 'name', required = true, doc = 'unique name' },
      }, 'the clients of this group together') } },
    { 'allow_bearer', 'boolean', default = false, doc = 'accept Authorization: Bearer' },
    { 'bearer_secret', 'string', default = '', secret = true, strict = true,
      doc = 'the accepted bearer; if empty, one of the keys above, or any bearer if there are none' },
    { 'allow_subscription', 'boolean', default = false,
      doc = 'pass Claude subscription tokens unchanged to transparent providers' },
  } },
}

local key = {
  type = 'section', fields = {
    { 'key', 'string', required = true, secret = true, filled = true, unset = 'skip', doc = 'the credential' },
    limit('rpm_limit', 'requests'),
    { 'burst', 'integer', default = 0,
      doc = 'requests that may be sent at once; the rest of rpm_limit is spread over the minute; 0 = no pacing' },
    limit('tpm_limit', 'input and output tokens'),
    limit('itpm_limit', 'input tokens'),
    limit('otpm_limit', 'output tokens'),
    { 'priority', 'integer', default = 1, min = -2147483647, doc = 'failover order, highest first' },
    { 'weight', 'integer', default = 1, doc = 'share in weighted strategies' },
    { 'org', 'string', filled = true, example = 'research',
      doc = 'organization of the key; conversations with thinking signatures stay within one organization' },
  },
}

local AWS, AZURE = { 'bedrock', 'mantle', 'claude_aws' }, { 'azure' }
local GOOGLE = { 'vertex', 'claude_google' }

local function cloud(types, name, fields)
  fields[1], fields[2], fields.only = name, fields[2] or 'string', types
  return fields
end

local provider = {
  { 'name', 'name', required = true, start = true, doc = 'unique name' },
  { 'type', 'name', required = true, start = true, doc = 'adapter: a file in providers/' },
  { 'enabled', 'boolean', default = true, doc = 'false disables the provider' },
  { 'base_url', 'url', example = 'https://api.anthropic.com',
    doc = 'default: the address of the type; http only to loopback and private addresses' },
  { 'allow_http', 'boolean', default = false, doc = 'allow http to public addresses' },
  { 'transparent', 'boolean', example = false,
    doc = 'pass on clients\' own credentials; default: only for type anthropic at https://api.anthropic.com' },
  { 'keys', 'list', item = key, strict = true, numbered = true, most = 4096, default = {},
    doc = 'credentials with their limits; if empty, the adapter\'s or the client\'s own credential is used' },
  { 'pooling', 'section', doc = 'how a key is chosen', fields = {
    { 'enabled', 'boolean', default = true, doc = 'false uses the first key only' },
    { 'strategy', 'choice', of = { 'least_loaded', 'round_robin', 'random', 'weighted' }, default = 'least_loaded',
      doc = 'order of keys of equal priority' },
  } },
  { 'model_mapping', 'map', item = text, most = 10000, default = {}, example = { ['claude-sonnet-4-5'] = 'GLM-4.7' },
    doc = 'requested model: model to send; exact name first, then the longest prefix ending in *' },
  { 'models', 'list', item = text, most = 10000, default = {}, example = { 'claude-sonnet-4-5' },
    doc = 'models it serves, shown in /v1/models; providers of Claude also serve every claude-* name' },
  { 'serves', 'list', item = text, filled = true, most = 10000, example = { 'claude-haiku-*' },
    doc = 'the only models to use it for, as clients name them; a name may end in *; default: no restriction' },
  { 'ca_file', 'path', guarded = true, example = '/etc/ssl/certs/ca-certificates.crt',
    doc = 'PEM file with additional certificate authorities' },
  { 'allowed_betas', 'list', item = text, most = 1000, only = { 'bedrock', 'vertex' },
    doc = 'anthropic-beta values to pass in addition to the adapter\'s own' },
  cloud(AWS, 'aws_region', { required = true, unset = 'absent', doc = 'AWS region' }),
  cloud(AWS, 'aws_access_key_id', { unset = 'absent', secret = true, doc = 'default: the AWS credential chain' }),
  cloud(AWS, 'aws_secret_access_key', { unset = 'absent', secret = true, doc = 'required with aws_access_key_id' }),
  cloud(AWS, 'aws_session_token', { unset = 'absent', secret = true, doc = 'for temporary credentials' }),
  cloud(AWS, 'aws_profile', { unset = 'absent', doc = 'profile in the AWS configuration files' }),
  cloud(AZURE, 'azure_resource_name', { filled = true, doc = 'required unless base_url is set' }),
  cloud(AZURE, 'azure_deployment_id', { filled = true, doc = 'deployment for models that are not mapped' }),
  cloud(AZURE, 'azure_api_version', { filled = true, default = '2024-06-01', doc = 'Azure API version' }),
  cloud(AZURE, 'azure_auth', { [2] = 'choice', of = { 'api_key', 'entra_id' }, default = 'api_key',
    doc = 'how to authenticate to Azure' }),
  cloud(GOOGLE, 'gcp_project_id', { filled = true, required = true, doc = 'Google Cloud project' }),
  cloud(GOOGLE, 'gcp_region', { filled = true, required = true, doc = 'Google Cloud region' }),
}

local routing = with_budgets({
  { 'strategy', 'name', default = 'failover', start = true, doc = 'policy: a file in policies/' },
  { 'failover_timeout', 'integer', default = 5000,
    doc = 'ms to wait for a response head before the next candidate is tried; 0 = off' },
  { 'queue_ms', 'integer', default = 0,
    doc = 'ms a request may wait while all keys are at their limits, in order of arrival; requests that cannot be '
      .. 'served in time get a 429 at once; 0 = no waiting' },
  { 'model_mapping', 'map', item = text, most = 10000, default = {},
    example = { ['claude-opus'] = 'anthropic', ['glm-4'] = 'zai' },
    doc = 'for model_based: model prefix: provider' },
  { 'default_provider', 'name', example = 'anthropic', doc = 'for model_based: provider of all other models' },
  { 'race_on_failure', 'boolean', default = false,
    doc = 'for failover: after a first failure, race the others, two at a time' },
  { 'classes', 'map', item = { type = 'string', filled = true }, most = 100, default = {},
    example = { compaction = 'claude-sonnet-4-5' },
    usual = { 'main', 'subagent', 'workflow', 'compaction', 'auxiliary', 'side_reply' },
    doc = 'for by_class: model for each x-claude-code-request-class (main, subagent, workflow, compaction, '
      .. 'auxiliary, side_reply, ...); clients send it only with CLAUDE_CODE_GATEWAY_HINT_HEADERS=1' },
  { 'prices', 'map', item = price, most = 10000, default = {}, example = { ['GLM-*'] = { input = 0.5, output = 2 } },
    doc = 'prices in any currency, by the model sent: MODEL or PROVIDER/MODEL; a name may end in *' },
  { 'model_budgets', 'map', most = 1000, default = {}, example = { ['claude-opus-*'] = { budget_per_day = 50 } },
    doc = 'budgets of models for all clients together, by the model that the client names; a name may end in *',
    item = { type = 'section', fields = with_budgets({}, 'all clients together for this model') } },
  { 'debug', 'boolean', default = false, doc = 'add X-CC-Relay-Strategy, -Provider and -Attempts to answers' },
}, 'each client, or all clients without a name together,')

local health = {
  { 'health_check', 'section', doc = 'connects to unreachable providers until they are back', fields = {
    { 'enabled', 'boolean', default = true, doc = 'if false, only open_duration_ms ends an open circuit' },
    { 'interval_ms', 'integer', default = 10000, min = 100,
      doc = 'ms between two checks; after a successful one, requests try the provider at once' },
  } },
  { 'circuit_breaker', 'section', doc = 'stops requests to a failing provider for a while', fields = {
    { 'failure_threshold', 'integer', default = 5, min = 1, doc = 'consecutive failures that open the circuit' },
    { 'open_duration_ms', 'integer', default = 30000, doc = 'ms until the provider is tried again' },
    { 'half_open_probes', 'integer', default = 3, min = 1, doc = 'successes that close the circuit' },
  } },
}

local logging = {
  { 'level', 'choice', of = { 'debug', 'info', 'warn', 'error' }, default = 'info', doc = 'lowest level to log' },
  { 'format', 'choice', of = { 'text', 'json' }, default = 'text', doc = 'format of log lines' },
  { 'output', 'path', default = 'stderr', doc = 'stdout, stderr or a file' },
  { 'pretty', 'boolean', default = 'auto', also = { 'auto' }, doc = 'colors; auto = on a terminal' },
  { 'debug_options', 'section', doc = 'additional output at level debug', fields = {
    { 'log_request_body', 'boolean', default = false, doc = 'the start of request bodies' },
    { 'log_response_headers', 'boolean', default = false, doc = 'headers of upstream responses' },
    { 'log_tls_metrics', 'boolean', default = false, doc = 'TLS version, cipher and times' },
    { 'max_body_log_size', 'integer', default = 1000, doc = 'bytes of a body to log' },
  } },
}

local cache = {
  { 'mode', 'choice', of = { 'single', 'ha', 'disabled' }, default = 'single',
    doc = 'where limits and circuits are kept; ha is not implemented yet and is refused' },
  { 'ristretto', 'any', doc = UNUSED },
  { 'olric', 'any', doc = UNUSED },
}

local root = {
  type = 'section',
  fields = {
    { 'server', 'section', fields = server, doc = 'listener for clients' },
    { 'providers', 'list', item = { type = 'provider', fields = provider }, filled = true, strict = true, most = 1024,
      doc = 'where requests can go; default: anthropic, zai and ollama' },
    { 'routing', 'section', fields = routing, doc = 'which provider is used, in which order' },
    { 'health', 'section', fields = health, doc = 'circuit breakers and connect checks' },
    { 'logging', 'section', fields = logging, doc = 'the log' },
    { 'metrics', 'section', doc = 'Prometheus text on the admin listener', fields = {
      { 'enabled', 'boolean', default = true, doc = 'serve /metrics' },
      { 'prometheus_endpoint', 'any', doc = UNUSED, instead = METRICS },
      { 'prometheus_listen', 'any', doc = UNUSED, instead = METRICS },
    } },
    { 'traces', 'section', doc = 'spans of requests, for an OpenTelemetry collector', fields = {
      { 'endpoint', 'url', example = 'http://127.0.0.1:4318/v1/traces',
        doc = 'where spans are sent, as OTLP over HTTP in JSON; default: nowhere' },
      { 'headers', 'map', item = { type = 'string', secret = true, spaced = true }, most = 64, default = {},
        example = { authorization = 'Bearer ${OTLP_TOKEN}' }, doc = 'headers of these requests' },
      { 'service_name', 'string', default = 'ccrelay', filled = true, doc = 'service.name of the spans' },
    } },
    { 'admin', 'section', strict = true, doc = 'a separate listener for status and metrics', fields = {
      { 'listen', 'listen', default = '127.0.0.1:8788', also = { 'off' }, strict = true, reload = 'restart',
        doc = 'host:port or unix:/path; off disables it' },
      { 'token', 'string', default = '${CCRELAY_ADMIN_TOKEN:-}', secret = true, strict = true,
        doc = 'token that requests must send; required unless the address is loopback' },
    } },
    { 'cache', 'section', fields = cache, doc = 'shared state' },
    { 'grpc', 'any', doc = UNUSED, instead = 'use ccrelay status or the admin listener' },
  },
}

local function settle(member)
  member.type = member.type or member[2]
  for _, field in ipairs(member.fields or {}) do settle(field) end
  if member.item then settle(member.item) end
  return member
end

return settle(root)
