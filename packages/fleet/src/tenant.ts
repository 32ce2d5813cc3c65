import { z } from 'zod';
import { LINE_PRIORITIES } from './lease.ts';

/** The tenant of the key in VOXTRAL_API_KEY, which is in no store. */
export const DEFAULT_TENANT = 'default';

export const TenantId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'use a-z, 0-9, "_" and "-", at most 63 characters');

const limit = z.number().nonnegative();

/** What a tenant may use; 0 is no limit. Absent in a stored record: the default. */
export const TenantLimits = z.object({
  /** Sessions at once, in the whole fleet. */
  maxSessions: limit.int().default(0),
  sessionsPerSecond: limit
    .refine((rate) => rate === 0 || rate >= 0.001, 'use 0 for no limit, or at least 0.001')
    .default(0),
  audioMinutesPerDay: limit.default(0),
  /** Overrides the gateway's own, if shorter. */
  maxSessionS: limit.default(0),
  /** Of each session, in a minute. */
  messagesPerMinute: limit.int().default(0),
  cancelsPerMinute: limit.int().default(0),
  /** Share of the slots granted to those who wait. */
  weight: z.number().min(0.01).max(1000).default(1),
  priority: z.enum(LINE_PRIORITIES).default('normal'),
});
export type TenantLimits = z.infer<typeof TenantLimits>;

/** Of a tenant's further names, and of the models it is kept to: a list of models is looked through for each session. */
export const TENANT_NAMES_MAX = 100;
export const ModelName = z.string().min(1).max(200);

export const Tenant = z.object({
  id: TenantId,
  name: z.string().max(200).default(''),
  limits: TenantLimits,
  /** Its own further names of models, which go before those of the whole fleet. */
  aliases: z
    .record(ModelName, ModelName)
    .refine((aliases) => Object.keys(aliases).length <= TENANT_NAMES_MAX, {
      message: `at most ${TENANT_NAMES_MAX} names`,
    })
    .default({}),
  /** Served models that it may use, the first of them when it names none; empty: all. */
  models: z.array(ModelName).max(TENANT_NAMES_MAX).default([]),
  disabled: z.boolean().default(false),
  createdAtMs: z.number(),
});
export type Tenant = z.infer<typeof Tenant>;

/** What a key may be used for. `stream`: sessions; `jobs`: batch; `usage`: reading its tenant's usage; `tokens`: making client tokens. */
export const SCOPES = ['stream', 'jobs', 'usage', 'tokens'] as const;
export type Scope = (typeof SCOPES)[number];

/** Who opened a session: found by its key or client token. */
export interface Principal {
  readonly tenantId: string;
  /** The key, or that which a client token was made with: what usage is booked on, and what a revocation names. */
  readonly keyId: string;
  readonly scopes: readonly Scope[];
  readonly limits: TenantLimits;
  /** How models go by other names for its tenant, and which it may use; absent: as for all. */
  readonly models?: Pick<Tenant, 'aliases' | 'models'>;
  /** JSON of the session that its client token is bound to, if it is. */
  readonly session?: string;
}
