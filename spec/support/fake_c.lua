-- SPDX-License-Identifier: Apache-2.0
-- The C side as a script of a test: ccrelay test has it too.
return require 'ccrelay.testing.c'
