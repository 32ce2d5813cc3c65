import { randomUUID } from 'node:crypto';
import { DeepgramClientMessage } from '@voice-fleet/protocol/deepgram';
import {
  FluxConfigure,
  type FluxServerMessage,
  type FluxTurnInfo,
} from '@voice-fleet/protocol/deepgram-flux';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { LinkWord } from '@voice-fleet/protocol/link';
import type {
  ClientCommand,
  CloseReason,
  CommitCause,
  SessionEvent,
} from '@voice-fleet/protocol/session';
import { wholeWords } from '@voice-fleet/speech/transcript-formats';
import { joinText } from '@voice-fleet/speech/words';
import { closeCode } from '../deepgram-listen/close-code.ts';
import { StreamAudio } from '../deepgram-listen/stream-audio.ts';
import { guessedWords, secondsOf } from '../deepgram-listen/words.ts';
import type { DialectCodec } from '../dialect.ts';
import { parseFlat } from '../flat-json.ts';
import {
  changedTurns,
  type FluxQuery,
  listenOptions,
  silenceOf,
  type TurnSettings,
} from './query.ts';

/** One utterance. It is a turn as soon as something was said in it. */
interface Turn {
  readonly words: LinkWord[];
  begun: boolean;
  toSample: number | undefined;
  cause: CommitCause | undefined;
  /** What was said when its end was told early. */
  eager: string | undefined;
}
type TurnEvent = FluxTurnInfo['event'];

/** A message before it is numbered. */
type Unnumbered = FluxServerMessage extends infer M
  ? M extends FluxServerMessage
    ? Omit<M, 'sequence_id' | 'request_id'>
    : never
  : never;

/** A stream of `/v2/listen`: audio in, one speaker's turns out. */
export class DeepgramFluxCodec implements DialectCodec {
  readonly opening: ClientCommand;
  readonly #query: FluxQuery;
  readonly #audio: StreamAudio;
  readonly #requestId = randomUUID();
  readonly #turns = new Map<string, Turn>();
  #settings: TurnSettings;
  #keyterms: readonly string[];
  /** Changes that are not answered yet. */
  #changes = 0;
  /** What a change was refused with, which ends nothing. */
  #refused: VoiceError | undefined;
  #sequence = 0;
  #turnIndex = 0;
  /** Where the next turn begins. */
  #fromSample = 0;

  constructor(query: FluxQuery) {
    this.#query = query;
    this.#settings = query.turns;
    this.#keyterms = query.keyterms;
    this.#audio = new StreamAudio(query.format);
    this.opening = { kind: 'listen', options: listenOptions(query, query.turns) };
  }

  decode(data: Buffer, isBinary: boolean): ClientCommand {
    if (isBinary) return this.#audio.push(data);
    const message = DeepgramClientMessage.safeParse(parseFlat(data));
    if (!message.success)
      throw new VoiceError('invalid_message', {
        message: 'A text frame must be a JSON object with a type. Send audio as binary frames.',
      });
    switch (message.data.type) {
      case 'ForceEndTurn':
        return { kind: 'finalize', utteranceId: undefined };
      case 'CloseStream':
        return this.#audio.finish();
      case 'Configure':
        return this.#configure(message.data);
      default:
        return { kind: 'ignore' };
    }
  }

