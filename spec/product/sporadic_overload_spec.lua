-- SPDX-License-Identifier: Apache-2.0
-- One provider that sometimes answers with 529: the relay makes it no worse.
local overload = require 'support.overload'

it('a provider that sometimes answers with 529 fails as often as without the relay', function()
  assert.equal(0.01, overload.share_of_failures({ overload.provider 'a' }, 100))
  assert.equal(0.02, overload.share_of_failures({ overload.provider 'a' }, 50))
end)
