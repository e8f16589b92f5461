-- SPDX-License-Identifier: Apache-2.0
-- Tells what to do about errors of Entra ID that a retry does not cure, by their AADSTS code.
local M = {}

local FEDERATION = 'give the application a federated credential with the issuer, subject and audience of the token'
local CODES = {
  ['7000215'] = 'set AZURE_CLIENT_SECRET to the value of a client secret, not to its id',
  ['7000222'] = 'make a new client secret for the application and set AZURE_CLIENT_SECRET to its value',
  ['7000216'] = 'set AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE',
  ['700016'] = 'check AZURE_CLIENT_ID and AZURE_TENANT_ID: that tenant does not know the application',
  ['7000229'] = 'check AZURE_CLIENT_ID and AZURE_TENANT_ID: the application has no service principal in that tenant',
  ['7000112'] = 'the application is disabled: enable it, or set AZURE_CLIENT_ID to another one',
  ['90002'] = 'check AZURE_TENANT_ID: there is no such tenant',
  ['900023'] = 'check AZURE_TENANT_ID: it is not the id or domain of a tenant',
  ['900021'] = 'check AZURE_TENANT_ID: it is not the id or domain of a tenant',
  ['70021'] = FEDERATION, ['700211'] = FEDERATION, ['700212'] = FEDERATION, ['700213'] = FEDERATION,
  ['700024'] = 'the token in AZURE_FEDERATED_TOKEN_FILE has expired: check what writes that file, and this clock',
  ['53003'] = 'a conditional access policy of the tenant blocks the application',
}

--- Returns what to do about a failure, or nil if nothing special is known.
---@param failure ccrelay.TokenFailure
---@return string?
function M.of(failure)
  local code = string.match(failure.description or '', 'AADSTS(%d+)')
  return code and CODES[code]
end

return M
