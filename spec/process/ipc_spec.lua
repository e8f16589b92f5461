-- SPDX-License-Identifier: Apache-2.0
local ipc = require 'ccrelay.process.ipc'

describe('a message between processes', function()
  it('keeps every byte of its texts', function()
    local all = {}
    for byte = 0, 255 do all[byte + 1] = string.char(byte) end
    local text = table.concat(all)
    local policy = { path = 'p.lua', text = 'caf\233\255\192\128' }
    local bundle = { scripts = { ['policies/caf\233.lua'] = text }, policy = policy }
    assert.same({ type = 'prepare', turn = 7, bundle = bundle },
      ipc.unpack(ipc.pack { type = 'prepare', turn = 7, bundle = bundle }))
  end)

  it('is nil if the text is not one', function()
    for _, text in ipairs { '', '{', '5', 'null' } do assert.is_nil(ipc.unpack(text)) end
  end)
end)
