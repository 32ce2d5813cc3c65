import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { type DialectDriver, DRIVERS, sendAudio, told } from '../support/dialect-drivers.ts';
import { Fleet, KEY } from '../support/fleet.ts';
import { JsonSocket } from '../support/json-socket.ts';
import { addLean } from '../support/lean-fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const PHASES = ['before an utterance', 'amid an utterance', 'while it comes to its end'] as const;
type Phase = (typeof PHASES)[number];

const WAIT_MS = 30_000;
/** Loud enough for whoever tells words from pauses by their energy alone. */
const LOUD = 3_000;
const said = (from: number, to: number): Buffer => speak(range(LOUD + from, LOUD + to));

/** One client of a dialect, and how far it has come. */
interface Client {
  readonly driver: DialectDriver;
  readonly phase: Phase;
  readonly socket: JsonSocket;
}

const engines = [new ScriptedEngine({ slots: 32 }), new ScriptedEngine({ slots: 32 })];
let fleet: Fleet;
/** Indexes of gateways: one of all dialects but one, and the lean one. */
let doors: readonly [number, number];

beforeAll(async () => {
  // A worker that is closed is gone at once.
  fleet = await Fleet.start(engines, { WORKER_DRAIN_S: '0' });
  doors = [0, await addLean(fleet)];
});
afterAll(() => fleet[Symbol.asyncDispose]());

async function dial(driver: DialectDriver, phase: Phase, [full, lean] = doors): Promise<Client> {
  const { query: keyQuery = '', authorization } = driver.carries(KEY);
  const port = fleet.gateways[driver.lean ? lean : full]?.port;
  const [path, own = ''] = driver.path.split('?');
  const query = [own, driver.lean ? '' : keyQuery].filter((part) => part !== '').join('&');
  const socket = new JsonSocket(`ws://127.0.0.1:${port}${path}?${query}`, {
    headers: authorization ? { authorization } : {},
  });
  fleet.sockets.push(socket);
  await socket.answered();
  expect(socket.refused).toBeUndefined();
  if (driver.greeting !== undefined) await socket.next(driver.greeting);
  return { driver, phase, socket };
}

const say = ({ driver, socket }: Client, from: number, to: number): void => {
  if (from === 1) for (const frame of driver.begin?.(false) ?? []) socket.send(frame);
  sendAudio(driver, socket, said(from, to));
};

/** A client of each dialect in each phase, whose engines are stuck. */
async function clients(at = doors): Promise<Client[]> {
  const all = DRIVERS.flatMap((driver) => PHASES.map((phase) => dial(driver, phase, at)));
  const opened = await Promise.all(all);
  for (const engine of engines) engine.stall();
  for (const client of opened) {
    if (client.phase !== 'before an utterance') say(client, 1, 4);
    if (client.phase === 'while it comes to its end') client.socket.send(client.driver.end);
  }
  return opened;
}

/** Each goes on as if nothing had happened, and is told every word once and no error. */
async function expectAllHeard(all: readonly Client[]): Promise<void> {
  for (const engine of engines) engine.resume();
  for (const client of all) {
    if (client.phase === 'before an utterance') say(client, 1, 4);
    if (client.phase === 'amid an utterance') say(client, 5, 6);
    if (client.phase !== 'while it comes to its end') client.socket.send(client.driver.end);
  }
  await Promise.all(
    all.map(async ({ driver, phase, socket }) => {
      const whole = transcript(range(LOUD + 1, LOUD + (phase === 'amid an utterance' ? 6 : 4)));
      const finals = (): string =>
        told(driver, 'final', socket)
          .map(({ text }) => text.trim())
          .join(' ');
      await until(() => finals() === whole, `${driver.name} has all words, ${phase}`, WAIT_MS);
      expect({
        name: driver.name,
        phase,
        errors: socket.frames.filter(({ type }) => /error|failed/i.test(type)),
      }).toEqual({ name: driver.name, phase, errors: [] });
    }),
  );
}

async function allOver(): Promise<void> {
  for (const socket of fleet.sockets.splice(0)) socket.terminate();
  await noneLeased();
}

const noneLeased = (): Promise<void> =>
  until(
    async () => (await fleet.get('/readyz')).body['leased'] === 0,
    'all slots are free',
    WAIT_MS,
  );

describe('clients of every dialect', () => {
  it('lose no word and hear of nothing when their worker is lost', async () => {
    const all = await clients();
    const streams = (): number[] => engines.map((engine) => engine.openStreams);
    await until(() => Math.max(...streams()) > 0, 'a worker has begun', WAIT_MS);
    const lost = streams()[0] === 0 ? 1 : 0;
    await fleet.workers[lost]?.close();
    await expectAllHeard(all);
    await allOver();
  });

  it('lose no word and hear of nothing while Redis is away, and others come when it is back', async () => {
    const all = await clients();
    await fleet.redis.kill();
    await expectAllHeard(all);
    await fleet.redis.restart();
    await fleet.ready();
    await allOver();
    const late = await dial(DRIVERS[0] as DialectDriver, 'before an utterance');
    await expectAllHeard([late]);
    await allOver();
  });

  it('give their slots back when they never read', async () => {
    const env = { WS_HEARTBEAT_S: '1' };
    await fleet.addGateway(env);
    const all = await clients([2, await addLean(fleet, env)]);
    for (const { socket } of all) socket.pause();
    for (const engine of engines) engine.resume();
    await noneLeased();
    const reading = await dial(DRIVERS[0] as DialectDriver, 'before an utterance');
    await expectAllHeard([reading]);
  });
});
