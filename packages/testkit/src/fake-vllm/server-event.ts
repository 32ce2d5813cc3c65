import type {
  VllmErrorCode,
  VllmServerEvent,
  VllmUsage,
} from '@voice-fleet/protocol/vllm-realtime';

/** Most frames are this one, written once. */
export const EMPTY_DELTA = JSON.stringify({ type: 'transcription.delta', delta: '' });

export function createdText(id: string, createdAtS: number): string {
  return text({ type: 'session.created', id, created: createdAtS });
}

export function deltaText(delta: string): string {
  return delta === '' ? EMPTY_DELTA : text({ type: 'transcription.delta', delta });
}

/** Without usage where that is undefined, which no vLLM does by itself. */
export function doneText(transcript: string, usage: VllmUsage | undefined): string {
  const done = { type: 'transcription.done' as const, text: transcript };
  if (usage === undefined) return text(done);
  // vLLM's usage has this fourth field, which is never set here.
  return text({ ...done, usage: { ...usage, prompt_tokens_details: null } as VllmUsage });
}

export function errorText(code: VllmErrorCode, message: string): string {
  return text({ type: 'error', error: message, code });
}

function text(event: VllmServerEvent): string {
  return JSON.stringify(event);
}
