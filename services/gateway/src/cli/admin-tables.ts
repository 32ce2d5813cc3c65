import type { Tenant } from '@voice-fleet/fleet/tenant';
import { keyPrefix } from '@voice-fleet/fleet/tenants/credential';
import { type KeyInfo, keyState } from '@voice-fleet/fleet/tenants/records';
import { outsideName } from '../http/admin-bodies.ts';

/** Columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()}\n`;
  return [head, ...rows].map(line).join('');
}

export function tenantsTable(tenants: readonly Tenant[]): string {
  if (tenants.length === 0) return 'No tenants yet: npm run admin -- tenants create ID\n';
  const rows = tenants.map(({ id, name, disabled, limits, createdAtMs }) => [
    id,
    disabled ? 'disabled' : 'active',
    limitText(limits.maxSessions),
    limitText(limits.sessionsPerSecond),
    limitText(limits.audioMinutesPerDay),
    String(limits.weight),
    limits.priority,
    shortTime(createdAtMs),
    name,
  ]);
  return table(
    ['ID', 'STATE', 'SESSIONS', 'NEW/S', 'MIN/DAY', 'WEIGHT', 'PRIORITY', 'CREATED', 'NAME'],
    rows,
  );
}

export function tenantText(tenant: Tenant): string {
  const { id, name, disabled, limits, aliases, models, createdAtMs } = tenant;
  const facts: [string, string][] = [
    ['id', id],
    ['name', name],
    ['state', disabled ? 'disabled' : 'active'],
    ['created', shortTime(createdAtMs)],
    ...Object.entries(limits).map(([limit, value]): [string, string] => [
      outsideName(limit),
      typeof value === 'number' ? limitText(value) : value,
    ]),
    ...Object.entries(aliases).map(([alias, model]): [string, string] => [
      'alias',
      `${alias} = ${model}`,
    ]),
    ...(models.length > 0 ? [['models', models.join(', ')] satisfies [string, string]] : []),
  ];
  return facts.map(([fact, value]) => `${fact.padEnd(22)}${value}`.trimEnd().concat('\n')).join('');
}

export function keysTable(keys: readonly KeyInfo[], tenant: Tenant, nowMs: number): string {
  if (keys.length === 0) return `No keys yet: npm run admin -- keys create ${tenant.id}\n`;
  const rows = keys.map((key) => [
    keyPrefix(key.id),
    keyState(key, tenant, nowMs),
    key.scopes.join(','),
    shortTime(key.createdAtMs),
    shortTime(key.expiresAtMs),
    shortTime(key.lastUsedAtMs),
    key.name,
  ]);
  return table(['KEY', 'STATE', 'SCOPES', 'CREATED', 'EXPIRES', 'LAST USED', 'NAME'], rows);
}

function limitText(value: number): string {
  return value === 0 ? 'no limit' : String(value);
}

/** To the minute, in UTC. */
export function shortTime(ms: number | undefined): string {
  return ms === undefined ? '-' : `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')}Z`;
}
