// SPDX-License-Identifier: Apache-2.0
typedef int cc_guard_is_empty;
