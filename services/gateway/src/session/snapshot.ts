import { z } from 'zod';
import { UtteranceSnapshot } from './utterance.ts';

/** All that another gateway needs to go on with a session, apart from the text of its open utterance. */
export const SessionSnapshot = z.object({
  model: z.string(),
  createdAtMs: z.number(),
  utterances: z.int(),
  acceptedSamples: z.int(),
  utterance: UtteranceSnapshot.optional(),
});
export type SessionSnapshot = z.infer<typeof SessionSnapshot>;
