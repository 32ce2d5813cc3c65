import { expect, it } from '@jest/globals';
import {
  isVendorChatModel,
  isVendorSpeechModel,
  isVendorTranscriptionModel,
} from './vendor-models.ts';

const means = (model: string): boolean[] => [
  isVendorTranscriptionModel(model),
  isVendorSpeechModel(model),
  isVendorChatModel(model),
];

it.each([
  'whisper-1',
  'gpt-4o-transcribe',
  'gpt-4o-transcribe-diarize',
  'gpt-realtime',
  'gpt-realtime-mini',
  'gpt-4o-realtime-preview-2025-06-03',
  'whisper-large',
  'gpt-4o-mini-transcribe-2025-12-15',
  'gpt-realtime-whisper',
  'gpt-live-transcribe',
  'nova-3',
  'nova-2-general',
  'flux-general-en',
  'enhanced-phonecall',
  'general',
  'voxtral-mini-latest',
  'voxtral-mini-transcribe-realtime-2602',
])('%s means what transcribes here', (model) => {
  expect(means(model)).toEqual([true, false, false]);
});

it.each(['tts-1', 'tts-1-hd', 'gpt-4o-mini-tts'])('%s means what speaks here', (model) => {
  expect(means(model)).toEqual([false, true, false]);
});

it.each(['gpt-4o', 'gpt-5-mini', 'o3'])('%s means what chats here', (model) => {
  expect(means(model)).toEqual([false, false, true]);
});

it.each(['', 'whisper', 'my-nova-3', 'mistralai/Voxtral-Mini-4B-Realtime-2602', 'nova-3 x'])(
  '%j means nothing but itself',
  (model) => {
    expect(means(model)).toEqual([false, false, false]);
  },
);
