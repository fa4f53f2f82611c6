// Runs before anything is painted, so that whoever chose a theme never sees the other one.
try {
  const theme = localStorage.getItem('pointsman-theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  /* storage is forbidden: the system's theme it is */
}
