-- SPDX-License-Identifier: Apache-2.0
-- Claude Platform on Google Cloud: Anthropic's own API for a workspace of a Google Cloud project.
local fit = require 'ccrelay.fit'

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
    request:target(('%s/projects/%s/locations/%s/workspaces/%s/invoke%s%s'):format(request.base,
      fit.segment(settings.gcp_project_id), fit.segment(settings.gcp_region), fit.segment(settings.workspace_id),
      request.path, query))
  end,
}
