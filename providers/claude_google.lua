-- SPDX-License-Identifier: Apache-2.0
-- Claude Platform on Google Cloud: Anthropic's own API for a workspace of a Google Cloud project.
local fit = require 'ccrelay.fit'

local function path_of(settings)
  return ('/projects/%s/locations/%s/workspaces/%s/invoke'):format(fit.segment(settings.gcp_project_id),
    fit.segment(settings.gcp_region), fit.segment(settings.workspace_id))
end

return {
  name = 'claude_google',
  models = { 'claude-*' },
  schema = {
    { 'workspace_id', 'string', required = true, filled = true, doc = 'workspace of the requests' },
  },
  credentials = 'google',
  defaults = { base_url = 'https://claude.googleapis.com/v1alpha' },
  prepare = function(request)
    local settings, query = request.settings, request.query ~= '' and '?' .. request.query or ''
    request:rename()
    request:target(request.base .. path_of(settings) .. request.path .. query)
  end,
  check = function(settings) return { path = path_of(settings) .. '/v1/models?limit=1' } end,
}
