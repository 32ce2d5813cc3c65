import { VoiceError } from '@voice-fleet/protocol/errors';
import {
  OPENAI_DEFAULT_RATE,
  OPENAI_PCM_RATES,
  type OpenAiAudioFormat,
  OpenAiSession,
  type OpenAiTranscription,
  type OpenAiTurnDetection,
} from '@voice-fleet/protocol/openai-realtime';
import type { ListenOptions } from '@voice-fleet/protocol/session';
import type { ReplyFormat } from './agent-audio.ts';
import { agentOptionsOf, ReplyConfig } from './agent-commands.ts';
import type { ReplyManner } from './agent-events.ts';
import { type InputFormat, inputFormat } from './input-audio.ts';

type Json = Readonly<Record<string, unknown>>;

/** Their utterances are ended by the client unless it asks for detection: with it on, one turn comes back as two. */
const CLIENT_ENDS = new Set(['gpt-realtime-whisper', 'gpt-live-transcribe']);
const SERVER_VAD = {
  type: 'server_vad',
  threshold: 0.5,
  prefix_padding_ms: 300,
  silence_duration_ms: 500,
} as const;
/** Whether a speaker has finished is told by silence alone; an eager listener waits for less of it. */
const EAGERNESS_MS = { low: 1_600, medium: 800, auto: 800, high: 400 } as const;
const FLAT_FORMATS = {
  pcm16: { type: 'audio/pcm', rate: OPENAI_DEFAULT_RATE },
  g711_ulaw: { type: 'audio/pcmu' },
  g711_alaw: { type: 'audio/pcma' },
} as const;
/** What a session has that is to be answered. */
const ASKS_FOR_REPLIES = ['instructions', 'output_modalities', 'tools', 'prompt'];
const LANGUAGE = /^([a-z]{2,3})(?:$|[-_])/i;

/** What a request said of the session, before its first frame. */
export interface SessionHints {
  /** Of the URL. */
  readonly model: string | undefined;
  /** The URL asks for transcripts alone. */
  readonly transcribes: boolean;
}

/** A session's configuration: what its client asked for so far, and what that comes to. Never changes. */
export class SessionConfig {
  readonly #wish: OpenAiSession;
  readonly #hints: SessionHints;
  readonly #answers: boolean;
  readonly input: InputFormat;
  readonly output: ReplyFormat;

  /** Throws VoiceError for what cannot be served. */
  private constructor(wish: OpenAiSession, hints: SessionHints, answers: boolean) {
    this.#wish = wish;
    this.#hints = hints;
    this.#answers = answers;
    this.input = formatOf(wish.audio?.input?.format);
    this.output = formatOf(wish.audio?.output?.format);
  }

  static default(hints: SessionHints): SessionConfig {
    return new SessionConfig({}, hints, false);
  }

