const $ = (id) => document.getElementById(id);
const TYPED_IN = 'input:not([type=radio], [type=checkbox], [type=range]), textarea, select';
const PRESSED_BY_SPACE = 'button, input, a, summary, [role=button]';

/** Binds buttons, keys and dropped files to what they do. */
export function bindControls(actions, settings) {
  $('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    actions.signIn($('key').value.trim());
    $('key').value = '';
  });
  $('talk').addEventListener('click', actions.toggle);
  $('cancel').addEventListener('click', actions.cancel);
  $('sign-out').addEventListener('click', actions.signOut);
  $('problem-action').addEventListener('click', actions.solve);
  $('problem-close').addEventListener('click', actions.dismiss);
  bindSettings(actions, settings);
  bindKeys(actions);
  bindFiles(actions);
  bindTheme(actions);
}

function bindSettings(actions, settings) {
  for (const radio of document.querySelectorAll('#modes input')) {
    radio.checked = radio.value === settings.mode;
    radio.addEventListener('change', () => actions.set('mode', radio.value));
  }
  $('hands-free').checked = settings.handsFree;
  $('hands-free').addEventListener('change', ({ target }) => {
    actions.set('handsFree', target.checked);
  });
  const showVolume = (value) => {
    $('volume-value').textContent = `${Math.round(value * 100)} %`;
  };
  $('volume').value = settings.volume;
  showVolume(settings.volume);
  $('volume').addEventListener('input', ({ target }) => {
    showVolume(target.valueAsNumber);
    actions.set('volume', target.valueAsNumber);
  });
}

/** Space is held to talk, Escape stops everything; both leave whatever has the focus its own keys. */
function bindKeys(actions) {
  let held = false;
  const release = () => {
    if (held) actions.release();
    held = false;
  };
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') return actions.cancel();
    if (event.code !== 'Space' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.(`${TYPED_IN}, ${PRESSED_BY_SPACE}`)) return;
    event.preventDefault();
    if (event.repeat || held) return;
    held = true;
    actions.press();
  });
  document.addEventListener('keyup', (event) => {
    if (event.code === 'Space') release();
  });
  // The key may be let go elsewhere.
  addEventListener('blur', release);
}

function bindFiles(actions) {
  $('file').addEventListener('click', () => $('file-input').click());
  $('file-input').addEventListener('change', ({ target }) => {
    const [file] = target.files;
    target.value = '';
    if (file) actions.playFile(file);
  });
  const holdsFile = (event) => event.dataTransfer?.types.includes('Files');
  document.addEventListener('dragover', (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    $('drop').hidden = false;
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) $('drop').hidden = true;
  });
  document.addEventListener('drop', (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    $('drop').hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) actions.playFile(file);
  });
}

function bindTheme(actions) {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const show = () =>
    $('theme').setAttribute('aria-label', `Switch to ${isDark() ? 'light' : 'dark'} colours`);
  show();
  system.addEventListener('change', show);
  $('theme').addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    show();
    actions.themeChanged(root.dataset.theme);
  });
}
