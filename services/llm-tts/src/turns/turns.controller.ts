import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { Body, Controller, Headers, Inject, Post, Res } from '@nestjs/common';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { NDJSON, TURNS_PATH, TurnRequest } from '@voice-fleet/protocol/turn';
import { systemClock } from '@voice-fleet/runtime/clock';
import { traceparentIn } from '@voice-fleet/telemetry/tracing/traceparent';
import { ResponseStream } from '../http/response-stream.ts';
import { Turns } from './turns.ts';

/** A gateway that takes nothing for so long has lost its client or hangs. */
const STALL_MS = 30_000;

@Controller()
export class TurnsController {
  readonly #turns: Turns;

  constructor(@Inject(Turns) turns: Turns) {
    this.#turns = turns;
  }

  /** Answers a turn with one event a line. Closing the request ends all that is done for it. */
  @Post(TURNS_PATH)
  async turn(
    @Body() body: unknown,
    @Headers() headers: IncomingHttpHeaders,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const request = requestOf(body);
    const stream = new ResponseStream(response, { clock: systemClock, stallMs: STALL_MS });
    const events = this.#turns.open(request, stream.signal, traceparentIn(headers));
    stream.begin(NDJSON);
    try {
      let isWhole = false;
      for await (const event of events) {
        await stream.write(`${JSON.stringify(event)}\n`);
        isWhole = event.type === 'complete';
      }
      // One that we cut off has no last event, and its answer must not look as if it had an end.
      if (isWhole) stream.end();
      else stream.cut();
    } catch (error) {
      if (stream.signal.aborted) return;
      throw error;
    }
  }
}

/** Faults name fields and bounds, never what was said. */
function requestOf(body: unknown): TurnRequest {
  const parsed = TurnRequest.safeParse(body);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new VoiceError('invalid_message', { message: `Not a turn: ${faults.join('; ')}` });
}
