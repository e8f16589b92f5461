-- SPDX-License-Identifier: Apache-2.0
-- The Mantle endpoint of Amazon Bedrock: Anthropic's own API and stream format. Requests are signed.
local fit = require 'ccrelay.fit'

return {
  name = 'mantle',
  models = { 'anthropic.*', '*.anthropic.*' },
  credentials = 'aws',
  service = 'bedrock-mantle',
  request_id = 'x-amzn-requestid',
  base_url = function(settings)
    return settings.base_url or 'https://bedrock-mantle.' .. settings.aws_region .. '.api.aws/anthropic'
  end,
  prepare = function(request)
    fit.leave_out(request, { 'request-tags' })
    request:pass()
  end,
  classify = function(outcome, settings) fit.blame(outcome, settings, 'aws_region') end,
}
