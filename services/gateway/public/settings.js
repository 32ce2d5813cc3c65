const KEY = 'voice-fleet.key';
const REST = 'voice-fleet.settings';
const DEFAULTS = { mode: 'voice', handsFree: false, volume: 0.8 };

/** The key, for as long as the tab lives; the other settings, for this browser. */
export class Settings {
  key = read(() => sessionStorage.getItem(KEY)) ?? '';
  #values = { ...DEFAULTS, ...parse(read(() => localStorage.getItem(REST))) };

  get mode() {
    return this.#values.mode;
  }
  get handsFree() {
    return this.#values.handsFree;
  }
  get volume() {
    return this.#values.volume;
  }

  set(name, value) {
    this.#values[name] = value;
    read(() => localStorage.setItem(REST, JSON.stringify(this.#values)));
  }

  setKey(key) {
    this.key = key;
    read(() => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY)));
  }

  /** Where theme.js finds it. */
  keepTheme(theme) {
    read(() => localStorage.setItem('voice-fleet.theme', theme));
  }

  /** Takes `#key=…` out of the address, where it would be seen, kept and shared. */
  takeKeyFromAddress() {
    const key = new URLSearchParams(location.hash.slice(1)).get('key');
    if (key === null) return;
    history.replaceState(history.state, '', location.pathname + location.search);
    this.setKey(key);
  }
}

/** A browser may forbid storage; then nothing is kept. */
function read(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}

/** Only what has the right type: an older page may have left something else. */
function parse(text) {
  const found = read(() => JSON.parse(text ?? '{}')) ?? {};
  return Object.fromEntries(
    Object.entries(DEFAULTS).flatMap(([name, value]) =>
      typeof found[name] === typeof value ? [[name, found[name]]] : [],
    ),
  );
}
