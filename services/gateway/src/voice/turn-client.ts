import { VoiceError } from '@voice-fleet/protocol/errors';
import { NDJSON, TURNS_PATH, TurnEvent, type TurnRequestInput } from '@voice-fleet/protocol/turn';
import { NdjsonError, ndjsonLines, parseLine } from './ndjson.ts';

/** A spoken phrase is the longest event; no phrase is minutes long. */
const MAX_EVENT_CHARS = 4 * 1024 * 1024;

/** What answers a speaker: llm-tts, or a stand-in in tests. */
export interface Turns {
  /**
   * The events of one turn as they come. Throws VoiceError `llm_failed` when the service is not reached, refuses, or breaks
   * off; after an abort, whatever comes first. Events are read no faster than they are taken. `traceparent`: of what it is for.
   */
  open(
    request: TurnRequestInput,
    signal: AbortSignal,
    traceparent?: string,
  ): AsyncIterable<TurnEvent>;
}

/** Turns over HTTP. Closing a response ends everything that is done for it. */
export class TurnClient implements Turns {
  readonly #url: string;

  /** `baseUrl` of an llm-tts service. */
  constructor(baseUrl: string) {
    this.#url = new URL(TURNS_PATH, baseUrl).href;
  }

  async *open(
    request: TurnRequestInput,
    signal: AbortSignal,
    traceparent?: string,
  ): AsyncGenerator<TurnEvent> {
    let complete = false;
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: NDJSON,
          // A kept one may lead to a pod that is told to stop, and takes no more turns.
          connection: 'close',
          ...(traceparent !== undefined && { traceparent }),
        },
        body: JSON.stringify(request),
        redirect: 'error',
        signal,
      });
      if (!response.ok || response.body === null) {
        await response.body?.cancel();
        throw new NdjsonError(`status ${response.status}`);
      }
      for await (const line of ndjsonLines(response.body, MAX_EVENT_CHARS)) {
        const event = TurnEvent.parse(parseLine(line));
        complete = event.type === 'complete';
        yield event;
        if (complete) return;
      }
    } catch (error) {
      throw new VoiceError('llm_failed', { cause: error });
    }
    if (!complete) throw new VoiceError('llm_failed', { cause: 'the turn broke off' });
  }
}
