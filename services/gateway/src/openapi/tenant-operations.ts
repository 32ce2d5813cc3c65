import { SCOPES, TenantId } from '@voice-fleet/fleet/tenant';
import {
  OPENAI_REALTIME_PATH,
  OpenAiClientSecretRequest,
  OpenAiSession,
} from '@voice-fleet/protocol/openai-realtime';
import { z } from 'zod';
import {
  CreateKeyBody,
  CreateTenantBody,
  MintTokenBody,
  RotateKeyBody,
  UpdateTenantBody,
} from '../http/admin-bodies.ts';
import { json, type Operation, ok, type Parameter, TIME } from './operation.ts';

const scopes = z.array(z.enum(SCOPES));
const Tenant = z.object({
  id: TenantId,
  name: z.string(),
  disabled: z.boolean(),
  created_at: TIME,
  limits: z.record(z.string(), z.union([z.number(), z.string()])),
  aliases: z.record(z.string(), z.string()),
  models: z.array(z.string()),
});
const DisabledTenant = Tenant.extend({ revoked_keys: z.int().nonnegative() });
const Key = z.object({
  id: z.string(),
  prefix: z.string(),
  tenant: z.string(),
  name: z.string(),
  scopes,
  created_at: TIME,
  expires_at: TIME.optional(),
  revoked_at: TIME.optional(),
  last_used_at: TIME.optional(),
  replaced_by: z.string().optional(),
});
const NewKey = z.object({ key: Key, secret: z.string(), old: Key.optional() });
const Token = z.object({ token: z.string(), expires_at: TIME, scopes });
const ClientSecret = z.object({ value: z.string(), expires_at: z.int(), session: OpenAiSession });
const unreadable = z.array(z.string()).optional();
const Day = z.iso.date();
const Usage = z.object({
  tenant: z.string(),
  from: Day,
  to: Day,
  audio_seconds: z.number(),
  rows: z.array(
    z.object({
      day: Day,
      key_id: z.string(),
      audio_seconds: z.number(),
      audio_samples: z.int(),
      sessions: z.int(),
    }),
  ),
});

const at = '2026-11-20T09:00:00.000Z';
const tenant = {
  id: 'acme',
  name: 'Acme Ltd',
  disabled: false,
  created_at: at,
  limits: { max_sessions: 20, priority: 'normal' },
  aliases: { 'house-ears': 'mistralai/Voxtral-Mini-4B-Realtime-2602' },
  models: [],
};
const key = {
  id: 'k1',
  prefix: 'vf_k1',
  tenant: 'acme',
  name: 'phones',
  scopes: ['stream'],
  created_at: at,
};
const tenantId: Parameter = {
  name: 'id',
  in: 'path',
  description: 'Of the tenant.',
  schema: TenantId,
  example: 'acme',
};
const keyId: Parameter = {
  name: 'id',
  in: 'path',
  description: 'Of the key: no part of it is secret.',
  schema: z.string(),
  example: 'k1',
};
const day = (name: string, description: string, example: string): Parameter => ({
  name,
  in: 'query',
  description,
  schema: Day.optional(),
  example,
});
const created = (description: string, content: ReturnType<typeof json>) => ({
  status: 201,
  description,
  content: [content],
});
const ADMIN = { tag: 'Tenants', key: 'admin' } as const;

