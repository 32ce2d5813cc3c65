import { openAiError } from '@voice-fleet/protocol/openai-error';
import type { ListenEvent } from '@voice-fleet/protocol/session';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { WireEvent } from './agent-events.ts';

export type TranscriptEvent = Exclude<ListenEvent, { kind: 'listening' }>;

/** Of an utterance whose transcript is not whole yet. */
interface Heard {
  /** As it was told. */
  text: string;
  samples: number;
  after: string | null;
}

/** What is told of a session's audio and its transcripts, in OpenAI's words. One for each connection. */
export class TranscriptEncoder {
  /** Transcripts are told, not turns alone. */
  told = true;
  /** Of the conversation: what comes next follows it. */
  lastItemId: string | undefined;
  readonly #heard = new Map<string, Heard>();

  encode(event: TranscriptEvent): readonly WireEvent[] {
    switch (event.kind) {
      case 'speech-began':
        return [
          {
            type: 'input_audio_buffer.speech_started',
            item_id: event.utteranceId,
            audio_start_ms: toMs(event.sample),
          },
        ];
      case 'speech-ended':
        return [
          {
            type: 'input_audio_buffer.speech_stopped',
            item_id: event.utteranceId,
            audio_end_ms: toMs(event.sample),
          },
        ];
      case 'committed':
        return this.#committed(event);
      case 'heard':
        return this.#delta(event.utteranceId, event.words.map(({ text }) => text).join(''));
      case 'transcribed':
        return this.#transcribed(event);
      case 'failed':
        return this.#failed(event);
      case 'cleared':
        if (event.utteranceId !== undefined) this.#heard.delete(event.utteranceId);
        return [{ type: 'input_audio_buffer.cleared' }];
      case 'quiet':
        return [];
    }
  }

  #committed(event: Extract<ListenEvent, { kind: 'committed' }>): readonly WireEvent[] {
    const { utteranceId: item_id, fromSample, toSample } = event;
    const previous_item_id = this.lastItemId ?? null;
    this.lastItemId = item_id;
    const heard = this.#of(item_id);
    heard.samples = toSample - fromSample;
    heard.after = previous_item_id;
    return [
      { type: 'input_audio_buffer.committed', item_id, previous_item_id },
      { type: 'conversation.item.added', previous_item_id, item: userItem(item_id) },
    ];
  }

  #delta(itemId: string, text: string): readonly WireEvent[] {
    const heard = this.#of(itemId);
    const delta = heard.text === '' ? text.trimStart() : text;
    if (delta === '') return [];
    heard.text += delta;
    return this.#transcription('delta', itemId, { delta });
  }

  #transcribed({
    utteranceId,
    text: transcript,
  }: Extract<ListenEvent, { kind: 'transcribed' }>): readonly WireEvent[] {
    const { samples, text } = this.#of(utteranceId);
    const usage = { type: 'duration', seconds: samples / SAMPLE_RATE };
    // Words that are certain only at the end, for those who put deltas together.
    const rest = transcript.startsWith(text) ? transcript.slice(text.length) : '';
    return [
      ...this.#delta(utteranceId, rest),
      this.#done(utteranceId, transcript),
      ...this.#transcription('completed', utteranceId, { transcript, usage }),
    ];
  }

  #failed({
    utteranceId,
    error: thrown,
  }: Extract<ListenEvent, { kind: 'failed' }>): readonly WireEvent[] {
    const { type, code, message } = openAiError(thrown);
    const error = { type, code, message };
    return [this.#done(utteranceId), ...this.#transcription('failed', utteranceId, { error })];
  }

  #done(itemId: string, transcript?: string): WireEvent {
    const { after: previous_item_id } = this.#of(itemId);
    this.#heard.delete(itemId);
    const item = userItem(itemId, this.told ? transcript : undefined);
    return { type: 'conversation.item.done', previous_item_id, item };
  }

  #transcription(
    moment: 'delta' | 'completed' | 'failed',
    item_id: string,
    fields: Readonly<Record<string, unknown>>,
  ): readonly WireEvent[] {
    if (!this.told) return [];
    const type = `conversation.item.input_audio_transcription.${moment}`;
    return [{ type, item_id, content_index: 0, ...fields }];
  }

  #of(utteranceId: string): Heard {
    const known = this.#heard.get(utteranceId);
    if (known) return known;
    const heard: Heard = { text: '', samples: 0, after: null };
    this.#heard.set(utteranceId, heard);
    return heard;
  }
}

/** Libraries for agents take no item of audio without a transcript, be it empty. */
function userItem(id: string, transcript = ''): object {
  const content = { type: 'input_audio', transcript };
  const facts = { id, object: 'realtime.item', type: 'message', status: 'completed', role: 'user' };
  return { ...facts, content: [content] };
}

function toMs(sample: number): number {
  return Math.round((sample * 1000) / SAMPLE_RATE);
}
