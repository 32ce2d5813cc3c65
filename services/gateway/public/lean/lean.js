import { Microphone } from './capture.js';

const MESSAGES = {
  MIC_REFUSED: 'The browser was not allowed to use the microphone.',
  MIC_ABSENT: 'There is no microphone.',
  MIC_BUSY: 'The microphone is in use elsewhere.',
  MIC_INSECURE: 'Browsers give the microphone only to pages from https or from this machine.',
  MIC_UNSUPPORTED: 'This browser cannot record.',
};
const ENDED = {
  explicit_stop: 'You stopped.',
  vad_silence_timeout: 'You paused.',
  inactivity_timeout: 'No more audio came.',
  max_utterance_timeout: 'That was as long as it may be.',
};

const byId = (id) => document.getElementById(id);
const [talk, file, key, status, text, marks] = [
  'talk',
  'file',
  'key',
  'status',
  'text',
  'marks',
].map(byId);
let socket;

const microphone = new Microphone({
  onFrame: (pcm) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(pcm);
  },
  onLost: () => stop(),
});

talk.addEventListener('click', () => (socket ? stop() : start()));
file.addEventListener('change', () => transcribe(file.files[0]));

async function start() {
  show('', true);
  marks.textContent = '';
  talk.disabled = true;
  try {
    await microphone.open();
  } catch (error) {
    say(MESSAGES[error.code] ?? String(error));
    return;
  } finally {
    talk.disabled = false;
  }
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  if (key.value !== '') url.searchParams.set('api_key', key.value);
  const opened = new WebSocket(url);
  socket = opened;
  talk.textContent = 'Stop';
  talk.setAttribute('aria-pressed', 'true');
  say('Connecting …');
  // Audio sent before it is known who speaks would be refused.
  opened.addEventListener('open', () => opened.send('{"type":"start","sample_rate":16000}'));
  opened.addEventListener('message', ({ data }) => onFrame(JSON.parse(data)));
  opened.addEventListener('close', () => {
    if (socket === opened) quiet();
  });
  opened.addEventListener('error', () => say('The server cannot be reached.'));
}

function stop() {
  microphone.close();
  if (socket?.readyState === WebSocket.OPEN) socket.send('{"type":"stop"}');
}

function quiet() {
  socket = undefined;
  microphone.close();
  talk.textContent = 'Speak';
  talk.setAttribute('aria-pressed', 'false');
}

function onFrame(frame) {
  switch (frame.type) {
    case 'info':
      if (frame.code === 'STARTED') say('Speak now.');
      else if (frame.code !== 'COMPLETE') say(frame.message);
      return;
    case 'partial_transcript':
      return show(frame.text, true);
    case 'finalize_pending':
      microphone.close();
      return say(ENDED[frame.reason]);
    case 'final_transcript':
      return show(frame.text, frame.provisional);
    case 'metrics':
      marks.textContent = latencies(frame);
      return;
    case 'error':
      return say(frame.message);
    default:
  }
}

function latencies({ t0, t1, t2 }) {
  const since = (name, mark) => (mark === undefined ? '' : `${name} after ${mark - t0} ms`);
  return [since('first text', t1), since('final text', t2)].filter(Boolean).join(', ');
}

async function transcribe(recording) {
  if (recording === undefined) return;
  say(`Sending ${recording.name} …`);
  show('', false);
  const form = new FormData();
  form.append('file', recording);
  try {
    const headers = key.value === '' ? {} : { 'X-API-Key': key.value };
    const response = await fetch('/transcribe', { method: 'POST', body: form, headers });
    const answer = await response.json();
    if (!response.ok) return say(answer.error.message);
    show(answer.transcript, false);
    say(answer.transcript === '' ? 'No words were heard.' : 'Done.');
  } catch {
    say('The server cannot be reached.');
  }
}

function show(words, partial) {
  text.textContent = words;
  text.classList.toggle('partial', partial);
}

function say(message) {
  status.textContent = message;
}
