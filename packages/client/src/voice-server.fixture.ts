import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { VoiceClientFrame, VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { writeWav } from '@voice-fleet/speech/wav';
import { type WebSocket, WebSocketServer } from 'ws';

/** What a session of the fake server does wrong, or otherwise than usual. */
export type VoiceFault =
  | 'wrong key'
  | 'refused by status'
  | 'not the protocol'
  | 'binary frame'
  | 'drop in mid utterance'
  | 'silence after stop'
  | 'empty transcript'
  | 'llm timeout'
  | 'asr failure'
  | 'phrase fails'
  | 'phrases out of order'
  | 'no latency marks'
  | 'fatal error'
  | 'two finals'
  | 'speech that is no WAV'
  | 'final before any partial'
  | 'no id'
  | 'late first token'
  | 'long reply'
  | 'closes at a recoverable error';

export interface FakeVoiceServer {
  readonly url: URL;
  readonly keys: (string | undefined)[];
  /** Types received, in order, over all sessions; `audio` for binary frames. */
  readonly received: string[];
  readonly starts: Extract<VoiceClientFrame, { type: 'start' }>[];
  readonly closeCodes: number[];
  stop(): Promise<void>;
}

const SPEECH_RATE = 16_000;
/** 100 ms of one loudness, so that phrases can be told apart. */
const speech = (level: number): string =>
  writeWav(Buffer.alloc(3200, level), SPEECH_RATE).toString('base64');

/** A server of the voice protocol for specs: every two audio frames become one word, and the reply repeats the words. */
export async function startFakeVoiceServer(
  options: {
    fault?: (session: number, utterance: number) => VoiceFault | undefined;
    apiKey?: string;
    /** Without loud audio for so many frames an utterance ends by itself. */
    silentFrames?: number;
    /** What `/health` says afterwards. */
    healthy?: boolean;
  } = {},
): Promise<FakeVoiceServer> {
  const fault = options.fault ?? (() => undefined);
  const http = createServer((_request, response) => {
    response.writeHead(options.healthy === false ? 500 : 200).end();
  });
  const server = new WebSocketServer({
    server: http,
    verifyClient: (_info, done) => {
      done(fault(sessions, 0) !== 'refused by status', 503, 'full');
    },
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const keys: (string | undefined)[] = [];
  const received: string[] = [];
  const starts: Extract<VoiceClientFrame, { type: 'start' }>[] = [];
  const closeCodes: number[] = [];
  let sessions = 0;
  server.on('connection', (socket, request) => {
    const query = new URL(request.url ?? '/', 'ws://host').searchParams.get('api_key');
    const key = query ?? request.headers['x-api-key']?.toString();
    keys.push(key);
    socket.on('close', (code) => closeCodes.push(code));
    const session = sessions;
    sessions += 1;
    if (options.apiKey !== undefined && key !== options.apiKey) {
      const message = 'Wrong key.';
      send(socket, { type: 'error', code: 'UNAUTHORIZED', message, recoverable: false });
      return socket.close(1008, message);
    }
    new FakeSession(socket, {
      session,
      received,
      starts,
      fault: (utterance) => fault(session, utterance),
      silentFrames: options.silentFrames ?? Number.POSITIVE_INFINITY,
    });
  });
  return {
    url: new URL(`ws://127.0.0.1:${port}/ws`),
    keys,
    received,
    starts,
    closeCodes,
    stop: async () => {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
      await new Promise((resolve) => {
        http.close(resolve);
        http.closeAllConnections();
      });
    },
  };
}

interface SessionDeps {
  readonly session: number;
  readonly received: string[];
  readonly starts: Extract<VoiceClientFrame, { type: 'start' }>[];
  readonly fault: (utterance: number) => VoiceFault | undefined;
  readonly silentFrames: number;
}

class FakeSession {
  readonly #socket: WebSocket;
  readonly #deps: SessionDeps;
  #mode = 'voice';
  #utterances = 0;
  #capturing = false;
  #replying = false;
  #frames = 0;
  #silent = 0;
  #words: string[] = [];
  #seq = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, deps: SessionDeps) {
    this.#socket = socket;
    this.#deps = deps;
    socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on('close', () => clearTimeout(this.#timer));
  }

  get #fault(): VoiceFault | undefined {
    return this.#deps.fault(this.#utterances);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      this.#deps.received.push('audio');
      return this.#hear(data);
    }
    let frame: VoiceClientFrame;
    try {
      frame = JSON.parse(data.toString()) as VoiceClientFrame;
    } catch {
      return this.#error('BAD_JSON', true);
    }
    this.#deps.received.push(frame.type);
    switch (frame.type) {
      case 'start':
        this.#deps.starts.push(frame);
        if (frame.sample_rate !== 16_000) return this.#refuse();
        return this.#start(frame.mode ?? 'voice');
      case 'stop':
        return this.#finalize('explicit_stop');
      case 'cancel':
        clearTimeout(this.#timer);
        this.#capturing = false;
        this.#replying = false;
        this.#error('CANCELLED', true);
        return this.#send({ type: 'metrics', event: 'latency', t0: 1 });
      case 'ping':
        return this.#send({ type: 'pong' });
      case 'end':
        return this.#socket.close(1000);
    }
  }

  #listen(mode: string): void {
    this.#mode = mode;
    this.#capturing = true;
    this.#frames = 0;
    this.#silent = 0;
    this.#words = [];
  }

  #start(mode: string): void {
    const fault = this.#fault;
    this.#listen(mode);
    if (fault === 'not the protocol') return this.#socket.send('{"type":"hello"}');
    if (fault === 'binary frame') return this.#socket.send(Buffer.alloc(4));
    this.#send({ type: 'protocol', version: 1 });
    const sessionId = `sess-${this.#deps.session}`;
    this.#send({ type: 'info', message: 'Listening.', session_id: sessionId });
  }

  #refuse(): void {
    this.#error('UNSUPPORTED_SAMPLE_RATE', true);
    if (this.#fault === 'closes at a recoverable error') this.#socket.close(1011);
  }

  #hear(pcm: Buffer): void {
    if (this.#replying) return this.#bargeIn(pcm);
    if (!this.#capturing) return;
    if (this.#fault === 'drop in mid utterance') return this.#socket.terminate();
    this.#frames += 1;
    this.#silent = pcm.every((byte) => byte === 0) ? this.#silent + 1 : 0;
    if (this.#silent === 0 && this.#frames % 2 === 0) {
      this.#words.push(`w${this.#words.length}`);
      if (this.#fault !== 'final before any partial') {
        this.#send({ type: 'partial_transcript', text: this.#words.join(' ') });
      }
    }
    if (this.#silent >= this.#deps.silentFrames) this.#finalize('vad_silence_timeout');
  }

  #bargeIn(pcm: Buffer): void {
    if (pcm.every((byte) => byte === 0)) return;
    clearTimeout(this.#timer);
    this.#replying = false;
    this.#send({ type: 'info', code: 'BARGE_IN', message: 'The reply was stopped.' });
    this.#complete();
    this.#listen(this.#mode);
    this.#hear(pcm);
  }

  #finalize(reason: string): void {
    this.#capturing = false;
    const fault = this.#fault;
    if (fault === 'silence after stop') return;
    if (fault === 'asr failure') {
      this.#error('ASR_FAIL', true);
      return this.#complete();
    }
    const text = fault === 'empty transcript' ? '' : this.#words.join(' ');
    const id = fault === 'no id' ? '' : `utt-${this.#utterances}`;
    this.#send({ type: 'finalize_pending', reason });
    this.#send({ type: 'final_transcript', text, id });
    if (fault === 'two finals') this.#send({ type: 'final_transcript', text, id });
    if (fault === 'fatal error') {
      this.#error('INTERNAL', false);
      return this.#socket.close(1011);
    }
    if (fault === 'llm timeout') {
      // As after a reply of which some was spoken.
      this.#error('LLM_TIMEOUT', true);
      this.#complete();
      return this.#send({ type: 'tts_complete' });
    }
    if (text === '' || this.#mode === 'transcribe') return this.#complete();
    if (this.#mode === 'chat') return this.#chat();
    this.#replying = true;
    const delayMs = fault === 'late first token' ? 2_600 : 0;
    this.#timer = setTimeout(() => this.#reply(fault, text), delayMs);
  }

  #chat(): void {
    for (const [index, text] of ['you said', ' that'].entries()) {
      const fields = { success: true, is_final: index === 1, chunk_index: index };
      this.#send({ type: 'text_chunk', text, processing_time_ms: index, ...fields });
    }
    this.#complete();
  }

  #reply(fault: VoiceFault | undefined, text: string): void {
    for (const word of ['You', ' said.', ` ${text}`]) {
      this.#send({ type: 'llm_token', text: word, done: false });
    }
    const [first, second] = [this.#seq, this.#seq + 1];
    this.#seq += 2;
    this.#speak(fault === 'phrases out of order' ? second : first, fault);
    // Until somebody speaks into it.
    if (fault === 'long reply') return;
    this.#send({ type: 'llm_token', done: true });
    if (fault === 'phrase fails') this.#error('TTS_FAIL', true);
    else this.#speak(fault === 'phrases out of order' ? first : second, fault);
    this.#replying = false;
    this.#complete();
    this.#send({ type: 'tts_complete' });
  }

  #speak(seq: number, fault: VoiceFault | undefined): void {
    const audio = fault === 'speech that is no WAV' ? 'AAAA' : speech(seq + 1);
    this.#send({ type: 'tts_chunk', seq, audio_b64: audio, mime: 'audio/wav' });
    this.#send({ type: 'tts_phrase_done', seq });
  }

  #complete(): void {
    const marks = { t0: 1, t1: 2, t2: 3, t3: 4, t4: 5 };
    const deltas = { d_first_partial: 1, d_final_transcript: 2, d_first_token: 1 };
    if (this.#fault !== 'no latency marks') {
      this.#send({ type: 'metrics', event: 'latency', ...marks, ...deltas, d_first_audio: 2 });
    }
    this.#utterances += 1;
  }

  #error(code: Extract<VoiceServerFrame, { type: 'error' }>['code'], recoverable: boolean): void {
    this.#send({ type: 'error', code, message: `It is ${code}.`, recoverable });
  }

  #send(frame: VoiceServerFrame): void {
    send(this.#socket, frame);
  }
}

function send(socket: WebSocket, frame: VoiceServerFrame): void {
  socket.send(JSON.stringify(frame));
}
