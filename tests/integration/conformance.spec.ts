import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { type DialectDriver, DRIVERS, sendAudio, told } from '../support/dialect-drivers.ts';
import { Fleet, KEY } from '../support/fleet.ts';
import { JsonSocket } from '../support/json-socket.ts';
import { addLean } from '../support/lean-fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

/** Written by UPDATE_DOCS=1, checked otherwise. */
const PAGE = join(import.meta.dirname, '../../docs/dialects.md');
const CASES = [
  'connect',
  'partial',
  'final',
  'manual end',
  'endpointing',
  'cancel or clear',
  'malformed frame',
  'frame too large',
  'wrong key',
  'no capacity',
  'drain, when idle',
  'close',
] as const;
type Case = (typeof CASES)[number];

const SLOTS = 12;
const MAX_MESSAGE_BYTES = 65_536;
const WAIT_MS = 15_000;
/** Loud enough for whoever tells words from pauses by their energy alone. */
const LOUD = 3_000;
const said = (from: number, to: number): Buffer => speak(range(LOUD + from, LOUD + to));
const text = (from: number, to: number): string => transcript(range(LOUD + from, LOUD + to));

/** What was seen, by case and dialect. */
const seen = new Map<Case, Map<string, string>>(CASES.map((one) => [one, new Map()]));
const saw = (one: Case, { name }: DialectDriver, what: string): void => {
  seen.get(one)?.set(name, what);
};

/** Where each dialect is spoken: a gateway of all dialects but one, and the lean one. */
interface Doors {
  readonly full: number;
  readonly lean: number;
}

let fleet: Fleet;
let doors: Doors;

const ENV = { WS_MAX_MESSAGE_BYTES: String(MAX_MESSAGE_BYTES), DRAIN_S: '1' };

beforeAll(async () => {
  fleet = await Fleet.start([new ScriptedEngine({ slots: SLOTS })], ENV);
  doors = { full: 0, lean: await addLean(fleet, ENV) };
});
afterAll(() => fleet[Symbol.asyncDispose]());

function dial(
  driver: DialectDriver,
  { key = KEY, query = '', at = doors }: { key?: string; query?: string; at?: Doors } = {},
): JsonSocket {
  const { query: keyQuery, authorization } = driver.carries(key);
  // The lean gateway takes guests, and refuses those who bring a wrong key.
  const carried = driver.lean && key === KEY ? '' : (keyQuery ?? '');
  const port = fleet.gateways[driver.lean ? at.lean : at.full]?.port;
  const [path, own = ''] = driver.path.split('?');
  const all = [own, carried, query].filter((part) => part !== '').join('&');
  const url = `ws://127.0.0.1:${port}${path}${all === '' ? '' : `?${all}`}`;
  const socket = new JsonSocket(url, { headers: authorization ? { authorization } : {} });
  fleet.sockets.push(socket);
  return socket;
}

async function admitted(
  driver: DialectDriver,
  how: Parameters<typeof dial>[1] = {},
): Promise<JsonSocket> {
  const socket = dial(driver, how);
  await socket.answered();
  expect(socket.refused).toBeUndefined();
  if (driver.greeting !== undefined) await socket.next(driver.greeting);
  return socket;
}

function begin(driver: DialectDriver, socket: JsonSocket, endpointing = false): void {
  for (const frame of driver.begin?.(endpointing) ?? []) socket.send(frame);
}

const finals = (driver: DialectDriver, socket: JsonSocket): string =>
  told(driver, 'final', socket)
    .map((one) => one.text.trim())
    .join(' ');

async function heard(driver: DialectDriver, socket: JsonSocket, whole: string): Promise<void> {
  const what = () => `${driver.name} says ${whole}, not ${JSON.stringify(socket.frames)}`;
  await until(() => finals(driver, socket) === whole, what(), WAIT_MS);
}

/** Goes on speaking until something of it was heard; returns the last word. A speaker who pauses might be taken to be done. */
async function speakUntilPartial(driver: DialectDriver, socket: JsonSocket): Promise<number> {
  let last = 8;
  sendAudio(driver, socket, said(1, last));
  const heardSome = (): boolean => told(driver, 'partial', socket).length > 0;
  while (last < 200) {
    const came = until(heardSome, 'a partial', 100).then(
      () => true,
      () => false,
    );
    if (await came) return last;
    last += 1;
    sendAudio(driver, socket, said(last, last));
  }
  throw new Error(`${driver.name} tells no partial`);
}

const isError = ({ type }: { readonly type: string }): boolean => /^error$/i.test(type);

/** Whether a socket goes on after what was sent to it, shown by another utterance; else how it was closed. */
async function whatFollows(driver: DialectDriver, socket: JsonSocket): Promise<string> {
  let closed: string | undefined;
  void socket.closed.then(({ code }) => {
    closed = `closed with ${code}`;
  });
  // Nothing is waited for any more when it is closed: that would outlive the test.
  const unlessClosed = (came: () => boolean, what: string): Promise<void> =>
    until(() => closed !== undefined || came(), `${driver.name} ${what}`, WAIT_MS);
  await unlessClosed(() => socket.frames.some(isError), 'tells an error');
  const goesOn = (): boolean => finals(driver, socket) === text(1, 2);
  if (closed === undefined) {
    begin(driver, socket);
    sendAudio(driver, socket, said(1, 2));
    socket.send(driver.end);
    await unlessClosed(goesOn, 'goes on');
  }
  // Where a connection is one utterance it is closed after that.
  const what = goesOn() ? 'goes on' : String(closed);
  const error = socket.frames.find(isError);
  return error === undefined ? what : `\`${error.type}\`, ${what}`;
}

