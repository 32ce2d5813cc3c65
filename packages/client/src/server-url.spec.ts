import { describe, expect, it } from '@jest/globals';
import { parseServerUrl, printableUrl } from './server-url.ts';

describe('parseServerUrl', () => {
  it.each([
    ['localhost:8000', 'ws://localhost:8000/api/asr-streaming'],
    ['example.org', 'ws://example.org/api/asr-streaming'],
    ['[::1]:8000', 'ws://[::1]:8000/api/asr-streaming'],
    ['ws://h:1', 'ws://h:1/api/asr-streaming'],
    ['http://h:1/', 'ws://h:1/api/asr-streaming'],
    ['https://h', 'wss://h/api/asr-streaming'],
    ['wss://h/prefix/api/asr-streaming', 'wss://h/prefix/api/asr-streaming'],
    ['wss://h?api_key=k', 'wss://h/api/asr-streaming?api_key=k'],
    ['  h:1  ', 'ws://h:1/api/asr-streaming'],
  ])('reads %s', (server, expected) => {
    expect(parseServerUrl(server).href).toBe(expected);
  });

  it('keeps the port a bare or plain address names when it turns secure', () => {
    expect(parseServerUrl('h:8000', true).href).toBe('wss://h:8000/api/asr-streaming');
    expect(parseServerUrl('ws://h:8000', true).href).toBe('wss://h:8000/api/asr-streaming');
    expect(parseServerUrl('h:80', true).href).toBe('wss://h:80/api/asr-streaming');
  });

  it.each(['', ' ', 'ftp://h', 'h:port', 'ws://'])('refuses "%s"', (server) => {
    expect(() => parseServerUrl(server)).toThrow(/is not a server address/);
  });

  it('prints no key', () => {
    expect(printableUrl(parseServerUrl('wss://h?api_key=secret'))).toBe(
      'wss://h/api/asr-streaming',
    );
  });
});
