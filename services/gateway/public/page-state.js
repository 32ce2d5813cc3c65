/** The one word for what the page is doing; the styles, the captions and the tests go by it. */
export function pageState({ signedIn, link, phase, sounding, waits, problem }) {
  if (link === 'connecting' || link === 'queued') return 'connecting';
  if (link === 'waiting') return 'reconnecting';
  if (problem && !problem.calm && !problem.passing) return 'error';
  if (!signedIn) return 'signed-out';
  // The server has ended the turn, and may hear the next one already.
  if (sounding && (phase !== 'listening' || waits)) return 'responding';
  return phase === 'idle' ? 'ready' : phase;
}

const CAPTIONS = {
  'signed-out': 'Connect with your key first.',
  connecting: 'Connecting…',
  reconnecting: 'The connection broke. Coming back…',
  ready: 'Press to talk, or hold [Space].',
  thinking: 'Thinking…',
  complete: 'Press to talk, or hold [Space].',
  error: 'Nothing is recorded.',
};

/** The line below the microphone; what stands in brackets is a key. */
export function caption(state, { signedIn, how, handsFree, progress, inS, link }) {
  if (link === 'queued') return 'All slots are taken: you are in line.';
  if (state === 'reconnecting' && inS > 0) return `The connection broke. Next try in ${inS} s.`;
  if (state === 'listening') {
    if (how === 'file')
      return `Playing the recording to the server: ${Math.round(progress * 100)} %`;
    return how === 'held' ? 'Listening. Let go to send.' : 'Listening. Stop when you are done.';
  }
  if (state === 'responding')
    return how === 'open' ? 'Speaking. Talk to interrupt.' : 'Speaking. [Esc] stops it.';
  if (state === 'error' && !signedIn) return CAPTIONS['signed-out'];
  if (state === 'complete' && handsFree) return 'Your turn.';
  return CAPTIONS[state];
}

const LINKS = {
  closed: 'Not connected',
  connecting: 'Connecting',
  queued: 'In line for a slot',
  open: 'Connected',
  failed: 'Not connected',
};

export function linkText(link, { attempt }) {
  return link === 'waiting' ? `Reconnecting, try ${attempt} of 5` : LINKS[link];
}