describe.each(DRIVERS.map((driver) => [driver.name, driver] as const))('%s', (_, driver) => {
  it('greets, tells words as they are heard, and all of them when its client ends', async () => {
    const socket = await admitted(driver);
    saw('connect', driver, driver.greeting ? `\`${driver.greeting}\`` : 'no greeting');
    begin(driver, socket);
    const last = await speakUntilPartial(driver, socket);
    const [partial] = told(driver, 'partial', socket);
    // Some tell what was said in the last seconds alone.
    expect(text(1, last)).toContain(String(partial?.text).trim());
    saw('partial', driver, `\`${shortened(partial?.type)}\``);
    socket.send(driver.end);
    await heard(driver, socket, text(1, last));
    saw('final', driver, `\`${shortened(told(driver, 'final', socket)[0]?.type)}\``);
    saw('manual end', driver, driver.endName);
    expect(socket.frames.filter(isError)).toEqual([]);
    if (driver.bye) {
      socket.send(driver.bye.frame);
      const { code } = await socket.closed;
      expect(code).toBe(1000);
      saw('close', driver, `${driver.bye.name}: 1000`);
    } else if (driver.lean) {
      expect((await socket.closed).code).toBe(1000);
      saw('close', driver, 'after its utterance: 1000');
    } else {
      socket.close();
      saw('close', driver, 'by the client');
    }
  });

  it('ends utterances by silence, if it offers that', async () => {
    saw('endpointing', driver, driver.endpoints ? 'yes' : 'no');
    if (!driver.endpoints) return;
    const query = driver.endpointingQuery;
    const socket = await admitted(driver, query === undefined ? {} : { query });
    begin(driver, socket, true);
    sendAudio(driver, socket, Buffer.concat([said(1, 3), silence(2_500)]));
    await heard(driver, socket, text(1, 3));
    socket.terminate();
  });

  it('lets go of what its client takes back, if it offers that', async () => {
    saw('cancel or clear', driver, driver.cancel?.name ?? 'no');
    if (driver.cancel === undefined) return;
    const { frame, answer } = driver.cancel;
    const socket = await admitted(driver);
    begin(driver, socket);
    sendAudio(driver, socket, said(1, 2));
    socket.send(frame);
    await socket.next(answer);
    begin(driver, socket);
    sendAudio(driver, socket, said(3, 4));
    socket.send(driver.end);
    await heard(driver, socket, text(3, 4));
    socket.terminate();
  });

  it('answers a frame that cannot be read', async () => {
    const socket = await admitted(driver);
    socket.send('{');
    saw('malformed frame', driver, await whatFollows(driver, socket));
    socket.terminate();
  });

  it('answers a frame that is too large', async () => {
    const socket = await admitted(driver);
    begin(driver, socket);
    socket.send(driver.audio(Buffer.alloc(MAX_MESSAGE_BYTES + 2)));
    saw('frame too large', driver, await whatFollows(driver, socket));
    socket.terminate();
  });

  it('lets nobody in with a wrong key', async () => {
    saw('wrong key', driver, await refusedAs(dial(driver, { key: 'wrong' }), 401));
  });
});

describe('all dialects', () => {
  it('refuse clients when no slot is free', async () => {
    for (const socket of fleet.sockets) socket.terminate();
    const idle = async (): Promise<boolean> =>
      (await fleet.get('/health')).body['active_sessions'] === 0;
    await until(idle, 'all sessions are over', WAIT_MS);
    await Promise.all(range(1, SLOTS).map(() => fleet.client()));
    for (const driver of DRIVERS) saw('no capacity', driver, await refusedAs(dial(driver), 503));
    for (const socket of fleet.sockets) socket.terminate();
    await until(idle, 'all sessions are over again', WAIT_MS);
  });

  it('send idle clients away when their gateway stops', async () => {
    await fleet.addGateway(ENV);
    const at = { full: 2, lean: await addLean(fleet, ENV) };
    const opened = await Promise.all(DRIVERS.map((driver) => admitted(driver, { at })));
    await Promise.all(fleet.gateways.splice(2).map((gateway) => gateway.close()));
    for (const [index, driver] of DRIVERS.entries()) {
      const { code } = await (opened[index] as JsonSocket).closed;
      saw('drain, when idle', driver, String(code));
    }
  });

  it('are as docs/dialects.md says', () => {
    const names = DRIVERS.map(({ name }) => name);
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const rows = CASES.map((one) =>
      line([one, ...names.map((name) => seen.get(one)?.get(name) ?? '?')]),
    );
    const table = [line(['', ...names]), line(['', ...names].map(() => '---')), ...rows];
    const page = `# What can each dialect do?

<!-- Written by \`UPDATE_DOCS=1 npm run test:integration -- conformance\`, which checks it otherwise. -->

The same client, in the words of each protocol, against one fleet: what it saw. Pages of the [protocols](protocols) say how.

${table.join('\n')}
`;
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(PAGE, page);
    expect(readFileSync(PAGE, 'utf8')).toBe(page);
  });
});

/** How a client hears that it is not let in. Fails when it is. */
async function refusedAs(socket: JsonSocket, status: number): Promise<string> {
  await socket.answered();
  if (socket.refused !== undefined) {
    expect(socket.refused.status).toBe(status);
    return `${status} at the upgrade`;
  }
  const { code } = await socket.closed;
  const error = socket.frames.find(isError);
  expect(error).toBeDefined();
  return `\`${error?.type}\`, closed with ${code}`;
}

/** Long names by their last part. */
function shortened(type = ''): string {
  return type.length > 30 ? `…${type.slice(type.lastIndexOf('.'))}` : type;
}
