import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { tenantSecret, verifyWebhook, webhookHeaders } from './signature.ts';

const EXAMPLE = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const nowMs = 1_614_265_330_999;

describe('a webhook', () => {
  it('is signed as the example of Standard Webhooks is', () => {
    const headers = webhookHeaders([EXAMPLE], {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      body: '{"test": 2432232314}',
      nowMs,
    });
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('is signed with a secret that each tenant has alone', () => {
    expect(tenantSecret('fleet', 'a')).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(tenantSecret('fleet', 'a')).not.toBe(tenantSecret('fleet', 'b'));
    expect(tenantSecret('fleet', 'a')).not.toBe(tenantSecret('other', 'a'));
  });
});

describe('a receiver', () => {
  const [older, newer] = [tenantSecret('old', 'acme'), tenantSecret('new', 'acme')];
  const body = '{"type":"job.completed","name":"Jörg"}';
  const headers = webhookHeaders([newer, older], { id: 'evt_1', body, nowMs });
  const verdict = (change: object, secret = newer, at = nowMs) =>
    verifyWebhook({ headers: { ...headers, ...change }, body }, [secret], { nowMs: at });

  it('knows a webhook by the newer secret and by the older, as bytes and as text', () => {
    expect(verdict({})).toBe('valid');
    expect(verdict({}, older)).toBe('valid');
    const bytes = { headers, body: Buffer.from(body) };
    expect(verifyWebhook(bytes, ['whsec_AAAA', older], { nowMs })).toBe('valid');
  });

  it('knows what was signed by nobody it knows, or changed on the way', () => {
    expect(verdict({}, tenantSecret('new', 'other'))).toBe('wrong');
    expect(verdict({ 'webhook-id': 'evt_2' })).toBe('wrong');
    expect(verdict({ 'webhook-timestamp': '1614265331' })).toBe('wrong');
    expect(verifyWebhook({ headers, body: `${body} ` }, [newer], { nowMs })).toBe('wrong');
    expect(verdict({ 'webhook-signature': 'v1, v2,AAAA v1a,BBBB' })).toBe('wrong');
    expect(verifyWebhook({ headers, body }, [], { nowMs })).toBe('wrong');
  });

  it('takes none that is older, or younger, than its clock allows', () => {
    expect(verdict({}, newer, nowMs + 300_000)).toBe('valid');
    expect(verdict({}, newer, nowMs + 302_000)).toBe('late');
    expect(verdict({}, newer, nowMs - 302_000)).toBe('late');
  });

  it('takes none that lacks a header, whatever is in the others', () => {
    for (const name of Object.keys(headers)) {
      expect(verdict({ [name]: undefined })).toBe('incomplete');
      expect(verdict({ [name]: ['a', 'b'] })).toBe('incomplete');
    }
    expect(verdict({ 'webhook-timestamp': '1e9' })).toBe('incomplete');
    const text = fc.string();
    fc.assert(
      fc.property(text, text, text, (id, timestamp, signature) => {
        const forged = {
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': signature,
        };
        expect(verdict(forged)).not.toBe('valid');
      }),
    );
  });
});
