const $ = (id) => document.getElementById(id);

/** What a person can do. `page` holds what is shown: `problem`, `retry`, `accepted`. */
export function makeActions({ page, settings, socket, dialog, input, playback, meter, update }) {
  /** Begins something that is tried again, when it fails, by the button of the problem. */
  const attempt = (action) => {
    page.problem = undefined;
    page.retry = () => attempt(action);
    action();
    update();
  };
  const enabled = () => !$('talk').disabled;

  const actions = {
    signIn(key) {
      settings.setKey(key);
      attempt(() => void socket.connect());
    },
    signOut() {
      dialog.cancel();
      socket.close();
      settings.setKey('');
      page.accepted = false;
      page.problem = undefined;
      update();
      page.afterRender = () => $('key').focus();
    },
    toggle() {
      const { state } = document.body.dataset;
      if (state === 'listening') dialog.stop();
      else if (state === 'thinking' || state === 'responding') dialog.cancel();
      else attempt(() => void dialog.speak('open'));
    },
    press() {
      if (enabled()) attempt(() => void dialog.speak('held'));
    },
    release() {
      if (input.how === 'held') dialog.stop();
    },
    cancel() {
      dialog.cancel();
    },
    playFile(file) {
      if (enabled()) attempt(() => void dialog.speak('file', file));
    },
    set(name, value) {
      settings.set(name, value);
      if (name === 'volume') playback.volume = value;
      update();
    },
    dismiss() {
      page.problem = undefined;
      update();
      $('conversation').focus();
    },
    solve() {
      const { action } = page.problem;
      actions.dismiss();
      if (action === 'key') actions.signOut();
      else if (action === 'file') $('file').click();
      else page.retry?.();
    },
    themeChanged(theme) {
      settings.keepTheme(theme);
      meter.redraw();
    },
  };
  return actions;
}
