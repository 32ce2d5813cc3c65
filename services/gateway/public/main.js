import { makeActions } from './actions.js';
import { bindControls } from './controls.js';
import { Conversation } from './conversation.js';
import { Dialog } from './dialog.js';
import { explain, noticeOf, problemOfClose } from './explain.js';
import { Input } from './input.js';
import { PageMarks } from './marks.js';
import { Meter } from './meter.js';
import { pageState } from './page-state.js';
import { Playback } from './playback.js';
import { learnServer, UNKNOWN_SERVER } from './server-facts.js';
import { Settings } from './settings.js';
import { View } from './view.js';
import { VoiceSocket } from './voice-socket.js';

const $ = (id) => document.getElementById(id);

/** `accepted`: a connection was admitted, or may be without a key. */
const page = {
  facts: UNKNOWN_SERVER,
  link: { state: 'closed' },
  accepted: false,
  sessionId: undefined,
  problem: undefined,
  retry: undefined,
  retryAtMs: 0,
  afterRender: undefined,
};
let rendering = false;

const settings = new Settings();
const conversation = new Conversation((code, message) =>
  onProblem(code, { message, passing: true }),
);
const marks = new PageMarks(() => Date.now());
const view = new View();
const playback = new Playback({
  volume: settings.volume,
  onIdle: () => dialog.onSilence(),
});
const socket = new VoiceSocket({ url: address, onFrame, onState });
const input = new Input({
  onAudio: (pcm) => {
    marks.mark('t0');
    socket.sendAudio(pcm);
  },
  onFileEnd: () => dialog.stop(),
  onLost: () => {
    dialog.cancel();
    onProblem('MIC_LOST', {});
  },
});
const oneTurn = () => page.facts.kind === 'lean';
const parts = { socket, input, playback, conversation, marks, settings, oneTurn };
const dialog = new Dialog({ ...parts, onChange: update, onProblem });
const meter = new Meter($('meter'), () => {
  if (playback.active) return playback.level();
  return input.how === undefined ? undefined : input.level;
});

/** Browsers set no headers on sockets, so the key goes where the server takes it too. */
function address() {
  const url = new URL('ws', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (settings.key) url.searchParams.set('api_key', settings.key);
  return url;
}

function onFrame(frame) {
  if (frame.session_id) page.sessionId = frame.session_id;
  page.problem = noticeOf(frame) ?? page.problem;
  dialog.onFrame(frame);
}

function onState(next) {
  page.link = next;
  if (next.state === 'open') page.accepted = true;
  if (next.state === 'connecting' || next.state === 'closed') page.sessionId = undefined;
  if (next.state === 'waiting') page.retryAtMs = performance.now() + next.inMs;
  if (next.state !== 'closed') page.problem = undefined;
  if (next.state === 'open') dialog.onReconnected();
  const lasting = next.state === 'closed';
  if ((lasting || next.state === 'waiting') && next.reason !== 'left') dialog.onLost(lasting);
  const code = lasting && problemOfClose(next);
  if (code) onProblem(code, next.fatal);
  update();
}

function onProblem(code, details) {
  page.problem = { ...explain(code, details), passing: details?.passing === true };
  if (code === 'UNAUTHORIZED') {
    settings.setKey('');
    page.accepted = false;
    page.afterRender = () => $('key').focus();
  }
  update();
}

/** Renders once in a frame, however much has changed. */
function update() {
  if (rendering) return;
  rendering = true;
  requestAnimationFrame(() => {
    rendering = false;
    render();
  });
}

function render() {
  const { link, problem, facts, sessionId, accepted, retryAtMs, afterRender } = page;
  const signedIn = accepted || settings.key !== '';
  const sounding = playback.active;
  const { phase } = conversation;
  const { waits } = dialog;
  const state = pageState({ signedIn, link: link.state, phase, sounding, waits, problem });
  view.render({
    state,
    signedIn,
    conversation,
    waits,
    link: link.state,
    attempt: link.attempt,
    inS: Math.max(0, Math.ceil((retryAtMs - performance.now()) / 1_000)),
    problem,
    facts,
    sessionId,
    dropped: socket.dropped,
    how: input.how,
    progress: input.progress,
    handsFree: settings.handsFree,
  });
  page.afterRender = undefined;
  afterRender?.();
  $('meter').dataset.sounds = String(playback.active);
  $('meter').dataset.peak = playback.peak.toFixed(3);
  $('meter').dataset.phrases = String(playback.phrases);
  meter.wake();
  // What counts down or fills up by itself.
  if (state === 'reconnecting' || input.how === 'file') setTimeout(update, 250);
}

settings.takeKeyFromAddress();
bindControls(
  makeActions({ page, settings, socket, dialog, input, playback, meter, update }),
  settings,
);
addEventListener('pagehide', () => socket.close());
addEventListener('resize', update);
void learnServer().then((facts) => {
  page.facts = facts;
  if (!facts.asksForKey) page.accepted = true;
  for (const radio of document.querySelectorAll('#modes input')) {
    radio.disabled = !facts.modes.includes(radio.value);
    if (facts.modes.length === 1) radio.checked = !radio.disabled;
  }
  if (!facts.enabled) onProblem(facts.kind === 'lean' ? 'NOT_READY' : 'STREAMING_DISABLED', {});
  update();
});
if (settings.key) void socket.connect();
update();
