import { randomBytes } from 'node:crypto';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { openAiError } from '@voice-fleet/protocol/openai-error';
import { OpenAiSession, OpenAiSessionUpdate } from '@voice-fleet/protocol/openai-realtime';
import type {
  ClientCommand,
  CloseReason,
  SessionEvent,
  SessionInfo,
} from '@voice-fleet/protocol/session';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import { AGENT_FRAMES, AgentFrame, agentCommandOf } from './agent-commands.ts';
import { AgentEncoder, type WireEvent } from './agent-events.ts';
import { closeOf } from './close.ts';
import { InputAudio } from './input-audio.ts';
import { SessionConfig, type SessionHints } from './session-config.ts';
import { TranscriptEncoder } from './transcript-events.ts';

type Json = Readonly<Record<string, unknown>>;
type UpdateType = 'session.update' | 'transcription_session.update';

const MAX_ID_CHARS = 200;
/** What is said of others names a field that only their clients have. */
const WORDS: Partial<Record<VoiceError['code'], string>> = {
  missing_audio: 'audio must be a base64 string.',
  invalid_audio: 'audio is not valid base64.',
  binary_not_supported: 'Send JSON text frames, and audio in them as base64.',
};

/** Sessions of OpenAI's Realtime API: transcripts, or conversations. See docs/protocols/openai-realtime.md. */
export class OpenAiCodec implements DialectCodec {
  #config: SessionConfig;
  #audio: InputAudio;
  readonly #agent: AgentEncoder;
  readonly #eventPrefix = `event_${randomBytes(8).toString('hex')}`;
  #events = 0;
  /** Of the client's last frame, if it had one: an error that it made names it. */
  #causeId: string | undefined;
  /** What was asked for and is not in force yet, in order. `undefined`: nobody waits to hear of it. */
  readonly #asked: (UpdateType | undefined)[] = [undefined];
  /** What holds if the last update is refused. */
  #before: SessionConfig | undefined;
  readonly #transcripts = new TranscriptEncoder();

  constructor(hints: SessionHints, config = SessionConfig.default(hints)) {
    this.#config = config;
    this.#audio = new InputAudio(config.input);
    this.#agent = new AgentEncoder(`conv_${randomBytes(12).toString('hex')}`, config.manner);
  }

  /** Throws VoiceError for what cannot be served. */
  bind(session: string): void {
    this.#config = this.#config.updated(OpenAiSession.parse(JSON.parse(session)));
    this.#audio = new InputAudio(this.#config.input);
    this.#transcripts.told = this.#config.transcribes;
    this.#agent.manner = this.#config.manner;
  }

