import { describe, expect, it } from '@jest/globals';
import type { Level } from 'pino';
import { createLogger } from './logger.ts';

function written(level: Level, act: (log: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = [];
  act(createLogger('gateway', level, { write: (line) => void lines.push(line) }));
  return lines;
}

describe('createLogger', () => {
  it('writes one JSON object a line, with time, level, service and event', () => {
    const lines = written('info', (log) => log.info({ event: 'listening', port: 80 }, 'hello'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]*\n$/);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'info',
      ts: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      service: 'gateway',
      event: 'listening',
      sid: null,
      port: 80,
      message: 'hello',
    });
  });

  it('writes nothing below its level', () => {
    const lines = written('warn', (log) => {
      log.debug({ event: 'a' });
      log.info({ event: 'b' });
      log.warn({ event: 'c' });
      log.error({ event: 'd' });
    });
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual(['c', 'd']);
  });

  it('carries the session in what its children write', () => {
    const [line = ''] = written('info', (log) => log.child({ sid: 'sess_1' }).info({ event: 'x' }));
    expect(JSON.parse(line)).toMatchObject({ sid: 'sess_1', service: 'gateway' });
  });

  it('gives each line a session and an event, whatever it is about', () => {
    const lines = written('info', (log) => {
      log.info('started');
      log.error(new Error('lost'));
      log.info({ event: 'a', sid: 's' });
      log.child({ sid: 't' }).info({ event: 'b' }, 'a "sid": in words');
    });
    const found = lines.map((line) => JSON.parse(line) as { sid: unknown; event: unknown });
    expect(found.map(({ sid, event }) => [sid, event])).toEqual([
      [null, 'message'],
      [null, 'message'],
      ['s', 'a'],
      ['t', 'b'],
    ]);
  });

  it.each([
    ['a query', 'GET /ws?api_key=k3y&x=k3y went wrong'],
    ['a query in an address', 'connect wss://host/a/b?token=k3y refused'],
    ['a bearer', 'header Authorization: Bearer k3y was refused'],
  ])('redacts %s wherever it is quoted', (_what, message) => {
    const lines = written('info', (log) => {
      log.warn({ event: 'x', message });
      log.error({ event: 'x', err: new Error(message) });
    });
    expect(lines.join('')).not.toContain('k3y');
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ event: 'x', sid: null });
  });

  it('does not quote what could not be parsed', () => {
    const error = (() => {
      try {
        return JSON.parse('my card is k3y') as Error;
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    const lines = written('info', (log) => {
      log.error({ event: 'x', err: error });
      log.error({ event: 'x', err: new Error('no event', { cause: error }) });
    });
    expect(lines.join('')).not.toMatch(/k3y|my card/);
    expect(lines.join('')).toContain('it is not JSON');
  });

  it.each([
    ['transcript', { transcript: 'k3y' }],
    ['text of an event', { told: { text: 'k3y' } }],
    ['prompt', { prompt: 'k3y' }],
    ['apiKey', { apiKey: 'k3y' }],
    ['authorization', { headers: { authorization: 'k3y' } }],
    ['url', { url: 'ws://host/?api_key=k3y' }],
  ])('redacts %s', (_what, fields) => {
    const [line] = written('info', (log) => log.info(fields));
    expect(line).not.toContain('k3y');
    expect(line).toContain('[redacted]');
  });

  it('keeps type, message, stack, code and the message of the cause of an error, and nothing else', () => {
    const error = Object.assign(new Error('lost', { cause: new Error('reset') }), {
      code: 'ECONNRESET',
      socket: { peer: 'k3y' },
    });
    const [line = ''] = written('info', (log) => log.error({ event: 'x', err: error }));
    expect((JSON.parse(line) as { err: unknown }).err).toEqual({
      type: 'Error',
      message: 'lost',
      stack: expect.stringMatching(/^Error: lost\n +at /),
      code: 'ECONNRESET',
      cause: 'reset',
    });
  });

  it.each([
    ['the command of a Redis error', 'WRONGPASS invalid password', { name: 'auth', args: ['k3y'] }],
    ['a Redis address', 'cannot reach redis://me:k3y@cache:6379/0', undefined],
    ['a Redis address with odd characters', 'cannot reach rediss://:k@k3y"k3y\\@cache', undefined],
    [
      'an answer of Redis',
      "ERR unknown command 'AUTH', with args beginning with: 'k3y'",
      undefined,
    ],
  ])('never writes the password in %s', (_what, message, command) => {
    const error = Object.assign(new Error(message), { command });
    const wrapped = new Error(`redis unavailable: ${message}`, { cause: error });
    const lines = written('info', (log) => {
      log.error({ event: 'x', err: error });
      log.error({ event: 'x', err: wrapped });
      log.error(error);
      log.warn({ event: 'x', message: String(error) });
    });
    expect(lines.join('')).not.toContain('k3y');
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ service: 'gateway' });
    expect(lines.join('').match(/ +at /g)?.length).toBeGreaterThan(3);
  });

  it.each([['oops'], [undefined], [{ command: { args: ['k3y'] } }]])(
    'writes what was thrown and is no error: %j',
    (thrown) => {
      const [line = ''] = written('info', (log) => log.error({ event: 'x', err: thrown }));
      expect(JSON.parse(line)).toMatchObject({ event: 'x' });
      expect(line).not.toContain('k3y');
    },
  );
});
