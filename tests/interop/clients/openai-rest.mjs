// openai: recordings, speech, models and chat over HTTP, and what it makes of refusals.
import { createReadStream } from 'node:fs';
import OpenAI, { toFile } from 'openai';
import { options, report, wav } from './lib.mjs';

const client = new OpenAI({ apiKey: options.key, baseURL: `${options.url}/v1` });
const model = 'whisper-1';
const transcribe = (more) =>
  client.audio.transcriptions.create({ file: createReadStream(options.file), model, ...more });

const json = await transcribe({});
const verbose = await transcribe({
  response_format: 'verbose_json',
  timestamp_granularities: ['word', 'segment'],
});
const plain = await transcribe({ response_format: 'text' });
const srt = await transcribe({ response_format: 'srt' });
const vtt = await transcribe({ response_format: 'vtt' });
let streamed = '';
let done = '';
for await (const event of await transcribe({ stream: true })) {
  if (event.type === 'transcript.text.delta') streamed += event.delta;
  if (event.type === 'transcript.text.done') done = event.text;
}

const speech = await client.audio.speech.create({
  model: 'tts-1',
  voice: 'alloy',
  input: 'Seven plus five is twelve.',
  response_format: 'wav',
});
const spoken = Buffer.from(await speech.arrayBuffer());
const heard = await client.audio.transcriptions.create({
  file: await toFile(spoken, 'speech.wav'),
  model,
});

const models = [];
for await (const one of client.models.list()) models.push(one.id);
const chat = await client.chat.completions.create({
  model: models[0],
  messages: [{ role: 'user', content: 'what is seven plus five' }],
});
let chunks = '';
for await (const chunk of await client.chat.completions.create({
  model: models[0],
  messages: [{ role: 'user', content: 'what is seven plus five' }],
  stream: true,
}))
  chunks += chunk.choices[0]?.delta.content ?? '';

const refusal = async (attempt) => {
  try {
    await attempt();
    return 'accepted';
  } catch (error) {
    const { status, code, type, message, requestID } = error;
    return { kind: error.constructor.name, status, code, type, message, requestID };
  }
};
const stranger = new OpenAI({ apiKey: 'wrong', baseURL: `${options.url}/v1` });
const refusals = {
  key: await refusal(() => stranger.models.list()),
  model: await refusal(() => transcribe({ model: 'no-such-model' })),
  format: await refusal(() => transcribe({ response_format: 'diarized_json' })),
  recording: await refusal(async () =>
    client.audio.transcriptions.create({
      file: await toFile(Buffer.from('this is no recording at all'), 'a.mp3'),
      model,
    }),
  ),
};

report({
  text: json.text,
  usage: json.usage,
  verbose,
  plain,
  srt,
  vtt,
  streamed,
  done,
  heard: heard.text,
  riff: spoken.toString('latin1', 0, 4),
  bytes: wav.length,
  models,
  chat: chat.choices[0].message.content,
  chunks,
  refusals,
});