  /** With what an update says. Throws VoiceError for what cannot be served. */
  updated(update: OpenAiSession): SessionConfig {
    const wish = merged(this.#wish, modern(update));
    return new SessionConfig(wish, this.#hints, this.#answers || asksForReplies(wish));
  }

  /** As a client wants it that asks for a reply without having said so. */
  answering(): SessionConfig {
    return new SessionConfig({ ...this.#wish, type: 'realtime' }, this.#hints, true);
  }

  /** Its utterances are answered. */
  get answers(): boolean {
    return this.#answers;
  }

  /** Transcripts are told. */
  get transcribes(): boolean {
    return !this.#answers || Boolean(this.#transcription);
  }

  get manner(): ReplyManner {
    const voice = ReplyConfig.safeParse(this.#wish).data?.audio?.output?.voice;
    return {
      format: this.output,
      voice: (typeof voice === 'object' ? voice?.id : voice) ?? undefined,
    };
  }

  get options(): ListenOptions {
    const { model, language } = this;
    const detection = this.#detection;
    return {
      ...(model !== undefined && { model }),
      ...(language !== undefined && { language }),
      ...(detection && { endpointing: { silenceMs: silenceOf(detection) } }),
      ...(this.#answers && { agent: agentOptionsOf(this.#replyConfig) }),
    };
  }

  /** What transcribes it, as its client calls it. */
  get model(): string | undefined {
    const named = this.#transcription?.model;
    return named || (this.#hints.transcribes ? this.#hints.model : undefined);
  }

  get language(): string | undefined {
    return LANGUAGE.exec(this.#transcription?.language ?? '')?.[1]?.toLowerCase();
  }

  /** All of it, as clients are told. `served`: the model that transcribes, once that is known. */
  wire(id?: string, served?: string): Json {
    const { type: _type, model, audio, ...rest } = this.#wish;
    const { transcription: _transcription, ...input } = audio?.input ?? {};
    const transcribes = this.transcribes && {
      transcription: present({
        model: this.model ?? served,
        ...present(this.#transcription ?? {}),
      }),
    };
    const name = model ?? this.#hints.model;
    const told = {
      ...present(rest),
      ...(id !== undefined && { id }),
      object: this.#answers ? 'realtime.session' : 'realtime.transcription_session',
      type: this.#answers ? 'realtime' : 'transcription',
      ...(this.#answers && present({ model: name ?? served })),
      audio: {
        input: {
          ...present(input),
          format: wireFormat(this.input),
          ...transcribes,
          // It alone may be null: then the client ends utterances.
          turn_detection: this.#detection,
        },
      },
    };
    if (!this.#answers) return told;
    const output = { ...present(audio?.output ?? {}), format: wireFormat(this.output) };
    return {
      ...told,
      output_modalities: this.#replyConfig.output_modalities ?? ['audio'],
      audio: { ...told.audio, output },
    };
  }

  get #transcription(): OpenAiTranscription | null | undefined {
    return this.#wish.audio?.input?.transcription;
  }

  get #detection(): Json | null {
    const asked = this.#wish.audio?.input?.turn_detection;
    if (asked === undefined) return CLIENT_ENDS.has(this.model ?? '') ? null : this.#vad({});
    if (asked === null || asked.type === 'none') return null;
    return this.#vad(asked);
  }

  #vad(asked: OpenAiTurnDetection): Json {
    const replies = this.#answers && { create_response: true, interrupt_response: true };
    if (asked.type === 'semantic_vad')
      return { eagerness: 'auto', ...replies, ...present(asked), type: 'semantic_vad' };
    return { ...SERVER_VAD, ...replies, ...present(asked) };
  }

  get #replyConfig(): ReplyConfig {
    const wish = this.#wish;
    const input = { ...wish.audio?.input, turn_detection: this.#detection };
    const parsed = ReplyConfig.safeParse({ ...wish, audio: { ...wish.audio, input } });
    if (!parsed.success)
      throw new VoiceError('invalid_message', {
        message: `session.${parsed.error.issues[0]?.path.join('.')} is not valid.`,
      });
    return parsed.data;
  }
}

function silenceOf(detection: Json): number {
  const { type, silence_duration_ms, eagerness } = detection as OpenAiTurnDetection;
  if (type === 'semantic_vad') return EAGERNESS_MS[eagerness ?? 'auto'];
  return silence_duration_ms ?? SERVER_VAD.silence_duration_ms;
}

function formatOf(format: OpenAiAudioFormat | null | undefined): InputFormat {
  const { type, rate } = format ?? {};
  return inputFormat(type ?? 'audio/pcm', rate ?? OPENAI_DEFAULT_RATE, OPENAI_PCM_RATES);
}

/** Telephone audio has one rate, which nobody names. */
function wireFormat(format: InputFormat): Json {
  return { ...format };
}

/** The names of today for those of before. */
function modern(update: OpenAiSession): OpenAiSession {
  const { input_audio_format, input_audio_transcription, turn_detection, ...rest } = update;
  const flat = {
    ...(input_audio_format && { format: FLAT_FORMATS[input_audio_format] }),
    ...(input_audio_transcription !== undefined && { transcription: input_audio_transcription }),
    ...(turn_detection !== undefined && { turn_detection }),
  };
  if (Object.keys(flat).length === 0) return rest;
  return { ...rest, audio: { ...rest.audio, input: { ...flat, ...rest.audio?.input } } };
}

function merged(before: OpenAiSession, update: OpenAiSession): OpenAiSession {
  const { audio } = update;
  if (!audio) return { ...before, ...update, ...(before.audio && { audio: before.audio }) };
  const input = { ...before.audio?.input, ...audio.input };
  const output = { ...before.audio?.output, ...audio.output };
  return { ...before, ...update, audio: { ...before.audio, ...audio, input, output } };
}

/**
 * Some who only transcribe call their session `realtime`. One is answered that asks for something that only replies have,
 * or for no transcript at all.
 */
function asksForReplies(wish: OpenAiSession): boolean {
  if (wish.type !== 'realtime') return false;
  const { input, output } = wish.audio ?? {};
  if (!input?.transcription) return true;
  if (output && Object.keys(present(output)).length > 0) return true;
  if (input.turn_detection?.['create_response'] === true) return true;
  return ASKS_FOR_REPLIES.some((name) => asked(wish[name]));
}

function asked(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false;
  return !Array.isArray(value) || value.length > 0;
}

/** Without what is null: clients take an optional field for present, whatever it holds. */
function present(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one != null));
}
