import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { TranscriptionStream } from './transcription-stream.ts';

describe('a streamed transcript', () => {
  let sent: string[];
  let status: number;
  let writable: boolean;
  let stream: TranscriptionStream;

  beforeEach(() => {
    sent = [];
    status = 0;
    writable = true;
    const response = {
      get writable() {
        return writable;
      },
      writeHead: (code: number) => {
        status = code;
      },
      write: (text: string) => sent.push(text) > 0,
      end: (text: string) => {
        sent.push(text);
        writable = false;
      },
    };
    stream = new TranscriptionStream(
      response as unknown as ConstructorParameters<typeof TranscriptionStream>[0],
    );
  });
  const events = (): unknown[] =>
    sent.slice(0, -1).map((line) => JSON.parse(line.replace(/^data: /, '')) as unknown);
  const usage = { promptTokens: 20, completionTokens: 3 };

  it('is deltas whose sum is the text at its end', () => {
    for (const text of [' the', ' quick fox']) stream.add(text);
    stream.finish({ text: ' the quick fox', usage });
    expect(events()).toEqual([
      { type: 'transcript.text.delta', delta: 'the' },
      { type: 'transcript.text.delta', delta: ' quick fox' },
      {
        type: 'transcript.text.done',
        text: 'the quick fox',
        usage: {
          type: 'tokens',
          input_tokens: 20,
          input_token_details: { text_tokens: 0, audio_tokens: 20 },
          output_tokens: 3,
          total_tokens: 23,
        },
      },
    ]);
    expect([status, sent.at(-1)]).toEqual([200, 'data: [DONE]\n\n']);
  });

  it('sends no status before there is a word, so that an error can have its own', () => {
    stream.add(' ');
    expect([stream.begun, status, sent]).toEqual([false, 0, []]);
  });

  it('of silence is its end alone', () => {
    stream.finish({ text: '', usage });
    expect(events()).toMatchObject([{ type: 'transcript.text.done', text: '' }]);
  });

  it('that fails amid its words says so in the words of OpenAI', () => {
    stream.add(' the');
    stream.fail(new VoiceError('asr_timeout', { message: 'Too late.' }));
    expect(events()[1]).toEqual({
      error: {
        message: 'Too late.',
        type: 'server_error',
        param: null,
        code: 'asr_timeout',
        details: {},
      },
    });
  });

  it('is let go when its client has gone', () => {
    writable = false;
    stream.add(' the');
    stream.finish({ text: ' the', usage });
    expect(sent).toEqual([]);
  });
});
