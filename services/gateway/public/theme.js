// Before the first paint, so that nobody who chose the dark sees a white flash. Not a module: those come later.
(() => {
  const root = document.documentElement;
  try {
    const chosen = localStorage.getItem('voice-fleet.theme');
    if (chosen === 'light' || chosen === 'dark') root.dataset.theme = chosen;
  } catch {
    // No storage: the system's choice stands.
  }
})();
