import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { codedSample, TOKEN_SAMPLES } from './coded-pcm.fixture.ts';

/** What of the settled audio another worker hears again. */
const OVERLAP_SAMPLES = 2000;

interface UtteranceState {
  readonly id: string;
  readonly startSample: number;
  samples: number;
  tokens: number;
  text: string;
  phase: 'open' | 'finishing';
}

/** All that survives a gateway. */
interface SessionState {
  accepted: number;
  seq: number;
  started: string[];
  utterance: UtteranceState | undefined;
}

interface SessionRecord {
  readonly id: string;
  owner: number;
  token: string;
  /** Given up for `token`, and taken until the client was heard on its new connection; only with `tokenGrace`. */
  lastToken: string | undefined;
  ended: boolean;
  frames: string[];
  state: SessionState;
  billed: number;
  connection: ScriptedConnection | undefined;
}

/** The client's side of a connection. */
export interface ScriptedPeer {
  send(text: string): void;
  close(code: number, reason: string): void;
}

export interface ScriptedHello {
  readonly token: string | undefined;
  readonly lastSeq: number;
}

/**
 * Gateways of a fleet with one store, as the yap dialect promises them: frames are numbered and saved before they are sent,
 * tokens are good for one resume, and what was not saved is lost with the connection. An engine that hears a token in each
 * 80 ms; the audio must be `codedPcm` of the number at the end of the request id.
 */
export class ScriptedYapFleet {
  /** What no client may do: audio lost, doubled or out of order, a start or a finalize that was not due. */
  readonly violations: string[] = [];
  /** Audio of each utterance that came at least once, and how many samples came again. */
  readonly arrived = new Map<string, number>();
  resentSamples = 0;
  resumes = 0;
  refusals = 0;
  readonly tokenGrace: boolean;
  readonly ttlS: number;
  /** Frames that a resume sends again though the client has said that it has them. */
  readonly repeats: number;
  readonly #records: SessionRecord[] = [];

  constructor({
    tokenGrace = false,
    ttlS = 60,
    repeats = 0,
  }: { tokenGrace?: boolean; ttlS?: number; repeats?: number } = {}) {
    this.repeats = repeats;
    this.tokenGrace = tokenGrace;
    this.ttlS = ttlS;
  }

  get records(): readonly SessionRecord[] {
    return this.#records;
  }

  accept(hello: ScriptedHello, peer: ScriptedPeer): ScriptedConnection | undefined {
    if (hello.token === undefined) return this.#create(peer);
    const record = this.#records.find(
      ({ token, lastToken, ended }) =>
        !ended && (token === hello.token || lastToken === hello.token),
    );
    if (record === undefined || hello.lastSeq > record.frames.length) {
      this.refusals += 1;
      const message = 'This session cannot be resumed.';
      const payload = {
        code: 'resume_refused',
        message,
        details: { reason_code: 'resume_refused' },
      };
      peer.send(envelope('error', 'unknown', 'unknown', payload));
      peer.close(4006, message);
      return undefined;
    }
    this.resumes += 1;
    const older = record.connection;
    record.owner += 1;
    record.lastToken = this.tokenGrace ? hello.token : undefined;
    record.token = `token-${record.id}-${record.owner}`;
    older?.fence();
    const connection = new ScriptedConnection(this, record, peer);
    record.connection = connection;
    connection.greetResumed(hello.lastSeq);
    return connection;
  }

  #create(peer: ScriptedPeer): ScriptedConnection {
    const id = `sess-${this.#records.length + 1}`;
    const record: SessionRecord = {
      id,
      owner: 1,
      token: `token-${id}-1`,
      lastToken: undefined,
      ended: false,
      frames: [],
      state: { accepted: 0, seq: 0, started: [], utterance: undefined },
      billed: 0,
      connection: undefined,
    };
    this.#records.push(record);
    record.connection = new ScriptedConnection(this, record, peer);
    record.connection.greetCreated();
    return record.connection;
  }
}

