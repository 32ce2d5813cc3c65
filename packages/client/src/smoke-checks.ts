import { VOICE_PATHS } from '@voice-fleet/protocol/prompt-voice';
import type { Clock } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { writeWav } from '@voice-fleet/speech/wav';
import { z } from 'zod';
import { type SmokeCheck, SmokeFault } from './smoke.ts';
import { speak } from './speak.ts';
import { runSession } from './transcribe.ts';
import { VoiceClient } from './voice-client.ts';
import { YapRejected, YapUnreachable } from './yap-errors.ts';

const REPLY_MS = 30_000;

export interface SmokeTarget {
  /** Of the stream; the other checks go to other paths of the same server. */
  readonly url: URL;
  readonly apiKey: string | undefined;
  readonly keyIn: 'header' | 'query';
  /** How long each session waits in line. */
  readonly waitS: number;
  readonly pcm: Buffer;
  readonly clock: Clock;
}

/** Words over a WebSocket, as they are spoken. */
export function streamCheck(target: SmokeTarget): SmokeCheck {
  return {
    name: 'stream',
    run: async (signal) => {
      const { transcript, metrics } = await runSession(target.pcm, { ...target, signal });
      const { finalText } = transcript;
      if (finalText.trim() === '') throw noWord();
      const firstMs = metrics.ttfwMs === undefined ? '–' : `${Math.round(metrics.ttfwMs)} ms`;
      const finalMs = Math.round(metrics.flushToFinalMs);
      return `${JSON.stringify(finalText.trim())}, first word ${firstMs}, final ${finalMs} ms after the end`;
    },
  };
}

/** `/readyz`: a session could be admitted now. */
export function healthCheck(target: SmokeTarget): SmokeCheck {
  return {
    name: 'health',
    run: async (signal) => {
      const response = await ask(target, '/readyz', { signal });
      await response.body?.cancel();
      if (!response.ok) throw new SmokeFault('again', `/readyz answers ${response.status}.`);
      return '/readyz answers 200';
    },
  };
}

const Transcript = z.object({ text: z.string() });
const Refusal = z.object({ error: z.object({ code: z.string().nullish() }) });

/** The recording as a whole over `POST /v1/audio/transcriptions`. */
export function httpCheck(target: SmokeTarget): SmokeCheck {
  return {
    name: 'http',
    run: async (signal) => {
      const body = new FormData();
      const wav = new Uint8Array(writeWav(target.pcm, SAMPLE_RATE));
      body.append('file', new Blob([wav], { type: 'audio/wav' }), 'speech.wav');
      body.append('model', 'whisper-1');
      const path = '/v1/audio/transcriptions';
      const response = await ask(target, path, { method: 'POST', body, signal });
      const answer: unknown = await response.json().catch(() => undefined);
      if (response.status === 401) throw new YapRejected('auth', 'The key was not accepted.');
      if (!response.ok) {
        const code = Refusal.safeParse(answer).data?.error.code ?? 'no code';
        const kind = code === 'at_capacity' ? 'full' : response.status >= 500 ? 'again' : 'final';
        throw new SmokeFault(kind, `${path} answers ${response.status} (${code}).`);
      }
      const text = Transcript.safeParse(answer).data?.text;
      if (text === undefined) throw new SmokeFault('final', `${path} gave no transcript.`);
      if (text.trim() === '') throw noWord();
      return JSON.stringify(text.trim());
    },
  };
}

/** One question to the voice pipeline, and a reply that can be heard. */
export function voiceCheck(target: SmokeTarget): SmokeCheck {
  const url = new URL(VOICE_PATHS[0], target.url);
  return {
    name: 'voice',
    run: async (signal) => {
      const { apiKey, keyIn, clock, pcm } = target;
      const client = await VoiceClient.connect({ url, apiKey, keyIn, clock, signal });
      try {
        const turn = client.start({ mode: 'voice', endpointing: false });
        await speak(turn, pcm, { clock, signal, end: 'stop' });
        const { transcript = '', phrases, error } = await turn.result(REPLY_MS);
        if (error) throw new SmokeFault('again', `The reply failed with ${error.code}.`);
        if (transcript.trim() === '') throw noWord();
        const heard = phrases.filter(({ pcm: sound }) => sound.some((byte) => byte !== 0));
        if (heard.length === 0) throw new SmokeFault('final', 'The reply has no sound.');
        const speechMs = heard.reduce((sum, { durationMs }) => sum + durationMs, 0);
        return `a reply of ${(speechMs / 1000).toFixed(2)} s in ${heard.length} phrases`;
      } finally {
        await client.close();
      }
    },
  };
}

function noWord(): SmokeFault {
  return new SmokeFault(
    'final',
    'The transcript is empty: no word of the recording was understood.',
  );
}

async function ask(target: SmokeTarget, path: string, init: RequestInit): Promise<Response> {
  const url = new URL(path, target.url);
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  const headers: Record<string, string> = target.apiKey ? { 'X-API-Key': target.apiKey } : {};
  try {
    return await fetch(url, { ...init, headers });
  } catch (cause) {
    init.signal?.throwIfAborted();
    throw new YapUnreachable(`${path} cannot be asked.`, {
      cause: cause instanceof Error ? cause.cause : cause,
    });
  }
}
