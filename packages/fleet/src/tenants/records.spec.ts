import { describe, expect, it } from '@jest/globals';
import { Tenant } from '../tenant.ts';
import { KeyRecord, keyState, readRecord } from './records.ts';
import { TenantError } from './tenant-error.ts';

const RAW = {
  id: '0123456789abcdef',
  tenantId: 'acme',
  name: '',
  scopes: ['stream'],
  hash: 'a'.repeat(64),
  createdAtMs: 1,
};

function reading(raw: string): () => KeyRecord {
  return () => readRecord(KeyRecord, raw, 'key 0123456789abcdef');
}

describe('readRecord', () => {
  it('reads what was written', () => {
    expect(reading(JSON.stringify(RAW))()).toEqual(RAW);
  });

  it('passes over scopes it does not know, as a newer version may have written', () => {
    const raw = JSON.stringify({ ...RAW, scopes: ['teleport', 'usage', 'stream'] });
    expect(reading(raw)().scopes).toEqual(['stream', 'usage']);
  });

  it('fills limits that an older version did not know', () => {
    const tenant = readRecord(Tenant, '{"id":"a","limits":{"maxSessions":3},"createdAtMs":1}', 'a');
    expect(tenant.limits).toMatchObject({ maxSessions: 3, weight: 1, priority: 'normal' });
  });

  it.each([
    ['', 'it is no object'],
    ['{"id":', 'it is no object'],
    ['null', 'it is no object'],
    [JSON.stringify({ ...RAW, hash: 'topsecret' }), 'its field hash is wrong'],
    [JSON.stringify({ ...RAW, expiresAtMs: null }), 'its field expiresAtMs is wrong'],
  ])('says what is wrong with %j, and shows no value', (raw, reason) => {
    const text = `the record of key 0123456789abcdef cannot be read: ${reason}`;
    expect(reading(raw)).toThrow(new TenantError('unreadable_record', text));
  });
});

describe('keyState', () => {
  it.each([
    [{}, false, 'active'],
    [{ expiresAtMs: 101 }, false, 'active'],
    [{ expiresAtMs: 100 }, false, 'expired'],
    [{ revokedAtMs: 1, expiresAtMs: 1 }, true, 'revoked'],
    [{}, true, 'disabled'],
  ] as const)('of %j, tenant disabled %j, is %s', (key, disabled, state) => {
    expect(keyState(key, { disabled }, 100)).toBe(state);
  });
});
