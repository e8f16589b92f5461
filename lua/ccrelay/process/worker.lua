-- SPDX-License-Identifier: Apache-2.0
-- A worker process: it serves requests with the current generation, and swaps the generation when the master tells it
-- to.
local C = require 'ccrelay.c'
local ipc = require 'ccrelay.process.ipc'
local clients = require 'ccrelay.limits.clients'
local config = require 'ccrelay.config'
local health = require 'ccrelay.health'
local histograms = require 'ccrelay.log.histograms'
local ready = require 'ccrelay.endpoints.ready'
local loop = require 'ccrelay.server.loop'
local open_exchanges = require 'ccrelay.server.open_exchanges'
local wait_lines = require 'ccrelay.routing.wait_lines'
local bounds = require 'ccrelay.config.bounds'
local bundle = require 'ccrelay.generation.bundle'

local M = {}

local SIGINT, SIGTERM, SIGHUP = 2, 15, 1
local TIMER_DRAIN = 0
local DRAIN_CHECK_MS = 50
local FLUSH_MS = 1000
local FAULT_REPORTS, FAULT_REPORTS_MS = 3, 1000 -- at most so many in so long

local Worker = {}
Worker.__index = Worker

function Worker:send(message)
  ipc.send(self.relay, -1, ipc.pack(message))
end

function Worker:prepare(message)
  local generation, notes = bundle.build(message.bundle, self.options)
  local faults = not generation and notes or bundle.prepare_tls(self.relay, message.bundle)
  self.prepared = not faults and { turn = message.turn, generation = generation } or nil
  if generation then generation.number = message.number end
  local fault = faults and config.text(faults[1]) or nil
  self:send { type = 'ready', turn = message.turn, fault = fault }
end

function Worker:commit(message)
  local prepared = self.prepared
  if not prepared or prepared.turn ~= message.turn then return end
  self.prepared = nil
  self.current = prepared.generation
  C.cc_tls_commit(self.relay)
  C.cc_sign_forget()
  bounds.apply(self.relay, self.current.configuration)
  bundle.collect()
end

function Worker:drain()
  if self.draining then return end
  self.draining = true
  ready.set_draining(true)
  C.cc_drain(self.relay)
  C.cc_timer(self.relay, TIMER_DRAIN, 0)
end

function Worker:abandon()
  self.code = 1
  C.cc_abandon(self.relay)
end

local messages = { prepare = Worker.prepare, commit = Worker.commit, drain = Worker.drain, abandon = Worker.abandon }

function Worker:on_message()
  local message = ipc.receive(self.relay)
  messages[message.type](self, message)
end

-- A signal sent to the whole process group (Ctrl-C) is handled by the master.
function Worker:on_signal(number)
  if number == SIGTERM then self:drain() end
end

--- Returns true when the worker has nothing left to do.
function Worker:on_timer()
  if C.cc_exchanges(self.relay) == 0 and C.cc_connections(self.relay) == 0 then return true end
  C.cc_timer(self.relay, TIMER_DRAIN, DRAIN_CHECK_MS)
  return false
end

--- Reports a fault to the master, but not each one of a flood.
function Worker:on_fault(generation, why)
  if generation ~= self.current then return end
  local told, now = self.told, C.cc_now()
  if generation.number ~= told.number or now - told.since > FAULT_REPORTS_MS then
    told = { number = generation.number, since = now, count = 0 }
    self.told = told
  end
  told.count = told.count + 1
  if told.count <= FAULT_REPORTS then self:send { type = 'fault', number = told.number, why = why } end
end

function Worker:generation()
  return self.current
end

--- Runs a worker in the process that master.lua forked; returns its exit code when drained.
---@param master table
---@return integer code
function M.run(master)
  local self = setmetatable({
    relay = master.relay, options = master.options, current = master.generation, slot = master.slot, code = 0,
    told = { number = 0, since = 0, count = 0 },
  }, Worker)
  C.cc_process(('ccrelay: worker %d'):format(self.slot))
  for _, number in ipairs { SIGINT, SIGTERM, SIGHUP } do C.cc_signal(self.relay, number) end
  bounds.apply(self.relay, self.current.configuration)
  for _, number in ipairs(master.listeners) do C.cc_accept(self.relay, number, self.slot) end
  clients.attach(self.slot, self.current.configuration)
  health.attach(self.slot, self.current)
  wait_lines.attach(self.slot)
  open_exchanges.attach(self.relay)
  C.cc_measure_lag(self.relay, histograms.number('event_loop_lag', tostring(self.slot)))
  self:send { type = 'serving' }
  loop.run(self.relay, self)
  C.cc_log_flush(FLUSH_MS)
  C.cc_close(self.relay)
  return self.code
end

return M
