import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ReplyOptions } from '@voice-fleet/protocol/chunk';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { audioChatAt } from './audio-chat-client.ts';
import { TurnClient } from './turn-client.ts';

const SECRET = 'your balance is nine';

async function failureOf(events: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of events);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('a reply that is no JSON', () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function answering(type: string, body: string): Promise<string> {
    const http = createServer((request, response) => {
      request.resume();
      response.setHeader('content-type', type).end(body);
    });
    server = http;
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  }

  it.each(['turn', 'audio-chat'])('fails a %s, and its error holds none of it', async (which) => {
    const signal = new AbortController().signal;
    let error: unknown;
    if (which === 'turn') {
      const url = await answering('application/x-ndjson', `${SECRET}\n`);
      const request = { tenant: 't', conversation: 'c', text: 'hi' };
      error = await failureOf(new TurnClient(url).open(request, signal));
    } else {
      const url = await answering('text/event-stream', `data: ${SECRET}\n\n`);
      const options = ReplyOptions.parse({});
      error = await failureOf(audioChatAt(url).chatReply(Buffer.alloc(0), options, signal));
    }
    expect((error as VoiceError).code).toBe('llm_failed');
    const cause = (error as VoiceError).cause;
    expect(cause).toBeInstanceOf(Error);
    expect(inspect(cause, { depth: 9 })).not.toContain('your');
  });
});

describe('a connection to an llm-tts', () => {
  it.each(['turn', 'audio-chat'])(
    'carries one %s, since behind a Service it may lead to a pod that takes no more',
    async (which) => {
      const asked: (string | undefined)[] = [];
      const server = createServer((request, response) => {
        asked.push(request.headers.connection);
        request.resume();
        request.on('end', () => response.writeHead(200).end());
      });
      let connections = 0;
      server.on('connection', () => {
        connections += 1;
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const { signal } = new AbortController();
      const request = { tenant: 't', conversation: 'c', text: 'hi' };
      const open = (): AsyncIterable<unknown> =>
        which === 'turn'
          ? new TurnClient(url).open(request, signal)
          : audioChatAt(url).chatReply(Buffer.alloc(0), ReplyOptions.parse({}), signal);
      // An answer without a word is a failure, and its connection as good as before.
      for (let each = 0; each < 2; each += 1)
        expect(await failureOf(open())).toBeInstanceOf(VoiceError);
      server.close();
      expect([connections, asked]).toEqual([2, ['close', 'close']]);
    },
  );
});
