-- SPDX-License-Identifier: Apache-2.0
-- GET /events of the admin listener: the state of the relay once a second, as server-sent events
-- (https://html.spec.whatwg.org/multipage/server-sent-events.html). With the query "once" it returns only the next
-- snapshot, as JSON. It guarantees that a snapshot is composed once for all viewers and only if there are any, and that
-- a slow viewer skips snapshots, so that they do not queue up.
local C = require 'ccrelay.c'
local json = require 'ccrelay.util.json'
local snapshot = require 'ccrelay.server.feed.snapshot'

local M = { later = true }

M.TYPE = 'text/event-stream'
M.TIMER = 8 -- number of the process's timer for the next snapshot

local EVERY_MS = 1000
local MOST_VIEWERS = 16
local RETRY = 'retry: 2000\n\n'

---@class ccrelay.Feed
---@field snapshots ccrelay.Snapshots
---@field viewers { id: integer, slow: boolean }[]

local function feed_of(master)
  local feed = master.feed
  if not feed then
    feed = { snapshots = snapshot.new(), viewers = {} }
    master.feed = feed
  end
  return feed
end

local function event(name, value)
  return ('event: %s\ndata: %s\n\n'):format(name, json.encode(value))
end

local function remove(feed, place)
  table.remove(feed.viewers, place)
end

-- Writes to viewers that have taken what they got before.
local function publish(master, feed, text)
  for place = #feed.viewers, 1, -1 do
    local viewer = feed.viewers[place]
    local code = viewer.slow and C.CC_OK or C.cc_answer_write(master.relay, viewer.id, text, #text)
    if code == C.CC_ELIMIT then
      viewer.slow = true
    elseif code ~= C.CC_OK then
      remove(feed, place)
    end
  end
end

--- Sends a snapshot to all viewers. To be called when the timer fires.
---@param master ccrelay.Master
function M.tick(master)
  local feed = feed_of(master)
  if #feed.viewers == 0 then return end
  C.cc_timer(master.relay, M.TIMER, EVERY_MS)
  publish(master, feed, event('news', feed.snapshots:news(master)))
end

local function find(master, id)
  for place, viewer in ipairs(master.feed and master.feed.viewers or {}) do
    if viewer.id == id then return viewer, place end
  end
end

--- Notes that a viewer takes snapshots again.
---@param master ccrelay.Master
---@param id integer of the exchange
function M.writable(master, id)
  local viewer = find(master, id)
  if viewer then viewer.slow = false end
end

--- Notes that an exchange with the admin listener has ended.
---@param master ccrelay.Master
---@param id integer
function M.done(master, id)
  local _, place = find(master, id)
  if place then remove(master.feed, place) end
end

---@param master ccrelay.Master
---@param request ccrelay.AdminRequest
function M.answer(master, request)
  local feed = feed_of(master)
  if request.query == 'once' then return request.reply(json.encode(feed.snapshots:whole(master))) end
  if request.method == 'HEAD' then return request.reply('', nil, nil, M.TYPE) end
  if #feed.viewers >= MOST_VIEWERS then
    return request.reply(nil, 503, ('there are %d viewers already'):format(MOST_VIEWERS))
  end
  if #feed.viewers == 0 then C.cc_timer(master.relay, M.TIMER, EVERY_MS) end
  request.stream(M.TYPE, RETRY .. event('past', feed.snapshots:past(master)))
  feed.viewers[#feed.viewers + 1] = { id = request.id, slow = false }
end

return M
