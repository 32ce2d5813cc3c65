import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { aacTrack, mp4Of, words } from '@voice-fleet/testkit/recordings/mp4';
import { Fleet, KEY } from '../support/fleet.ts';
import { faultOf, form, post, wav } from '../support/recordings.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const PATH = '/v1/audio/transcriptions';
const ORIGIN = 'https://app.example';

describe('the HTTP API', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { HTTP_CORS_ORIGINS: ORIGIN });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const url = (path: string): string => `http://127.0.0.1:${fleet.gateways[0]?.port}${path}`;
  const fixture = (name: string): Buffer =>
    readFileSync(new URL(`../../packages/media/fixtures/tone${name}`, import.meta.url));

  /** Sends a body only when it is told to go on. */
  async function asking(
    key: string,
    body = wav([1, 2]),
  ): Promise<{ status: number | undefined; went: boolean }> {
    const headers = {
      Authorization: `Bearer ${key}`,
      'Content-Type': 'audio/wav',
      'Content-Length': body.length,
      Expect: '100-continue',
    };
    const asked = request(url(PATH), { method: 'POST', headers });
    let went = false;
    asked.once('continue', () => {
      went = true;
      asked.end(body);
    });
    asked.flushHeaders();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.resume();
    if (!went) asked.destroy();
    return { status: answer.statusCode, went };
  }

  it('lets a client go on with its body only when that is read', async () => {
    expect(await asking(KEY)).toEqual({ status: 200, went: true });
    expect(await asking('wrong')).toEqual({ status: 401, went: false });
    expect(await asking(KEY, Buffer.alloc(30_000_000))).toEqual({ status: 413, went: false });
  });

  it('answers a form with two recordings at once', async () => {
    const body = form(wav([1]));
    body.append('file', new Blob([new Uint8Array(wav([2]))]), 'b.wav');
    const answer = await post(fleet, PATH, body);
    expect([answer.status, faultOf(answer).message]).toEqual([
      400,
      'The form has more than one part `file`.',
    ]);
  });

  it('takes a recording for what it is, whatever it is called', async () => {
    const body = new FormData();
    const named = new Blob([new Uint8Array(fixture('.flac'))], { type: 'audio/mpeg' });
    body.append('file', named, 'speech.mp3');
    expect((await post(fleet, PATH, body)).status).toBe(200);
  });

  it('answers a recording that tells of more than there is, and goes on', async () => {
    const file = mp4Of(aacTrack(fixture('.aac')), { stsz: words(0, 10, 0xffff_fff0) });
    const answer = await post(fleet, PATH, form(file));
    expect([answer.status, faultOf(answer).code]).toEqual([400, 'invalid_audio']);
    expect((await post(fleet, PATH, form(wav([3])))).status).toBe(200);
  });

  it('says what is wrong with a packed body, and with a path', async () => {
    const headers = { 'X-API-Key': KEY, 'Content-Encoding': 'gzip' };
    const packed = await post(fleet, PATH, gzipSync(wav([1])), { headers });
    expect([packed.status, faultOf(packed).message]).toEqual([
      415,
      expect.stringContaining('without Content-Encoding'),
    ]);
    const path = await fetch(url('/v1/models/%E0%A4'), { headers: { 'X-API-Key': KEY } });
    expect([path.status, await path.json()]).toMatchObject([
      400,
      { error: { message: 'The path is not valid.' } },
    ]);
  });

  it('lets pages of the origins that are named use it, and nobody else', async () => {
    const preflight = async (origin: string, path = PATH): Promise<string | null> => {
      const headers = {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type',
      };
      const answer = await fetch(url(path), { method: 'OPTIONS', headers });
      return answer.headers.get('access-control-allow-origin');
    };
    expect(await preflight(ORIGIN)).toBe(ORIGIN);
    expect(await preflight('https://other.example')).toBeNull();
    expect(await preflight(ORIGIN, '/admin/v1/tenants')).toBeNull();
    const refused = await fetch(url('/v1/models'), { headers: { Origin: ORIGIN } });
    expect([refused.status, refused.headers.get('x-powered-by')]).toEqual([401, null]);
    expect(refused.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(refused.headers.get('access-control-expose-headers')).toContain('Retry-After');
  });
});
