import type { ParseArgsConfig } from 'node:util';
import type { KeyInfo } from '@voice-fleet/fleet/tenants/records';
import type { Listed, NewKey, TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { keyView, listView, newKeyView, tenantView } from '../http/admin-views.ts';
import {
  type Flags,
  KEY_FLAGS,
  keyIdOf,
  keyOptions,
  overlapS,
  ROTATE_FLAGS,
  TENANT_FLAGS,
  tenantFields,
  UPDATE_FLAGS,
  UsageError,
} from './admin-flags.ts';
import { keysTable, shortTime, tenantsTable, tenantText } from './admin-tables.ts';

/** What a command says: to people, and to programs (`--json`). */
export interface Said {
  readonly text: string;
  readonly json: unknown;
}

export interface AdminCommand {
  readonly summary: string;
  readonly flags: NonNullable<ParseArgsConfig['options']>;
  /** Names of the words that must follow. */
  readonly words: readonly string[];
  readonly run: (store: TenantStore, words: readonly string[], flags: Flags) => Promise<Said>;
}

/** Every command, by the words that name it. Times in tables are UTC. */
export const ADMIN_COMMANDS: Readonly<Record<string, AdminCommand>> = {
  'tenants list': {
    summary: 'all tenants',
    flags: {},
    words: [],
    run: async (store) => {
      const listed = await store.listTenants();
      return {
        text: tenantsTable(listed.items) + unreadable(listed),
        json: listView('tenants', listed, tenantView),
      };
    },
  },
  'tenants show': {
    summary: 'one tenant with its limits and keys',
    flags: {},
    words: ['TENANT'],
    run: async (store, [id = '']) => {
      const tenant = await store.getTenant(id);
      const keys = await store.listKeys(id);
      return {
        text: `${tenantText(tenant)}\n${keysTable(keys.items, tenant, Date.now())}${unreadable(keys)}`,
        json: { ...tenantView(tenant), ...listView('keys', keys, keyView) },
      };
    },
  },
  'tenants create': {
    summary: 'a tenant; limits left out are no limits',
    flags: TENANT_FLAGS,
    words: ['TENANT'],
    run: async (store, [id = ''], flags) => {
      const tenant = await store.createTenant(id, tenantFields(flags));
      return { text: `Created.\n${tenantText(tenant)}`, json: tenantView(tenant) };
    },
  },
  'tenants update': {
    summary: 'its name or limits, or --disable or --enable it; sessions hear of it within 2 s',
    flags: UPDATE_FLAGS,
    words: ['TENANT'],
    run: async (store, [id = ''], flags) => {
      const fields = tenantFields(flags);
      if (Object.keys(fields).length === 0) throw new UsageError('Say what is to change.');
      const tenant = await store.updateTenant(id, fields);
      return { text: `Updated.\n${tenantText(tenant)}`, json: tenantView(tenant) };
    },
  },
  'tenants delete': {
    summary: 'disables it and revokes all its keys; its record stays for its usage',
    flags: {},
    words: ['TENANT'],
    run: async (store, [id = '']) => {
      const { tenant, revokedKeys } = await store.deleteTenant(id);
      return {
        text: `Tenant ${id} is disabled, ${revokedKeys} of its keys were revoked.\n`,
        json: { ...tenantView(tenant), revoked_keys: revokedKeys },
      };
    },
  },
  'keys list': {
    summary: 'the keys of a tenant, without their secrets',
    flags: {},
    words: ['TENANT'],
    run: async (store, [id = '']) => {
      const tenant = await store.getTenant(id);
      const listed = await store.listKeys(id);
      return {
        text: keysTable(listed.items, tenant, Date.now()) + unreadable(listed),
        json: listView('keys', listed, keyView),
      };
    },
  },
  'keys create': {
    summary: 'a key; its secret is shown this once',
    flags: KEY_FLAGS,
    words: ['TENANT'],
    run: async (store, [id = ''], flags) => {
      const made = await store.createKey(id, keyOptions(flags));
      return { text: secretText(made), json: newKeyView(made) };
    },
  },
  'keys rotate': {
    summary: 'a new key like the old one, which goes on for --overlap (default 1d)',
    flags: ROTATE_FLAGS,
    words: ['KEY'],
    run: async (store, [key = ''], flags) => {
      const made = await store.rotateKey(keyIdOf(key), overlapS(flags));
      const end = `The old key ends ${shortTime(made.old.expiresAtMs)}.\n`;
      return { text: secretText(made) + end, json: newKeyView(made) };
    },
  },
  'keys revoke': {
    summary: 'ends a key and its sessions now',
    flags: {},
    words: ['KEY'],
    run: async (store, [key = '']) => {
      const revoked: KeyInfo = await store.revokeKey(keyIdOf(key));
      return { text: `Key ${revoked.id} is revoked.\n`, json: keyView(revoked) };
    },
  },
};

function secretText({ key, secret }: NewKey): string {
  const facts = `scopes ${key.scopes.join(',')}, expires ${key.expiresAtMs ? shortTime(key.expiresAtMs) : 'never'}`;
  return `${secret}\n\nThis is the only time that the secret of key ${key.id} is shown: store it now.\nTenant ${key.tenantId}, ${facts}.\n`;
}

function unreadable({ unreadable }: Listed<unknown>): string {
  return unreadable.map(({ reason }) => `Left out: ${reason}\n`).join('');
}