  encode(event: SessionEvent): readonly string[] {
    return this.#messages(event).map((message) => {
      const own = message.type === 'Error' ? {} : { request_id: this.#requestId };
      const sequence_id = this.#sequence++;
      return JSON.stringify({ ...message, ...own, sequence_id });
    });
  }

  close(reason: CloseReason): { code: number; reason: string } {
    return closeCode(reason);
  }

  #configure(message: unknown): ClientCommand {
    const parsed = FluxConfigure.safeParse(message);
    if (!parsed.success) {
      this.#refused = new VoiceError('invalid_message');
      throw this.#refused;
    }
    const { thresholds, keyterms } = parsed.data;
    this.#settings = changedTurns(this.#settings, thresholds);
    if (keyterms !== undefined) this.#keyterms = [keyterms].flat();
    this.#changes += 1;
    return { kind: 'listen', options: listenOptions(this.#query, this.#settings) };
  }

  #messages(event: SessionEvent): readonly Unnumbered[] {
    switch (event.kind) {
      case 'created':
        return [{ type: 'Connected' }];
      case 'listening':
        if (this.#changes === 0) return [];
        this.#changes -= 1;
        return [
          {
            type: 'ConfigureSuccess',
            thresholds: this.#settings,
            keyterms: [...this.#keyterms],
          },
        ];
      case 'heard':
        return this.#heard(this.#turn(event.utteranceId), event.words, event.tail);
      case 'committed': {
        const turn = this.#turn(event.utteranceId);
        turn.toSample = event.toSample;
        turn.cause = event.cause;
        return this.#eager(turn);
      }
      case 'transcribed':
        return this.#over(event.utteranceId, event.words);
      case 'failed':
        // What was heard of it is all that there is.
        return this.#over(event.utteranceId, this.#turn(event.utteranceId).words);
      case 'error':
        return this.#error(event.error);
      default:
        return [];
    }
  }

  #turn(utteranceId: string): Turn {
    const known = this.#turns.get(utteranceId);
    if (known) return known;
    const turn: Turn = {
      words: [],
      begun: false,
      toSample: undefined,
      cause: undefined,
      eager: undefined,
    };
    this.#turns.set(utteranceId, turn);
    return turn;
  }

  #heard(turn: Turn, words: readonly LinkWord[], tail: string): Unnumbered[] {
    turn.words.push(...words);
    const since = turn.words.at(-1)?.endSample ?? this.#fromSample;
    const guessed = guessedWords(tail, since, turn.toSample ?? this.#audio.samples);
    const all = [...turn.words, ...guessed];
    if (joinText(all).trim() === '') return [];
    // Its end was told: what comes now is compared with that when all of it is there.
    if (turn.eager !== undefined) return [];
    const event = turn.begun ? 'Update' : 'StartOfTurn';
    turn.begun = true;
    return [this.#info(event, turn, all, 0)];
  }

  /** Nothing is said any more; the last words may still be on their way. */
  #eager(turn: Turn): Unnumbered[] {
    const { eager_eot_threshold: threshold } = this.#settings;
    const text = joinText(turn.words).trim();
    if (threshold === undefined || !turn.begun || turn.cause !== 'endpoint' || text === '')
      return [];
    turn.eager = text;
    return [this.#info('EagerEndOfTurn', turn, turn.words, threshold)];
  }

  #over(utteranceId: string, words: readonly LinkWord[]): Unnumbered[] {
    const turn = this.#turn(utteranceId);
    this.#turns.delete(utteranceId);
    const text = joinText(words).trim();
    const told: Unnumbered[] = [];
    if (text !== '' || turn.begun) {
      if (!turn.begun) told.push(this.#info('StartOfTurn', turn, words, 0));
      else if (turn.eager !== undefined && turn.eager !== text)
        told.push(this.#info('TurnResumed', turn, words, 0));
      told.push({ ...this.#info('EndOfTurn', turn, words, 1), trigger: this.#trigger(turn) });
      this.#turnIndex += 1;
    }
    this.#fromSample = turn.toSample ?? this.#audio.samples;
    return told;
  }

  #trigger({ cause }: Turn): NonNullable<FluxTurnInfo['trigger']> {
    switch (cause) {
      case 'client':
      case 'finish':
        return 'manual';
      case 'length':
        return 'timeout';
      case 'endpoint':
      case undefined:
        return silenceOf(this.#settings).byTimeout ? 'timeout' : 'model';
    }
  }

  #info(
    event: TurnEvent,
    turn: Turn,
    all: readonly LinkWord[],
    end_of_turn_confidence: number,
  ): Omit<FluxTurnInfo, 'sequence_id' | 'request_id'> {
    return {
      type: 'TurnInfo',
      event,
      turn_index: this.#turnIndex,
      audio_window_start: secondsOf(this.#fromSample),
      audio_window_end: secondsOf(turn.toSample ?? this.#audio.samples),
      transcript: joinText(all).trim(),
      words: wholeWords(all).map(({ text, startSample, endSample, confidence = 1 }) => ({
        word: text,
        confidence,
        start: secondsOf(startSample),
        end: secondsOf(endSample),
      })),
      end_of_turn_confidence,
    };
  }

  #error(error: VoiceError): Unnumbered[] {
    // A turn that is ended though nobody speaks.
    if (error.code === 'empty_commit') return [];
    if (error === this.#refused) return [{ type: 'ConfigureFailure' }];
    return [{ type: 'Error', code: error.code, description: error.message }];
  }
}
