-- SPDX-License-Identifier: Apache-2.0
-- Two providers that sometimes answer with 529: failover hides it.
local overload = require 'support.overload'

it('a provider that sometimes answers with 529 fails at most 5 in 10,000 beside another one', function()
  local share = overload.share_of_failures({ overload.provider('a', 2), overload.provider('b', 1) }, 50)
  assert.is_true(share <= 0.0005, share)
end)
