import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { createLogger } from '../logger.ts';
import { openTracer } from './open-tracer.ts';
import { parseTraceparent } from './traceparent.ts';
import { NO_SPAN } from './tracer.ts';

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const SETTINGS = {
  on: true,
  endpoint: 'http://127.0.0.1:1',
  ratio: 0,
  maxQueued: 4,
  delayMs: 50,
  content: false,
};

describe('a tracer', () => {
  it('that is off makes nothing', async () => {
    const log = createLogger('s', 'error', { write: () => undefined });
    const settings = { ...SETTINGS, on: false };
    const tracer = await openTracer({ service: 's', settings, log });
    expect(tracer.on).toBe(false);
    expect(tracer.start('accept', { parent: PARENT })).toBe(NO_SPAN);
  });

  it('keeps to decisions of the fleet and not to those of strangers, and ends in time without a collector', async () => {
    const unanswered: ServerResponse[] = [];
    const silent = createServer((request, response) => {
      request.resume();
      unanswered.push(response);
    }).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const lines: string[] = [];
    const log = createLogger('s', 'info', { write: (line: string) => void lines.push(line) });
    const settings = { ...SETTINGS, endpoint };
    const tracer = await openTracer({ service: 's', settings, log });
    try {
      const own = tracer.start('speech_to_text', { parent: PARENT });
      const strangers = tracer.start('accept', { parent: PARENT, stranger: true });
      expect(own.traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
      expect(parseTraceparent(own.traceparent)?.sampled).toBe(true);
      expect(strangers.traceId).toBeUndefined();
      expect(strangers.traceparent).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-.*-00$/);
      own.content('heard', 'what was said');
      own.end('engine_failed');
      own.end();
      for (let at = 0; at < 9; at += 1) tracer.start('job', { parent: PARENT }).end();
      expect(tracer.counts.dropped).toBe(6);
    } finally {
      // Whatever the collector does, this settles.
      await tracer.close();
    }
    expect(tracer.counts.failed).toBe(0);
    for (const response of unanswered) response.writeHead(400).end();
    while (tracer.counts.failed === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(tracer.counts).toEqual({ exported: 0, dropped: 6, failed: 4 });
    silent.closeAllConnections();
    silent.close();
    expect(lines.join('')).toContain('"event":"traces_incomplete"');
  }, 20_000);
});
