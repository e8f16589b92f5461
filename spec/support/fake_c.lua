-- SPDX-License-Identifier: Apache-2.0
-- The scripted C side, which ccrelay test also uses.
return require 'ccrelay.testing.c'