interface ClientEnvelope {
  readonly type: string;
  readonly request_id: string;
  readonly payload?: { final?: boolean; reason?: string; audio?: string };
}

/** One connection to one gateway; what it knows beyond the record is lost with it. */
export class ScriptedConnection {
  readonly #fleet: ScriptedYapFleet;
  readonly #record: SessionRecord;
  readonly #peer: ScriptedPeer;
  readonly #owner: number;
  readonly #state: SessionState;
  #unsaved: string[] = [];
  #gone = false;
  #ends = false;

  constructor(fleet: ScriptedYapFleet, record: SessionRecord, peer: ScriptedPeer) {
    this.#fleet = fleet;
    this.#record = record;
    this.#peer = peer;
    this.#owner = record.owner;
    this.#state = structuredClone(record.state);
  }

  get openId(): string | undefined {
    return this.#state.utterance?.id;
  }

  greetCreated(): void {
    this.#emit('session.created', 'unknown', { ...this.#facts(), resume: this.#offer() });
    this.save();
  }

  greetResumed(lastSeq: number): void {
    const { utterance } = this.#state;
    const id = utterance?.id ?? 'unknown';
    const keep = utterance && keepOf(utterance);
    if (utterance && keep !== undefined) {
      this.#state.accepted = utterance.startSample + keep;
      utterance.samples = keep;
      // What came after the audio that is asked for again comes again too.
      utterance.phase = 'open';
    }
    const open = utterance && { open: { request_id: utterance.id, from_sample: keep } };
    const payload = { ...this.#facts(), resume: this.#offer(), ...open };
    this.#peer.send(envelope('session.resumed', this.#record.id, id, payload));
    const from = Math.max(0, lastSeq - this.#fleet.repeats);
    for (const frame of this.#record.frames.slice(from)) this.#peer.send(frame);
  }

  receive(text: string): void {
    if (this.#gone) return;
    if (this.#owner === this.#record.owner) this.#record.lastToken = undefined;
    const { type, request_id: id, payload } = JSON.parse(text) as ClientEnvelope;
    if (type === 'ping') return this.#emit('pong', id, {});
    if (type === 'session.update') return this.#emit('session.updated', id, this.#facts());
    if (type === 'cancel') {
      this.#state.utterance = undefined;
      return this.#emit('cancelled', id, { reason: payload?.reason ?? 'client_request' });
    }
    if (type === 'end') {
      this.#emit('session_end', id, {});
      this.#ends = true;
      return this.save();
    }
    if (type === 'input_audio_buffer.append') {
      return this.#audio(id, Buffer.from(payload?.audio ?? '', 'base64'));
    }
    if (type !== 'input_audio_buffer.commit') return this.#blame(`sent ${type}`);
    if (payload?.final) return this.#finalize(id);
    if (this.#state.started.includes(id)) this.#blame(`started ${id} again`);
    this.#state.started.push(id);
    const startSample = this.#state.accepted;
    this.#state.utterance = { id, startSample, samples: 0, tokens: 0, text: '', phase: 'open' };
  }

  /** Writes what happened since the last save, and only then tells the client. */
  save(): void {
    if (this.#gone || this.#owner !== this.#record.owner) return;
    const record = this.#record;
    const frames = this.#unsaved;
    this.#unsaved = [];
    record.frames.push(...frames);
    record.state = structuredClone(this.#state);
    record.billed = Math.max(record.billed, this.#state.accepted);
    for (const frame of frames) this.#peer.send(frame);
    const { utterance, accepted } = this.#state;
    const keep = utterance && { keep_from_sample: keepOf(utterance) };
    const payload = { accepted_samples: accepted, ...keep };
    this.#peer.send(envelope('ack', record.id, utterance?.id ?? 'unknown', payload));
    if (this.#ends) {
      record.ended = true;
      this.#gone = true;
      return this.#peer.close(1000, '');
    }
    this.#finish();
  }

  /** The gateway saw the connection end, and lived to save what it knew. */
  lost(): void {
    this.save();
    this.#gone = true;
  }

  /** The gateway died: what was not saved is lost. */
  kill(): void {
    this.#gone = true;
  }

  /** Another connection goes on with the session. */
  fence(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#peer.close(4005, 'resumed on another connection');
  }

  close(code: number, reason: string): void {
    this.#gone = true;
    this.#peer.close(code, reason);
  }

  /** A status or error of the server's own. */
  tell(type: string, requestId: string, payload: object): void {
    this.#emit(type, requestId, payload);
    this.save();
  }

  /** The server loses its utterance without a word. */
  forget(): void {
    this.#state.utterance = undefined;
    this.save();
  }

  /** The utterance fails at the server. */
  fail(code: string): void {
    const id = this.#state.utterance?.id ?? 'unknown';
    this.#state.utterance = undefined;
    const details = { reason_code: code };
    this.tell('error', id, { code: 'internal_error', message: 'Failed.', details });
  }

  #audio(id: string, pcm: Buffer): void {
    const utterance = this.#state.utterance;
    if (utterance?.id !== id || utterance.phase !== 'open') return this.#blame(`audio for ${id}`);
    const number = Number(id.split('-').at(-1));
    const from = utterance.samples;
    const samples = pcm.length / BYTES_PER_SAMPLE;
    for (let i = 0; i < samples; i++) {
      if (pcm.readInt16LE(i * BYTES_PER_SAMPLE) === codedSample(number, from + i)) continue;
      this.#blame(`wrong audio for ${id} at sample ${from + i}`);
      break;
    }
    const arrived = this.#fleet.arrived.get(id) ?? 0;
    this.#fleet.resentSamples += Math.max(0, Math.min(arrived, from + samples) - from);
    this.#fleet.arrived.set(id, Math.max(arrived, from + samples));
    utterance.samples += samples;
    this.#state.accepted += samples;
    while ((utterance.tokens + 1) * TOKEN_SAMPLES <= utterance.samples) {
      const text = ` t${utterance.tokens}`;
      utterance.tokens += 1;
      utterance.text += text;
      this.#emit('token', id, { text });
    }
  }

  #finalize(id: string): void {
    const utterance = this.#state.utterance;
    if (utterance?.id !== id || utterance.phase !== 'open') return this.#blame(`finalize of ${id}`);
    utterance.phase = 'finishing';
  }

  /** The engine needs a moment: the end of an utterance is known a save later than it was asked for. */
  #finish(): void {
    const { utterance } = this.#state;
    if (utterance?.phase !== 'finishing') return;
    this.#state.utterance = undefined;
    const tail = ` end${utterance.samples}`;
    this.#emit('token', utterance.id, { text: tail });
    this.#emit('final', utterance.id, { normalized_text: utterance.text + tail });
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    this.#emit('done', utterance.id, { usage });
  }

  #emit(type: string, requestId: string, payload: object): void {
    this.#state.seq += 1;
    const frame = envelope(type, this.#record.id, requestId, payload);
    this.#unsaved.push(`{"seq":${this.#state.seq},${frame.slice(1)}`);
  }

  #facts() {
    return { id: this.#record.id, created: 1, model: 'scripted' };
  }

  #offer() {
    return { token: this.#record.token, ttl_s: this.#fleet.ttlS };
  }

  #blame(what: string): void {
    this.#fleet.violations.push(`${this.#record.id}: ${what}`);
  }
}

function keepOf({ tokens }: UtteranceState): number {
  return Math.max(0, tokens * TOKEN_SAMPLES - OVERLAP_SAMPLES);
}

function envelope(type: string, sessionId: string, requestId: string, payload: object): string {
  return JSON.stringify({ type, session_id: sessionId, request_id: requestId, payload });
}
