import { z } from 'zod';

/**
 * The link: one WebSocket from a gateway to a worker for each admitted session.
 *
 * Text frames are the JSON messages below. A binary frame is PCM16 LE mono 16 kHz of the utterance opened by the last
 * `start`; it carries no header, since frames of one link keep their order. All sample numbers are on the session clock:
 * sample 0 is the first audio sample the gateway ever accepted in the session.
 */
export const LINK_PATH = '/link';
export const LINK_VERSION = 3;

/** How often a worker tells what it has consumed, at the most. */
export const LINK_ACK_INTERVAL_MS = 250;

export const LinkHello = z.strictObject({
  type: z.literal('hello'),
  version: z.literal(LINK_VERSION),
  session: z.string().min(1).max(200),
  lease: z.strictObject({
    token: z.string().min(1).max(200),
    epoch: z.int().positive(),
    tenant: z.string().min(1).max(200),
  }),
});

/** A recognised word on the session clock. `text` keeps its own leading white space. */
export const LinkWord = z.strictObject({
  text: z.string(),
  startSample: z.int().nonnegative(),
  endSample: z.int().nonnegative(),
  confidence: z.number().min(0).max(1).optional(),
});
export type LinkWord = z.infer<typeof LinkWord>;

/** What another worker made of the utterance so far. */
export const LinkResume = z.strictObject({
  /** All words that end before this sample were shown; the new worker owes those after it. At or behind `fromSample`. */
  heardSample: z.int().nonnegative(),
  /** Where the audio sent at once, to be heard again, ends: behind it comes live audio. */
  liveSample: z.int().nonnegative(),
  /** The words shown last, in order: where the transcript is to be continued. */
  words: z.array(LinkWord).max(256),
});
export type LinkResume = z.infer<typeof LinkResume>;

/** When an utterance is taken to be at its end. */
export const LinkEndpoint = z.strictObject({
  /** Since the last voiced audio, by the clock too: a client may stop sending. */
  silenceMs: z.int().min(100).max(10_000),
  /** The speaker was heard before, at another worker: the end may be told without a beginning. */
  begun: z.literal(true).optional(),
});
export type LinkEndpoint = z.infer<typeof LinkEndpoint>;

/** Gateway to worker. `utterance` numbers an utterance within its session, from 1. */
export const LinkCommand = z.discriminatedUnion('type', [
  LinkHello,
  z.strictObject({
    type: z.literal('start'),
    utterance: z.int().positive(),
    /** Where its audio begins, or with `resume`: where the audio that now comes begins. */
    fromSample: z.int().nonnegative(),
    resume: LinkResume.optional(),
    /** Whether the worker tells when the speaker begins, and when nothing was said for so long. */
    endpoint: LinkEndpoint.optional(),
    /** What W3C's header of that name says: the trace of the utterance. Only where the gateway is traced. */
    traceparent: z.string().max(128).optional(),
  }),
  z.strictObject({ type: z.literal('finish'), utterance: z.int().positive() }),
  z.strictObject({ type: z.literal('cancel'), utterance: z.int().positive() }),
]);
export type LinkCommand = z.infer<typeof LinkCommand>;

export const LinkRefusal = z.enum([
  'bad_hello',
  'lease_unknown',
  'stale_epoch',
  'full',
  'not_ready',
  'draining',
]);
export type LinkRefusal = z.infer<typeof LinkRefusal>;

/** Worker to gateway. */
export const LinkEvent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ready'), epoch: z.int().positive(), model: z.string() }),
  z.strictObject({ type: z.literal('refused'), reason: LinkRefusal }),
  /**
   * The session should go on elsewhere soon: the worker is about to stop, or its engine fails this session again and again.
   * This link works on meanwhile.
   */
  z.strictObject({ type: z.literal('draining'), cause: z.enum(['stopping', 'engine']) }),
  /**
   * `frames`: frames of this link consumed so far (text and binary, hello not counted); `takenSample`: audio the engine has
   * taken, a part of a frame too; `sample`: all words that end before it were sent, so a worker that continues owes those
   * after it.
   */
  z.strictObject({
    type: z.literal('ack'),
    frames: z.int().nonnegative(),
    takenSample: z.int().nonnegative(),
    sample: z.int().nonnegative(),
    /**
     * Time the engine took for the audio of the utterance that `takenSample` lies in, since it was started on this link; an
     * engine that takes audio at once needs none. Absent when that utterance is over.
     */
    workMs: z.number().nonnegative().optional(),
  }),
  /**
   * The speaker was first heard, at `sample`. At most once for each `start` with an `endpoint`, and never after `finish`. A
   * worker that goes on with an utterance does not know whether it was told before, so it may be told again: the first counts.
   */
  z.strictObject({
    type: z.literal('speech_started'),
    utterance: z.int().positive(),
    sample: z.int().nonnegative(),
  }),
  /**
   * Nothing was said for `endpoint.silenceMs` since `sample`. At most once for each `start`, and only after its
   * `speech_started`; never after `finish`. The utterance goes on until it is finished.
   */
  z.strictObject({
    type: z.literal('speech_ended'),
    utterance: z.int().positive(),
    sample: z.int().nonnegative(),
  }),
  /** `words` are settled for good; `tail` is the engine's present guess at what follows them. */
  z.strictObject({
    type: z.literal('partial'),
    utterance: z.int().positive(),
    words: z.array(LinkWord),
    tail: z.string(),
  }),
  z.strictObject({
    type: z.literal('final'),
    utterance: z.int().positive(),
    /** Words settled since the last partial. */
    words: z.array(LinkWord),
    promptTokens: z.int().nonnegative(),
    completionTokens: z.int().nonnegative(),
  }),
  z.strictObject({
    type: z.literal('dropped'),
    utterance: z.int().positive(),
    samples: z.int().positive(),
    maxBacklogSamples: z.int().nonnegative(),
  }),
  z.strictObject({ type: z.literal('failed'), utterance: z.int().positive(), reason: z.string() }),
]);
export type LinkEvent = z.infer<typeof LinkEvent>;
