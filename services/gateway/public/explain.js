/** What went wrong, in words, and what to do next. `action` names a button: `key`, `retry` or `file`. */
const EXPLANATIONS = {
  UNAUTHORIZED: [
    'This key is not accepted',
    'Check it for missing characters, or ask for a new one.',
    'key',
  ],
  AT_CAPACITY: [
    'Every slot is taken',
    'Somebody will finish soon. Try again in a minute.',
    'retry',
  ],
  LIMIT_REACHED: [
    'Your limit is reached',
    'The key has used what it may. Try later, or with another key.',
    'key',
  ],
  STREAMING_DISABLED: [
    'Streaming is switched off here',
    'Recordings can still be sent to POST /api/voice.',
  ],
  NOT_READY: [
    'The server is not ready',
    'No speech worker is there yet. Try again shortly.',
    'retry',
  ],
  MODEL_LOAD_FAIL: [
    'The speech model could not be loaded',
    'Only the operator can mend this: tell them.',
    'retry',
  ],
  PROTOCOL_VIOLATION: [
    'This page and the server disagree',
    'Reload the page: the server may be newer.',
    'retry',
  ],
  BAD_JSON: [
    'This page and the server disagree',
    'Reload the page: the server may be newer.',
    'retry',
  ],
  BAD_FRAME: [
    'This page and the server disagree',
    'Reload the page: the server may be newer.',
    'retry',
  ],
  UNKNOWN_TYPE: [
    'This page and the server disagree',
    'Reload the page: the server may be newer.',
    'retry',
  ],
  INTERNAL: ['Something broke on the server', 'Nothing you said caused it. Try again.', 'retry'],
  ASR_FAIL: ['That could not be transcribed', 'Say it again.'],
  ASR_TIMEOUT: ['The transcript took too long', 'The server is busy. Say it again.'],
  LLM_TIMEOUT: [
    'The reply took too long',
    'Your words arrived; the language model did not answer. Say it again.',
  ],
  LLM_FAIL: ['There is no reply', 'Your words arrived; the language model failed. Say it again.'],
  CHAT_FAIL: ['There is no reply', 'The chat model did not answer. Try the mode “Voice”.'],
  TTS_FAIL: ['One phrase could not be spoken', 'Its text is above. Nothing to do.'],
  TTS_TIMEOUT: ['One phrase took too long to speak', 'Its text is above. Nothing to do.'],
  MAX_DURATION_EXCEEDED: [
    'That was as long as a turn may be',
    'What you said until then is transcribed. Go on in the next turn.',
  ],
  UNSUPPORTED_SAMPLE_RATE: [
    'The server takes no 16 kHz audio',
    'This page cannot send any other. Tell the operator.',
  ],
  MIC_REFUSED: [
    'The microphone is blocked',
    'Allow it at the left of the address bar, then try again. A recording works without.',
    'file',
  ],
  MIC_ABSENT: [
    'There is no microphone',
    'Plug one in and try again. A recording works without.',
    'file',
  ],
  MIC_BUSY: [
    'The microphone does not start',
    'Another program may be holding it. A recording works without.',
    'file',
  ],
  MIC_LOST: [
    'The microphone is gone',
    'Plug it in and try again. A recording works without.',
    'file',
  ],
  MIC_INSECURE: [
    'No microphone over plain http',
    'Browsers give it to https and to localhost alone. A recording works without.',
    'file',
  ],
  MIC_UNSUPPORTED: [
    'This browser cannot record here',
    'Use a current one. A recording works without.',
    'file',
  ],
  FILE_UNREADABLE: ['This file holds no audio', 'WAV, MP3, FLAC, Ogg and M4A do.', 'file'],
  FILE_TOO_LONG: ['This recording is too long', 'Ten minutes and 100 MB are the most.', 'file'],
  CONNECTION_LOST: [
    'The server cannot be reached',
    'Six tries came to nothing. Check the network, then try again.',
    'retry',
  ],
  ASLEEP: [
    'Nobody spoke for a while',
    'The slot went to somebody else. Talk, and you get another one.',
  ],
  CLOSED: ['The server ended the session', 'Talk, and another one begins.', 'retry'],
};

/** Those that are no fault. */
const CALM = new Set(['ASLEEP', 'MAX_DURATION_EXCEEDED', 'TTS_FAIL', 'TTS_TIMEOUT']);

export function explain(code, { message } = {}) {
  const [title, next, action] = EXPLANATIONS[code] ?? [
    message || 'Something went wrong',
    'Try again.',
    'retry',
  ];
  // Of a chat model the server says more than this page can know.
  const told = code === 'CHAT_FAIL' && message ? message : next;
  return { code, title, next: told, action, calm: CALM.has(code) };
}

/** The code for a connection that is gone for good; undefined where nothing is wrong. */
export function problemOfClose({ reason, code, fatal }) {
  if (reason === 'left') return undefined;
  if (fatal) return fatal.code;
  if (reason === 'gone') return 'CONNECTION_LOST';
  if (code === 1008) return 'UNAUTHORIZED';
  if (code === 4000) return 'ASLEEP';
  return reason === 'rest' ? undefined : 'CLOSED';
}

/** What the server says by the way, and a person may want to know. */
const NOTICES = new Set(['DROPPED', 'LIMIT_WARNING', 'RTF_ADVISORY', 'SHUTDOWN', 'DEPRECATED']);

/** The explanation of an info frame; undefined for those that are for the page alone. */
export function noticeOf({ type, code, message }) {
  if (type !== 'info' || !NOTICES.has(code)) return undefined;
  return { code, title: message, next: 'Nothing to do.', calm: true, passing: true };
}
