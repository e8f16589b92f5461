// SPDX-License-Identifier: Apache-2.0
// Sets the theme that was chosen before the page is painted.
try {
  const chosen = localStorage.getItem('ccrelay-theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the theme of the system */ }