  get opening(): ClientCommand {
    return { kind: 'listen', options: this.#config.options };
  }

  /** The session as greeted clients see it. */
  greeting(session: SessionInfo): Json {
    return this.#config.wire(session.id, session.model);
  }

  /** Some libraries send their JSON as binary frames, which are text to it. */
  decode(data: Buffer): ClientCommand {
    this.unread();
    const frame = parseFlat(data);
    if (!isObject(frame) || typeof frame['type'] !== 'string')
      throw new VoiceError('invalid_message', {
        message: 'A message is a JSON object with a `type`.',
      });
    const { event_id: eventId, type } = frame;
    if (typeof eventId === 'string') this.#causeId = eventId.slice(0, MAX_ID_CHARS);
    switch (type) {
      case 'input_audio_buffer.append':
        return audioCommand(this.#audio.push(frame['audio']));
      case 'input_audio_buffer.commit':
        return this.#commit();
      case 'input_audio_buffer.clear':
        this.#audio.clear();
        return { kind: 'clear' };
      case 'session.update':
      case 'transcription_session.update':
        return this.#update(frame, type);
      // Replies are not buffered here: they are cut off by `response.cancel`.
      case 'output_audio_buffer.clear':
        return { kind: 'ignore' };
      default:
        if (AGENT_FRAMES.has(type)) return this.#agentCommand(frame);
        throw new VoiceError('unknown_message_type', {
          message: `There is no message of the type ${type.slice(0, MAX_ID_CHARS)} here.`,
        });
    }
  }

  unread(): void {
    this.#causeId = undefined;
    this.#before = undefined;
  }

  encode(event: SessionEvent): readonly string[] {
    return this.#wire(event).map((told) => this.frame(told));
  }

  /** A server event with its id. */
  frame({ type, ...fields }: WireEvent): string {
    this.#events += 1;
    return JSON.stringify({ type, event_id: `${this.#eventPrefix}${this.#events}`, ...fields });
  }

  close(reason: CloseReason): { readonly code: number; readonly reason: string } {
    return closeOf(reason);
  }

  #commit(): ClientCommand {
    const rest = this.#audio.flush();
    const finalize = { kind: 'finalize', utteranceId: undefined } as const;
    // What a filter held back is no utterance of its own.
    if (rest.length === 0) return finalize;
    return { kind: 'several', commands: [audioCommand(rest), finalize] };
  }

  #update(frame: Json, type: UpdateType): ClientCommand {
    const parsed = OpenAiSessionUpdate.safeParse(frame);
    if (!parsed.success) {
      const param = parsed.error.issues[0]?.path.join('.') ?? 'session';
      throw new VoiceError('invalid_message', {
        message: `${param} is not valid.`,
        details: { param },
      });
    }
    const before = this.#config;
    const { session } = parsed.data;
    const listen = this.#configure(
      before.updated(type === 'session.update' ? session : { ...session, type: 'transcription' }),
    );
    this.#before = before;
    this.#asked.push(type);
    return listen;
  }

  /** Throws VoiceError for what cannot be served; then nothing has changed. */
  #configure(config: SessionConfig): ClientCommand {
    const { options } = config;
    const listen = { kind: 'listen', options } as const;
    const changes = JSON.stringify(config.input) !== JSON.stringify(this.#config.input);
    this.#config = config;
    if (!changes) return listen;
    const rest = this.#audio.flush();
    this.#audio = new InputAudio(config.input);
    return rest.length === 0 ? listen : { kind: 'several', commands: [audioCommand(rest), listen] };
  }

  #agentCommand(frame: Json): ClientCommand {
    const parsed = AgentFrame.safeParse(frame);
    if (!parsed.success) {
      const param = parsed.error.issues[0]?.path.join('.') ?? 'type';
      throw new VoiceError('invalid_message', {
        message: `${param} is not valid.`,
        details: { param },
      });
    }
    const command = agentCommandOf(parsed.data);
    if (parsed.data.type === 'response.create')
      this.#agent.metadata = parsed.data.response?.metadata ?? undefined;
    if (this.#config.answers) return command;
    // Who asks for a reply has a session that gives some.
    this.#asked.push(undefined);
    const listen = this.#configure(this.#config.answering());
    return { kind: 'several', commands: [listen, command] };
  }

  #wire(event: SessionEvent): readonly WireEvent[] {
    switch (event.kind) {
      case 'created':
        return [{ type: 'session.created', session: this.greeting(event.session) }];
      case 'error':
        return this.#error(event.error);
      case 'listening':
        return this.#listening(event.session);
      case 'speech-began':
      case 'speech-ended':
      case 'committed':
      case 'heard':
      case 'transcribed':
      case 'failed':
      case 'cleared':
      case 'quiet':
        return this.#transcripts.encode(event);
      case 'reply-began':
        this.#transcripts.lastItemId = event.itemId;
        return this.#agent.encode(event) ?? [];
      case 'item-added':
        this.#transcripts.lastItemId = event.item.id;
        return this.#agent.encode(event) ?? [];
      default:
        // What its frameworks have no use for would be the end of their sessions.
        return this.#agent.encode(event) ?? [];
    }
  }

  #listening(session: SessionInfo): readonly WireEvent[] {
    // It is in force: a later frame that is refused unread takes nothing back.
    this.#before = undefined;
    this.#agent.manner = this.#config.manner;
    this.#transcripts.told = this.#config.transcribes;
    const asked = this.#asked.shift();
    if (asked === undefined) return [];
    const told = this.#config.wire(session.id, session.model);
    return [{ type: asked.replace('.update', '.updated'), session: told }];
  }

  /** Told of a client's mistakes, and of what ends the session: its frameworks take each error for the end. */
  #error(error: VoiceError): readonly WireEvent[] {
    if (error.tier === 'recoverable') return [];
    const own = error.tier === 'client_mistake';
    if (own && this.#before) {
      this.#config = this.#before;
      this.#audio = new InputAudio(this.#config.input);
      this.#asked.pop();
      this.#before = undefined;
    }
    const { type, code, message, param } = openAiError(error);
    const cause = own && this.#causeId !== undefined ? { event_id: this.#causeId } : {};
    const told = { type, code, message: WORDS[error.code] ?? message, param, ...cause };
    return [{ type: 'error', error: told }];
  }
}

function audioCommand(pcm: Buffer): ClientCommand {
  return pcm.length === 0 ? { kind: 'ignore' } : { kind: 'audio', utteranceId: undefined, pcm };
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
