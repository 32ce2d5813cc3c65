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

  it.each([
    ['apiKey', { apiKey: 'k3y' }],
    ['authorization', { headers: { authorization: 'k3y' } }],
    ['url', { url: 'ws://host/?api_key=k3y' }],
  ])('redacts %s', (_what, fields) => {
    const [line] = written('info', (log) => log.info(fields));
    expect(line).not.toContain('k3y');
    expect(line).toContain('[redacted]');
  });
});
