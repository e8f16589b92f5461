-- SPDX-License-Identifier: Apache-2.0
-- The list of all metrics: name, type, labels and help. /metrics shows no others, and METRICS.md has one line for each.

---@class ccrelay.Family
---@field name string without the prefix ccrelay_
---@field type 'counter'|'gauge'|'histogram'
---@field labels string[]
---@field help string
---@field group string heading in METRICS.md

local M = {} ---@type ccrelay.Family[]

local group

local function add(kind, name, labels, help)
  local list = {}
  for label in string.gmatch(labels, '%S+') do list[#list + 1] = label end
  M[#M + 1] = { name = name, type = kind, labels = list, help = help, group = group }
end

local function counter(name, labels, help) add('counter', name .. '_total', labels, help) end
local function gauge(name, labels, help) add('gauge', name, labels, help) end
local function histogram(name, labels, help) add('histogram', name .. '_seconds', labels, help) end

group = 'Requests'
counter('requests', 'endpoint outcome cause', 'requests that have ended, by endpoint, outcome and cause')
counter('model_requests', 'provider model outcome', 'requests to /v1/messages, by the provider that answered and model')
counter('client_requests', 'client outcome', 'requests to /v1/messages, by client')
counter('status', 'class', 'answers by class of their status')
counter('exchanges', '', 'client requests that have ended')
counter('queued', '', 'requests that waited for room in limits')
counter('refused', '', 'requests that no upstream could take: none serves them, or all are limited or suspended')
counter('malformed', '', 'requests that could not be read: faulty or too large, or too slow to arrive')
counter('shared_counts', '', 'token counts answered with the result of another request')
gauge('exchanges_open', '', 'client requests under way')

group = 'Times'
histogram('request_duration', 'provider', 'from the request to the end of its answer, of /v1/messages')
histogram('first_event', 'provider', 'from the request to the first content of a stream')
histogram('added_latency', 'provider', 'what the relay adds: from the whole request to the first byte of the answer, '
  .. 'without the time of the attempt; of requests with one attempt')
histogram('event_gap', 'provider', 'between events of a stream as they arrive; those that arrive together count as one')
histogram('event_loop_lag', 'worker', 'how long a worker did nothing else while Lua handled events')

group = 'Tokens and cost'
counter('model_tokens', 'provider model kind', 'tokens as the provider counted them')
counter('client_tokens', 'client kind', 'tokens as the provider counted them, by client')
counter('cost', 'provider model', 'cost in the currency of routing.prices')
counter('client_cost', 'client', 'cost in the currency of routing.prices, by client')
counter('cost_unknown', 'provider model', 'answers whose cost is not known: no price, or no usage')
counter('provider_tokens', 'provider kind',
  'tokens as the provider counted them; "input" includes those written to a cache')

group = 'Providers and keys'
counter('attempts', '', 'attempts at upstreams')
counter('provider_attempts', 'provider', 'attempts at a provider')
counter('provider_failures', 'provider', 'failed attempts at a provider')
counter('key_attempts', 'provider key', 'attempts with a key')
counter('key_failures', 'provider key cause', 'failed attempts with a key, by status or error')
counter('provider_probes', 'provider', 'connections made to check whether a provider is reachable again')
counter('provider_probe_failures', 'provider', 'such connections that failed')
gauge('circuit', 'provider', 'circuit of a provider: 0 closed, 1 half open, 2 open')
gauge('key_ready', 'key', 'whether a key may be used now')
gauge('key_suspended', 'provider key', 'whether a key is suspended: the provider rejected it')
gauge('key_headroom', 'key', 'least free share of the limits of a key, 0 to 1')
gauge('credentials_valid', 'provider', 'whether fetched credentials of a provider may be used')

group = 'The relay'
gauge('build_info', 'version', 'version of the relay; always 1')
gauge('start_time_seconds', '', 'when the relay was started, in seconds since 1970')
gauge('generation', '', 'number of the current generation')
gauge('config_last_reload_successful', '', 'whether the last reload was not refused')
counter('config_reloads', '', 'reloads done')
counter('config_reloads_refused', '', 'reloads refused for a fault')
counter('workers_replaced', '', 'workers replaced after they ended')
counter('log_dropped_lines', '', 'log lines lost to a slow output')
counter('spans_sent', '', 'spans that the collector at traces.endpoint has taken')
counter('spans_dropped', 'reason', 'spans that were not sent, or not taken')
counter('script_errors', '', 'errors of policies and adapters')
counter('policies_put_aside', '', 'policies that failed too often and were replaced')
gauge('reloads', '', 'deprecated: ccrelay_config_reloads_total')
gauge('reloads_refused', '', 'deprecated: ccrelay_config_reloads_refused_total')
gauge('worker_restarts', '', 'deprecated: ccrelay_workers_replaced_total')
gauge('log_lines_dropped', '', 'deprecated: ccrelay_log_dropped_lines_total')

return M
