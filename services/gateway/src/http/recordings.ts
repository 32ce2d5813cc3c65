import type { ServerResponse } from 'node:http';
import type { Principal } from '@voice-fleet/fleet/tenant';
import { decodeRecording } from '@voice-fleet/media/decode-recording';
import { traceparentIn } from '@voice-fleet/telemetry/tracing/traceparent';
import { credentialOf } from '../auth/credentials.ts';
import type { ModelNames } from '../catalogue/model-catalogue.ts';
import type { TranscribeOptions, Transcriber, Transcription } from '../voice/transcriber.ts';
import { keepQuiet, type TimedSocket } from './quiet-socket.ts';
import type { RateHeaders } from './rate-headers.ts';
import type { RecordingSettings } from './recording-env.ts';
import type { RequestSlots } from './request-slots.ts';
import { readUpload, type Upload, type UploadRequest } from './upload.ts';
import type { Authenticate } from './usage.controller.ts';

/** The request, as far as it is used here. */
export interface RecordingRequest extends UploadRequest {
  readonly url?: string | undefined;
  readonly socket: TimedSocket;
}
/** The response, as far as it is used here. */
export type RecordingResponse = Pick<ServerResponse, 'once' | 'destroyed' | 'setHeader'>;

/** What the endpoints for recordings are made from. */
export interface RecordingsDeps {
  readonly settings: RecordingSettings;
  readonly authenticate: Authenticate;
  readonly transcriber: Pick<Transcriber, 'transcribe'>;
  readonly slots: RequestSlots;
  readonly rates: Pick<RateHeaders, 'of'>;
  readonly models: ModelNames;
  /** Used for clients that bring no key; absent: they are refused. */
  readonly guestKey?: string | undefined;
}

/**
 * Looks at what came with a recording before anything is done with it: what it asks of its transcription. Throws VoiceError for
 * what cannot be had here.
 */
export type ReadWishes = (
  upload: Upload,
  principal: Principal,
) => TranscribeOptions | Promise<TranscribeOptions>;

const NO_WISHES: ReadWishes = () => ({});

/** Requests that bring a whole recording: few at a time, each over as soon as its client is gone. */
export class Recordings {
  readonly #deps: RecordingsDeps;

  constructor(deps: RecordingsDeps) {
    this.#deps = deps;
  }

  /**
   * Transcribes the recording in a request, and answers what `work` makes of it. Rejects with VoiceError, whose first are those
   * of the key and of too many requests: then the recording is not read.
   */
  async serve<T>(
    request: RecordingRequest,
    response: RecordingResponse,
    work: (transcription: Transcription, signal: AbortSignal) => T | Promise<T>,
    readWishes: ReadWishes = NO_WISHES,
  ): Promise<T> {
    const { settings, authenticate, transcriber, slots, rates, models, guestKey = '' } = this.#deps;
    const gone = new AbortController();
    if (response.destroyed) gone.abort();
    // Also when it was answered to its end.
    response.once('close', () => gone.abort());
    const credential = credentialOf(request.headers) || guestKey;
    const principal = await authenticate(credential, 'stream');
    for (const [name, value] of await rates.of(principal)) response.setHeader(name, value);
    const slot = slots.enter(principal.tenantId);
    if (gone.signal.aborted) slot.leave();
    // Not before: while this process stops, the answer is waited for too.
    gone.signal.addEventListener('abort', () => slot.leave(), { once: true });
    // Nothing moves on the connection while an engine works. All that it waits for has a limit of its own.
    let moveAgain: (() => void) | undefined;
    try {
      const signal = AbortSignal.any([gone.signal, slot.signal]);
      const upload = await readUpload(request, settings.maxBytes, signal);
      moveAgain = keepQuiet(request.socket);
      const wishes = await readWishes(upload, principal);
      // Before anything is done with it; what it means is found again when its slot is taken.
      await models.resolve(wishes.model, principal.models);
      const pcm = await decodeRecording(upload.bytes, settings, signal);
      const { url = '', headers } = request;
      const trace = { path: url.split('?', 1)[0] ?? '', traceparent: traceparentIn(headers) };
      const options = { ...wishes, trace };
      const transcription = await transcriber.transcribe(credential, pcm, signal, options);
      return await work(transcription, signal);
    } finally {
      moveAgain?.();
    }
  }
}
