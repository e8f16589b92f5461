-- SPDX-License-Identifier: Apache-2.0
-- The C side of the border: the namespace with every function and constant of runtime/relay.h.
local ffi = require 'ffi'

ffi.cdef 'const char *cc_relay_header(void);'
local inside = pcall(function() return ffi.C.cc_relay_header end)
local C = inside and ffi.C or ffi.load(assert(os.getenv 'CCRELAY_LIB', 'CCRELAY_LIB is not set'))
ffi.cdef((('\n' .. ffi.string(C.cc_relay_header())):gsub('\n#[^\n]*', '\n')))

return C
