import { createHash, randomUUID } from 'node:crypto';
import {
  DeepgramClientMessage,
  type DeepgramResults,
  type DeepgramServerMessage,
} from '@voice-fleet/protocol/deepgram';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  CloseReason,
  CommitCause,
  SessionEvent,
  SessionInfo,
} from '@voice-fleet/protocol/session';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import { closeCode } from './close-code.ts';
import type { ListenQuery } from './query.ts';
import { StreamAudio } from './stream-audio.ts';
import { confidenceOf, guessedWords, secondsOf, transcriptOf, wordsOf } from './words.ts';

/** The results of one utterance on their way. */
interface Segment {
  readonly words: LinkWord[];
  toSample: number | undefined;
  cause: CommitCause | undefined;
  /** Its client waits for its results. */
  finalized: boolean;
}

/** A stream of `/v1/listen`: audio in, results out; the last message is its metadata. */
export class DeepgramListenCodec implements DialectCodec {
  readonly opening: ClientCommand;
  readonly #query: ListenQuery;
  readonly #audio: StreamAudio;
  readonly #requestId = randomUUID();
  readonly #hash = createHash('sha256');
  readonly #segments = new Map<string, Segment>();
  #session: SessionInfo | undefined;
  /** Where the next final result begins. */
  #toldSample = 0;

  constructor(query: ListenQuery) {
    this.#query = query;
    this.#audio = new StreamAudio(query.format);
    this.opening = { kind: 'listen', options: query.options };
  }

  decode(data: Buffer, isBinary: boolean): ClientCommand {
    if (isBinary) return this.#onAudio(data);
    const message = DeepgramClientMessage.safeParse(parseFlat(data));
    if (!message.success)
      throw new VoiceError('invalid_message', {
        message: 'A text frame must be a JSON object with a type. Send audio as binary frames.',
      });
    switch (message.data.type) {
      case 'Finalize':
        return { kind: 'finalize', utteranceId: undefined };
      case 'CloseStream':
        return this.#audio.finish();
      default:
        return { kind: 'ignore' };
    }
  }

  encode(event: SessionEvent): readonly string[] {
    return this.#messages(event).map((message) => JSON.stringify(message));
  }

  close(reason: CloseReason): { code: number; reason: string } {
    return closeCode(reason);
  }

  #onAudio(data: Buffer): ClientCommand {
    // How clients ended a stream before there was a message for it.
    if (data.length === 0) return this.#audio.finish();
    this.#hash.update(data);
    return this.#audio.push(data);
  }

  #messages(event: SessionEvent): readonly DeepgramServerMessage[] {
    switch (event.kind) {
      case 'created':
        this.#session = event.session;
        return [];
      case 'speech-began':
        if (!this.#query.vadEvents) return [];
        return [{ type: 'SpeechStarted', channel: [0], timestamp: secondsOf(event.sample) }];
      case 'heard':
        return this.#heard(event.utteranceId, event.words, event.tail);
      case 'committed': {
        const segment = this.#segment(event.utteranceId);
        segment.toSample = event.toSample;
        segment.cause = event.cause;
        return [];
      }
      case 'transcribed':
        return [this.#final(event.utteranceId, event.words)];
      // What was heard of it is all that there is.
      case 'failed':
        return [this.#final(event.utteranceId, this.#segment(event.utteranceId).words)];
      case 'quiet': {
        const last_word_end = secondsOf(event.sample);
        return [{ type: 'UtteranceEnd', channel: [0, 1], last_word_end }];
      }
      case 'ended':
        return [this.#metadata()];
      case 'error': {
        // Clients finalize whenever they hear nobody, whether anything was said or not.
        if (event.error.code === 'empty_commit') return this.#nothing();
        const { code: variant, message } = event.error;
        return [{ type: 'Error', variant, description: message, message }];
      }
      default:
        return [];
    }
  }

  #segment(utteranceId: string): Segment {
    const known = this.#segments.get(utteranceId);
    if (known) return known;
    const segment: Segment = { words: [], toSample: undefined, cause: undefined, finalized: false };
    this.#segments.set(utteranceId, segment);
    return segment;
  }

  #heard(utteranceId: string, words: readonly LinkWord[], tail: string): DeepgramServerMessage[] {
    const segment = this.#segment(utteranceId);
    segment.words.push(...words);
    if (!this.#query.interimResults) return [];
    const toSample = segment.toSample ?? this.#audio.samples;
    const guessed = guessedWords(
      tail,
      segment.words.at(-1)?.endSample ?? this.#toldSample,
      toSample,
    );
    const all = [...segment.words, ...guessed];
    return all.length === 0 ? [] : [this.#results(all, toSample, { is_final: false })];
  }

  #final(utteranceId: string, words: readonly LinkWord[]): DeepgramServerMessage {
    const { toSample = this.#audio.samples, cause, finalized } = this.#segment(utteranceId);
    this.#segments.delete(utteranceId);
    const results = this.#results(words, toSample, {
      is_final: true,
      speech_final: cause === 'endpoint' && this.#query.endpointing,
      from_finalize: cause === 'client' || finalized,
    });
    this.#toldSample = toSample;
    return results;
  }

  #results(
    all: readonly LinkWord[],
    toSample: number,
    how: Pick<DeepgramResults, 'is_final'> &
      Partial<Pick<DeepgramResults, 'speech_final' | 'from_finalize'>>,
  ): DeepgramResults {
    const words = wordsOf(all);
    const transcript = transcriptOf(all, this.#query.punctuate);
    const name = this.#session?.model ?? '';
    return {
      type: 'Results',
      channel_index: [0, 1],
      start: secondsOf(this.#toldSample),
      duration: secondsOf(Math.max(0, toSample - this.#toldSample)),
      speech_final: false,
      from_finalize: false,
      ...how,
      channel: { alternatives: [{ transcript, confidence: confidenceOf(words), words }] },
      metadata: {
        request_id: this.#requestId,
        model_info: { name, version: 'unknown', arch: 'unknown' },
        model_uuid: name,
      },
    };
  }

  /** No audio is left to finalize: the last results on their way are those asked for, or there are none. */
  #nothing(): DeepgramServerMessage[] {
    const last = [...this.#segments.values()].at(-1);
    if (last === undefined)
      return [this.#results([], this.#toldSample, { is_final: true, from_finalize: true })];
    last.finalized = true;
    return [];
  }

  #metadata(): DeepgramServerMessage {
    const { createdAtS = 0 } = this.#session ?? {};
    return {
      type: 'Metadata',
      transaction_key: 'deprecated',
      request_id: this.#requestId,
      sha256: this.#hash.digest('hex'),
      created: new Date(createdAtS * 1000).toISOString(),
      duration: secondsOf(this.#audio.samples),
      channels: 1,
    };
  }
}
