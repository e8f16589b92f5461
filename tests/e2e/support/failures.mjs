// SPDX-License-Identifier: Apache-2.0
// All failures that never_worse.mjs runs. To add one, append { section, name, clients, first: () => handlers of the provider } to the file of its section:
// health.mjs (1), told.mjs (2) or works.mjs (3). `clients` are any of 'raw', 'sdk0', 'sdk1' and 'claude'; never_worse.mjs lists the optional fields.
import { health } from './failures/health.mjs';
import { told } from './failures/told.mjs';
import { works } from './failures/works.mjs';

export const rows = [...health, ...told, ...works];
