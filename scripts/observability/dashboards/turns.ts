import type { Dashboard } from '../dashboard.ts';
import { by, one, own, perSecond, quantile, quantiles, sum } from '../query.ts';
import { processRow } from './process-row.ts';

export const TURNS: Dashboard = {
  uid: 'voice-fleet-turns',
  title: 'Voice fleet / LLM and TTS',
  description: 'From the end of a question to the end of its reply.',
  pool: false,
  rows: [
    {
      title: 'Turns as talkers hear them',
      panels: [
        {
          title: 'Steps of a turn, median',
          description: 'd_first_audio: from the final to the first speech.',
          unit: 's',
          queries: by(
            'delta',
            quantile(0.5, own('voice_gateway_voice_latency_seconds_bucket'), 'delta'),
          ),
          exemplars: true,
        },
        {
          title: 'Steps of a turn, p95',
          description: 'The same for the slowest one in twenty.',
          unit: 's',
          queries: by(
            'delta',
            quantile(0.95, own('voice_gateway_voice_latency_seconds_bucket'), 'delta'),
          ),
          exemplars: true,
        },
        {
          title: 'Replies and interruptions',
          description: 'Turns by how they ended, and replies stopped as their client spoke.',
          unit: 'ops',
          queries: [
            ...by('outcome', perSecond(own('voice_gateway_turns_total'), 'outcome')),
            one('barge-in', perSecond(own('voice_gateway_barge_ins_total'))),
          ],
        },
      ],
    },
    {
      title: 'Language model',
      panels: [
        {
          title: 'First token, p95',
          description: 'From the request to the first token, by who answered.',
          unit: 's',
          queries: by(
            'model',
            quantile(0.95, own('voice_llm_tts_first_token_seconds_bucket'), 'model'),
          ),
          exemplars: true,
        },
        {
          title: 'Between tokens, p95',
          description: 'Above some 0.2 s speech may run out of words.',
          unit: 's',
          queries: by(
            'model',
            quantile(0.95, own('voice_llm_tts_inter_token_seconds_bucket'), 'model'),
          ),
        },
        {
          title: 'Tokens',
          description: 'Passed on in a second.',
          unit: 'short',
          queries: by('model', perSecond(own('voice_llm_tts_tokens_total'), 'model')),
        },
        {
          title: 'Turns by outcome',
          description: 'cancelled: the gateway closed the request.',
          unit: 'ops',
          queries: [
            one(
              '{{model}} {{outcome}}',
              perSecond(own('voice_llm_tts_turns_total'), 'model, outcome'),
            ),
            one('refused', perSecond(own('voice_llm_tts_turns_refused_total'))),
          ],
        },
        {
          title: 'LLM faults',
          description: 'By cause. fallback: rules answered in place of the model.',
          unit: 'ops',
          queries: by('cause', perSecond(own('voice_llm_tts_llm_faults_total'), 'cause')),
        },
        {
          title: 'Turns under way',
          description: 'And how long they take.',
          unit: 'short',
          queries: [
            one('turns', sum(own('voice_llm_tts_turns_active'))),
            one('p95 in s', quantile(0.95, own('voice_llm_tts_turn_seconds_bucket'))),
          ],
        },
        {
          title: 'Memory faults',
          description: 'Turns without what was said earlier, as Redis was away.',
          unit: 'ops',
          queries: by('step', perSecond(own('voice_llm_tts_memory_faults_total'), 'step')),
        },
      ],
    },
    {
      title: 'Speech',
      panels: [
        {
          title: 'First speech, p95',
          description: 'From the request for a turn to its first spoken phrase.',
          unit: 's',
          queries: by(
            'model',
            quantile(0.95, own('voice_llm_tts_first_speech_seconds_bucket'), 'model'),
          ),
          exemplars: true,
        },
        {
          title: 'A phrase, p95',
          description: 'To speak it, from when its engine was asked.',
          unit: 's',
          queries: by(
            'engine',
            quantile(0.95, own('voice_llm_tts_phrase_seconds_bucket'), 'engine'),
          ),
        },
        {
          title: 'Phrases by outcome',
          description: 'dropped: not spoken, as the reply was stopped or too long.',
          unit: 'ops',
          queries: [
            one(
              '{{engine}} {{outcome}}',
              perSecond(own('voice_llm_tts_phrases_total'), 'engine, outcome'),
            ),
          ],
        },
        {
          title: 'Speech requests: first audio',
          description: 'From a request for speech to its first bytes.',
          unit: 's',
          queries: quantiles(own('voice_llm_tts_speech_first_audio_seconds_bucket')),
          exemplars: true,
        },
        {
          title: 'Speech requests: characters',
          description: 'Spoken in a second.',
          unit: 'short',
          queries: [one('characters', perSecond(own('voice_llm_tts_speech_characters_total')))],
        },
      ],
    },
    {
      title: 'Requests for speech, chat and replies from audio',
      panels: [
        {
          title: 'API requests',
          description: 'By how they ended. refused: the mistake of a client, or all places taken.',
          unit: 'reqps',
          queries: [
            one(
              '{{route}} {{outcome}}',
              perSecond(own('voice_llm_tts_api_requests_total'), 'route, outcome'),
            ),
            one('under way', sum(own('voice_llm_tts_api_requests_active'))),
          ],
        },
        {
          title: 'Replies from audio',
          description: 'By how they ended.',
          unit: 'ops',
          queries: [
            ...by('outcome', perSecond(own('voice_llm_tts_audio_replies_total'), 'outcome')),
            one('under way', sum(own('voice_llm_tts_audio_replies_active'))),
          ],
        },
        {
          title: 'Replies from audio, p95',
          description: 'Aimed at: first words in 0.1 s, all in 0.5 s.',
          unit: 's',
          queries: [
            one(
              'first words',
              quantile(0.95, own('voice_llm_tts_audio_reply_first_chunk_seconds_bucket')),
            ),
            one('all', quantile(0.95, own('voice_llm_tts_audio_reply_duration_seconds_bucket'))),
          ],
        },
      ],
    },
    processRow('llm-tts'),
  ],
};
