import { z } from 'zod';

const Ms = z.number().nonnegative();
/** Unix time in ms. */
const Mark = z.number().optional();

/** What became of one utterance, in numbers. The same stand in its span and in the log. */
export const UtteranceReport = z.strictObject({
  id: z.string(),
  outcome: z.string(),
  /** First audio received, first words, final transcript, first token of the reply, first audio of the reply. */
  t0_ms: Mark,
  t1_ms: Mark,
  t2_ms: Mark,
  t3_ms: Mark,
  t4_ms: Mark,
  audio_ms: Ms,
  /** Audio that was let go, as its engine fell behind. */
  dropped_ms: Ms,
  /** The most that its engine was behind the audio. */
  lag_ms: Ms,
  /** Times that another worker went on with it. */
  failovers: z.int().nonnegative(),
});
export type UtteranceReport = z.infer<typeof UtteranceReport>;

/** What a client may ask to be told at the end of its session. */
export const SessionReport = z.strictObject({
  /** Why it ended. */
  outcome: z.string(),
  duration_ms: Ms,
  /** Time waited for a slot. */
  queue_ms: Ms,
  audio_ms: Ms,
  dropped_ms: Ms,
  lag_ms: Ms,
  utterances: z.int().nonnegative(),
  failovers: z.int().nonnegative(),
  workers_lost: z.int().nonnegative(),
  /** Times that this connection took up what another had begun. */
  resumes: z.int().nonnegative(),
  /** The last 64, in order. */
  turns: z.array(UtteranceReport),
});
export type SessionReport = z.infer<typeof SessionReport>;