/** Tenants, their keys and what they used. */
export const TENANT_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/v1/tokens',
    tag: 'Tenants',
    summary: 'Makes a client token, for a browser.',
    key: 'tokens',
    body: [json('MintToken', MintTokenBody, { ttl_s: 60, scopes: ['stream'] })],
    answers: [
      created(
        'The token.',
        json('Token', Token, { token: 'vft_…', expires_at: at, scopes: ['stream'] }),
      ),
    ],
    refusals: [400, 409, 429],
  },
  {
    method: 'post',
    path: `${OPENAI_REALTIME_PATH}/client_secrets`,
    tag: 'Tenants',
    summary:
      'Makes a client token that is bound to a realtime session, as clients of OpenAI ask for it.',
    key: 'tokens',
    body: [
      json('MintClientSecret', OpenAiClientSecretRequest, {
        expires_after: { anchor: 'created_at', seconds: 600 },
        session: { type: 'transcription' },
      }),
    ],
    answers: [
      ok(
        'The secret, and the session that its holder will have.',
        json('ClientSecret', ClientSecret, {
          value: 'ek_vft_…',
          expires_at: 1_795_192_878,
          session: { type: 'transcription' },
        }),
      ),
    ],
    refusals: [400, 413, 429],
  },
  {
    method: 'get',
    path: '/v1/usage',
    tag: 'Tenants',
    summary: 'Audio that the tenant of the key sent, by day and key.',
    key: 'usage',
    parameters: [
      day('from', 'First day, in UTC; left out, 30 days end with `to`.', '2026-11-01'),
      day('to', 'Last day; left out, today.', '2026-11-30'),
    ],
    answers: [
      ok(
        'The books.',
        json('Usage', Usage, {
          tenant: 'acme',
          from: '2026-11-01',
          to: '2026-11-30',
          audio_seconds: 5400,
          rows: [
            {
              day: '2026-11-19',
              key_id: 'k1',
              audio_seconds: 5400,
              audio_samples: 86_400_000,
              sessions: 12,
            },
          ],
        }),
      ),
    ],
    refusals: [400, 503],
  },
  {
    ...ADMIN,
    method: 'post',
    path: '/admin/v1/tenants',
    summary: 'Creates a tenant.',
    body: [
      json('CreateTenant', CreateTenantBody, {
        id: 'acme',
        name: 'Acme Ltd',
        limits: { max_sessions: 20 },
      }),
    ],
    answers: [created('The tenant.', json('Tenant', Tenant, tenant))],
    refusals: [400, 409],
  },
  {
    ...ADMIN,
    method: 'get',
    path: '/admin/v1/tenants',
    summary: 'Lists all tenants.',
    answers: [
      ok(
        'All of them.',
        json('Tenants', z.object({ tenants: z.array(Tenant), unreadable }), { tenants: [tenant] }),
      ),
    ],
  },
  {
    ...ADMIN,
    method: 'get',
    path: '/admin/v1/tenants/{id}',
    summary: 'Shows a tenant.',
    parameters: [tenantId],
    answers: [ok('The tenant.', json('Tenant', Tenant, tenant))],
    refusals: [404],
  },
  {
    ...ADMIN,
    method: 'patch',
    path: '/admin/v1/tenants/{id}',
    summary: 'Changes a tenant; what is left out stays.',
    parameters: [tenantId],
    body: [json('UpdateTenant', UpdateTenantBody, { limits: { max_sessions: 40 } })],
    answers: [ok('As it is now.', json('Tenant', Tenant, tenant))],
    refusals: [400, 404, 409],
  },
  {
    ...ADMIN,
    method: 'delete',
    path: '/admin/v1/tenants/{id}',
    summary: 'Disables a tenant for good, and revokes its keys.',
    parameters: [tenantId],
    answers: [
      ok(
        'As it was left.',
        json('DisabledTenant', DisabledTenant, { ...tenant, disabled: true, revoked_keys: 1 }),
      ),
    ],
    refusals: [404, 409],
  },
  {
    ...ADMIN,
    method: 'post',
    path: '/admin/v1/tenants/{id}/keys',
    summary: 'Makes a key; its secret is told once.',
    parameters: [tenantId],
    body: [json('CreateKey', CreateKeyBody, { name: 'phones', scopes: ['stream'] })],
    answers: [created('The key.', json('NewKey', NewKey, { key, secret: 'vf_k1_…' }))],
    refusals: [400, 404, 409],
  },
  {
    ...ADMIN,
    method: 'get',
    path: '/admin/v1/tenants/{id}/keys',
    summary: 'Lists the keys of a tenant.',
    parameters: [tenantId],
    answers: [
      ok(
        'All of them.',
        json('Keys', z.object({ keys: z.array(Key), unreadable }), { keys: [key] }),
      ),
    ],
    refusals: [404],
  },
  {
    ...ADMIN,
    method: 'post',
    path: '/admin/v1/keys/{id}/rotate',
    summary: 'Makes a successor; the key ends after an overlap.',
    parameters: [keyId],
    body: [json('RotateKey', RotateKeyBody, { overlap_s: 3600 })],
    answers: [
      created(
        'Both keys.',
        json('NewKey', NewKey, {
          key: { ...key, id: 'k2', prefix: 'vf_k2' },
          secret: 'vf_k2_…',
          old: key,
        }),
      ),
    ],
    refusals: [400, 404, 409],
  },
  {
    ...ADMIN,
    method: 'delete',
    path: '/admin/v1/keys/{id}',
    summary: 'Revokes a key; its sessions end within two seconds.',
    parameters: [keyId],
    answers: [ok('As it was left.', json('Key', Key, { ...key, revoked_at: at }))],
    refusals: [404],
  },
];
