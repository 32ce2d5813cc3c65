import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from '@jest/globals';
import { LeanCodec } from '@voice-fleet/gateway/dialects/lean/codec';
import { YAP_ERROR_CODES, YapCodec } from '@voice-fleet/gateway/dialects/yap/codec';
import { verifyWebhook, webhookHeaders } from '@voice-fleet/jobs/webhooks/signature';
import {
  LEAN_DEBUG_EVENTS,
  LEAN_FINALIZE_REASONS,
  LeanErrorCode,
  LeanServerFrame,
} from '@voice-fleet/protocol/lean';
import { DELIVERY_OUTCOMES, WebhookEvent, WebhookView } from '@voice-fleet/protocol/webhooks';
import { YAP_CLIENT_TYPES, YapServerFrame } from '@voice-fleet/protocol/yap';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/protocols/yap.md'), 'utf8');

describe('docs/protocols/yap.md', () => {
  const codec = new YapCodec({
    unauthorizedCode: 1008,
    busyCode: 1013,
    idleReason: 'idle_timeout',
  });

  it('shows a conversation whose frames both sides accept', () => {
    const lines = page.split('\n').filter((line) => /^[←→] /.test(line));
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) {
      const frame = line.slice(2);
      if (line.startsWith('→')) codec.decode(Buffer.from(frame), false);
      else YapServerFrame.parse(JSON.parse(frame));
    }
  });

  it('names every frame type and every error', () => {
    const types = YapServerFrame.options.map((option) => option.shape.type.value);
    for (const name of [...types, ...YAP_CLIENT_TYPES]) expect(page).toContain(`\`${name}\``);
    const internalOnly = ['at_capacity'];
    for (const code of Object.keys(YAP_ERROR_CODES)) {
      if (!internalOnly.includes(code)) expect(page).toContain(`\`${code}\``);
    }
  });
});

describe('docs/protocols/lean.md', () => {
  const lean = readFileSync(join(ROOT, 'docs/protocols/lean.md'), 'utf8');

  it('shows a conversation whose frames both sides accept', () => {
    const lines = lean.split('\n').filter((line) => /^[←→] \{/.test(line));
    expect(lines.length).toBeGreaterThan(10);
    const codec = new LeanCodec();
    for (const line of lines) {
      const frame = line.slice(2);
      if (line.startsWith('→')) codec.decode(Buffer.from(frame), false);
      else LeanServerFrame.parse(JSON.parse(frame));
    }
  });

  it('names every frame type, error, reason and debug event', () => {
    const types = LeanServerFrame.options.map((option) => option.shape.type.value);
    for (const type of types) expect(lean).toContain(`"type":"${type}"`);
    for (const code of LeanErrorCode.options) expect(lean).toContain(`\`${code}\``);
    for (const name of [...LEAN_FINALIZE_REASONS, ...LEAN_DEBUG_EVENTS])
      expect(lean).toContain(`\`${name}\``);
  });
});

describe('docs/webhooks.md', () => {
  const webhooks = readFileSync(join(ROOT, 'docs/webhooks.md'), 'utf8');
  const blocks = (kind: string): string[] =>
    [...webhooks.matchAll(/```(\w+)\n(.*?)```/gs)].flatMap(([, of, text = '']) =>
      of === kind ? [text] : [],
    );
  const [secret = ''] = /whsec_[^"]+/.exec(webhooks) ?? [];
  const [request = ''] = blocks('http');
  const [head = '', body = ''] = request.trim().split('\n\n');
  const headers = Object.fromEntries(head.split('\n').map((line) => line.split(': ')));

  it('shows a webhook that is one, and is signed with the secret it shows', () => {
    const nowMs = Number(headers['webhook-timestamp']) * 1000;
    expect(verifyWebhook({ headers, body }, [secret], { nowMs })).toBe('valid');
    const event = WebhookEvent.parse(JSON.parse(body));
    expect(event.data.ended_at_ms).toBe(Date.parse(event.created_at));
    expect(event.id).toBe(headers['webhook-id']);
    const view = WebhookView.parse(JSON.parse(blocks('json')[1] ?? ''));
    expect(view.id).toBe(event.id);
    for (const outcome of DELIVERY_OUTCOMES) expect(webhooks).toContain(`| \`${outcome}\` |`);
  });

  it('shows a receiver that runs, and takes what is genuine and new, and nothing else', async () => {
    const args = ['--input-type=module', '-e', blocks('js')[0] ?? ''];
    const env = { ...process.env, WEBHOOK_SECRET: secret, PORT: '0' };
    const receiver = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: receiver.stdout });
    const printed: string[] = [];
    try {
      const [first = ''] = (await once(lines, 'line')) as string[];
      lines.on('line', (line) => printed.push(line));
      const send = async (change: object, nowMs = Date.now()): Promise<number> => {
        const signed = webhookHeaders(['whsec_AAAA', secret], { id: 'evt_1', body, nowMs });
        const url = `http://127.0.0.1:${first.split(' ').at(-1)}/`;
        const init = { method: 'POST', body, headers: { ...signed, ...change } };
        return (await fetch(url, init)).status;
      };
      expect(await send({ 'webhook-id': 'evt_2' })).toBe(401);
      expect(await send({ 'webhook-signature': 'v1,AAAA' })).toBe(401);
      expect(await send({}, Date.now() - 600_000)).toBe(401);
      expect(await send({ 'webhook-timestamp': 'now' })).toBe(401);
      expect([await send({}), await send({})]).toEqual([204, 204]);
    } finally {
      receiver.kill();
      await once(receiver, 'close');
    }
    expect(printed).toEqual([`job.completed ${JSON.parse(body).data.id}`]);
  });
});
