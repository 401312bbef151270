// Runs before anything is painted: the chosen colours, so that the page does not flash.
try {
  const theme = localStorage.getItem('tessera.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // nothing is kept: as the system says
}
