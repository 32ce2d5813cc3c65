import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { ReplyOptions } from '@voice-fleet/protocol/chunk';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { audioChatAt } from './audio-chat-client.ts';
import { TurnClient } from './turn-client.ts';

const SECRET = 'your balance is nine';

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

  async function failureOf(events: AsyncIterable<unknown>): Promise<unknown> {
    try {
      for await (const _ of events);
    } catch (error) {
      return error;
    }
    return undefined;
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
