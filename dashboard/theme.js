// SPDX-License-Identifier: Apache-2.0
// Sets the chosen theme before the page is first painted.
try {
  const chosen = localStorage.getItem('ccrelay-theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the theme of the system */ }
