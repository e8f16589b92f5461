-- SPDX-License-Identifier: Apache-2.0
-- Declares all of runtime/api for the FFI and returns the namespace that holds its functions and constants: of the
-- program itself, or in tests of the library that CCRELAY_LIB names.
local ffi = require 'ffi'

ffi.cdef 'const char *cc_relay_header(void);'
local is_program = pcall(function() return ffi.C.cc_relay_header end)
local C = is_program and ffi.C or ffi.load(assert(os.getenv 'CCRELAY_LIB', 'CCRELAY_LIB is not set'))
ffi.cdef((('\n' .. ffi.string(C.cc_relay_header())):gsub('\n#[^\n]*', '\n')))

return C
