import { z } from 'zod';

/** What the benchmark asks of a child process: forget what was counted so far, or tell what was counted since. */
export const ChildRequest = z.enum(['reset', 'report']);
export type ChildRequest = z.infer<typeof ChildRequest>;

/** What a child process tells. */
export const ChildMessage = z.discriminatedUnion('kind', [
  /** Listens on `port`, or, for the load, has all sessions open. */
  z.object({ kind: z.literal('ready'), port: z.int().optional() }),
  z.object({ kind: z.literal('reset') }),
  z.object({
    kind: z.literal('upstream-report'),
    frames: z.int(),
    p50Ms: z.number(),
    p99Ms: z.number(),
  }),
  z.object({
    kind: z.literal('load-report'),
    messages: z.int(),
    /** How late the latest frame left, against its own schedule. */
    worstLagMs: z.number(),
  }),
  z.object({ kind: z.literal('failed'), message: z.string() }),
]);
export type ChildMessage = z.infer<typeof ChildMessage>;

/** `plain` takes any frame, for relays; `link` is a stand-in worker. */
export const UpstreamJob = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('plain'), sessions: z.int() }),
  z.object({
    kind: z.literal('link'),
    sessions: z.int(),
    redisUrl: z.string(),
    fleet: z.string(),
  }),
]);
export type UpstreamJob = z.infer<typeof UpstreamJob>;

export const LoadJob = z.object({ url: z.string(), sessions: z.int() });
export type LoadJob = z.infer<typeof LoadJob>;
