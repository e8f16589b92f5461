-- SPDX-License-Identifier: Apache-2.0
-- Z.AI: GLM models behind the Messages API.
return {
  name = 'zai',
  defaults = { base_url = 'https://api.z.ai/api/anthropic' },
  credentials = 'key',
  supports = { safeguards = false },
}
