import { parseArgs } from 'node:util';
import { type Lease, newLeaseToken } from '@voice-fleet/fleet/lease';
import { LeaseStore } from '@voice-fleet/fleet/lease-store';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { SessionStore } from '@voice-fleet/fleet/sessions/session-store';
import { UsageLedger } from '@voice-fleet/fleet/sessions/usage-ledger';
import { WorkerRegistry } from '@voice-fleet/fleet/worker-registry';
import { startRedis } from '@voice-fleet/testkit/redis';
import type { Redis } from 'ioredis';

const HELP = `npm run bench:redis -- [options]

What sessions cost Redis: memory of each, and CPU time of the server for each step, with all of them at once. It starts a
redis-server of its own; nothing is paced.

  --sessions N   sessions at once (default 2000)
  --words N      words of each resumable one (default 150: a minute of speech)
  --help         print this`;

const SLOTS = 100;
const ROUNDS = 10;
const TTL_MS = 600_000;
/** As a session of yap with an utterance under way writes it. */
const STATE = JSON.stringify({ dialect: 'yap', session: 'x'.repeat(900) });
const FRAME = JSON.stringify({
  type: 'token',
  payload: { text: ' conversation' },
  pad: 'x'.repeat(150),
});

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sessions: { type: 'string', default: '2000' },
      words: { type: 'string', default: '150' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const [sessions, words] = [wholeNumber(values.sessions), wholeNumber(values.words)];
  const server = await startRedis();
  const onError = (error: Error): void => console.error(error.message);
  const redis = connectRedis(server.url, { onError, commandTimeoutMs: 60_000 });
  try {
    await untilReady(redis, AbortSignal.timeout(10_000));
    await measure(redis, sessions, words);
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

async function measure(redis: Redis, sessions: number, words: number): Promise<void> {
  const store = new LeaseStore(redis, { fleet: 'bench', ttlMs: TTL_MS, claimTtlMs: TTL_MS });
  const registry = new WorkerRegistry(redis, {
    fleet: 'bench',
    beatTtlMs: TTL_MS,
    leaseTtlMs: TTL_MS,
  });
  for (let each = 0; each < Math.ceil(sessions / SLOTS); each += 1) {
    const record = { address: 'ws://10.0.0.1:8200', model: 'voxtral', engine: 'vllm' };
    const workerId = `voice-asr-worker-l40s-${each}-0a1b2c3d`;
    await registry.register({ workerId, ...record, slots: SLOTS, state: 'ready' }, []);
  }
  console.log('step                    µs of Redis  bytes of a session');
  const leases: Lease[] = [];
  tell(
    'lease taken',
    await cost(redis, sessions, async () => {
      for (let each = 0; each < sessions; each += 1) leases.push(await take(store, each));
    }),
    sessions,
  );
  tell(
    'lease renewed',
    await cost(redis, sessions * ROUNDS, async () => {
      for (let round = 0; round < ROUNDS; round += 1) await store.renew(leases);
    }),
    sessions,
  );
  const ids = leases.map((_, each) => `sess_${each}`);
  const ledger = new UsageLedger(redis);
  tell(
    'usage booked',
    await cost(redis, sessions * ROUNDS, async () => {
      for (let round = 1; round <= ROUNDS; round += 1)
        await ledger.charge(
          ids.map((sessionId) => ({ sessionId, ...OWNER, acceptedSamples: round * 16_000 })),
        );
    }),
    sessions,
  );
  await journals(redis, ids, words);
}

const OWNER = { tenantId: 'acme', keyId: '4ede197e3a41fcc9' };

async function journals(redis: Redis, ids: readonly string[], words: number): Promise<void> {
  const store = new SessionStore(redis, { fleet: 'bench', ttlMs: TTL_MS });
  const holders = await Promise.all(
    ids.map(async (sessionId) => ({
      ...OWNER,
      leaseToken: newLeaseToken(),
      ...(await store.open({ sessionId, ...OWNER })),
    })),
  );
  const text = ' conversation';
  tell(
    'word saved',
    await cost(redis, ids.length * words, async () => {
      for (let word = 0; word < words; word += 1)
        await Promise.all(
          ids.map(async (sessionId, each) => {
            const holder = holders[each];
            if (!holder) return;
            await store.save(
              {
                sessionId,
                owner: 1,
                seq: word + 1,
                frames: [FRAME],
                state: STATE,
                text: { atChar: word * text.length, append: text },
                acceptedSamples: word * 6_400,
                confirmed: word > 0,
              },
              holder,
            );
          }),
        );
    }),
    ids.length,
  );
}

async function take(store: LeaseStore, each: number): Promise<Lease> {
  const placement = await store.acquire({
    token: newLeaseToken(),
    sessionId: `sess_${each}`,
    tenant: { id: 'acme', maxSessions: 0, sessionsPerSecond: 0, weight: 1, priority: 'normal' },
  });
  if (placement.kind !== 'granted') throw new Error(`refused: ${placement.reason}`);
  return placement.lease;
}

interface Cost {
  readonly cpuUs: number;
  readonly grownBytes: number;
}

/** CPU time of the server for each of `steps`, and what its memory grew by in all. */
async function cost(redis: Redis, steps: number, act: () => Promise<void>): Promise<Cost> {
  const before = await usage(redis);
  await act();
  const after = await usage(redis);
  return {
    cpuUs: ((after.cpuS - before.cpuS) / steps) * 1e6,
    grownBytes: after.bytes - before.bytes,
  };
}

async function usage(redis: Redis): Promise<{ cpuS: number; bytes: number }> {
  const info = await redis.info();
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:([0-9.]+)`, 'm').exec(info)?.[1]);
  return {
    cpuS: read('used_cpu_user') + read('used_cpu_sys'),
    bytes: read('used_memory_dataset'),
  };
}

function tell(step: string, { cpuUs, grownBytes }: Cost, sessions: number): void {
  const held = String(Math.round(grownBytes / sessions));
  console.log(`${step.padEnd(22)}${cpuUs.toFixed(1).padStart(12)}${held.padStart(20)}`);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100_000)
    throw new Error(`${text} is no number from 1 to 100000`);
  return value;
}

await main();
